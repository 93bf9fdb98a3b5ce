package rabbitmqtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/fenfa/fenfa/internal/rabbitmqserver"
)

// Environment variables that say what may be used.
const (
	// EnvAddress is the address (amqp://...) of servers that tests use instead of
	// private ones.
	EnvAddress = "FENFA_TEST_RABBITMQ"
	// EnvInstall, when set, allows to install the server; "never" forbids it.
	EnvInstall = "FENFA_TEST_INSTALL"
)

// ErrMissing says that the server is not installed and cannot be.
var ErrMissing = errors.New("RabbitMQ is not installed: install the package rabbitmq-server, or set " + EnvAddress + " to the address of a server")

// Start installs the server if it is missing and that is allowed, and starts
// servers. It returns when all are up.
func Start(ctx context.Context, cfg rabbitmqserver.Config) (*rabbitmqserver.Cluster, error) {
	if _, ok := rabbitmqserver.Find(); !ok {
		if !mayInstall() {
			return nil, ErrMissing
		}
		if err := install(ctx); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMissing, err)
		}
	}
	c, err := rabbitmqserver.Start(ctx, cfg)
	if errors.Is(err, rabbitmqserver.ErrMissing) {
		return nil, ErrMissing
	}
	return c, err
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
// with it from starting by itself.
func install(ctx context.Context) error {
	policy := "/usr/sbin/policy-rc.d"
	if _, err := os.Stat(policy); errors.Is(err, os.ErrNotExist) {
		if err := os.WriteFile(policy, []byte("#!/bin/sh\nexit 101\n"), 0o755); err != nil { //nolint:gosec // The package manager runs it.
			return fmt.Errorf("keep services from starting: %w", err)
		}
		defer func() { _ = os.Remove(policy) }()
	}
	cmd := exec.CommandContext(ctx, "apt-get", "install", "-y", "--no-install-recommends", "rabbitmq-server")
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("install rabbitmq-server: %w: %s", err, tail(out))
	}
	return nil
}

// tail is the end of a command's output.
func tail(out []byte) []byte {
	const most = 2000
	return out[max(0, len(out)-most):]
}
