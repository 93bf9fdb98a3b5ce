package mariadbtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/fenfa/fenfa/internal/mariadbserver"
)

// Environment variables that say what may be used.
const (
	// EnvAddress is the address (mysql://user:password@host:port/database) of a server
	// on which tests may make databases of their own, instead of private ones. What
	// stands behind it need not be MariaDB.
	EnvAddress = "FENFA_TEST_MYSQL"
	// EnvInstall, when set, allows to install the server; "never" forbids it.
	EnvInstall = "FENFA_TEST_INSTALL"
)

// ErrMissing says that the server is not installed and cannot be.
var ErrMissing = errors.New("MariaDB is not installed: install the package mariadb-server, or set " + EnvAddress + " to the address of a server")

// Start installs the server if it is missing and that is allowed, and starts one.
// It returns when the server is up.
func Start(ctx context.Context, cfg mariadbserver.Config) (*mariadbserver.Server, error) {
	if _, ok := mariadbserver.Find(); !ok {
		if !mayInstall() {
			return nil, ErrMissing
		}
		if err := install(ctx); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMissing, err)
		}
	}
	s, err := mariadbserver.Start(ctx, cfg)
	if errors.Is(err, mariadbserver.ErrMissing) {
		return nil, ErrMissing
	}
	return s, err
}

func mayInstall() bool {
	allowed := os.Getenv(EnvInstall)
	if allowed == "never" {
		return false
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return false
	}
	return os.Geteuid() == 0 || allowed != ""
}

// install installs the distribution's package, and keeps the server that comes
// with it from starting by itself. Several tests may do so at once: the package
// manager waits for its own lock.
func install(ctx context.Context) error {
	policy := "/usr/sbin/policy-rc.d"
	if _, err := os.Stat(policy); errors.Is(err, os.ErrNotExist) {
		if err := os.WriteFile(policy, []byte("#!/bin/sh\nexit 101\n"), 0o755); err != nil { //nolint:gosec // The package manager runs it.
			return fmt.Errorf("keep services from starting: %w", err)
		}
		defer func() { _ = os.Remove(policy) }()
	}
	cmd := exec.CommandContext(ctx, "apt-get", "install", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", "mariadb-server")
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		const most = 2000
		return fmt.Errorf("install mariadb-server: %w: %s", err, out[max(0, len(out)-most):])
	}
	return nil
}
