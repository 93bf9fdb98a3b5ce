package rabbitmqtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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

// places are where the server's own scripts may be; those in the PATH of a
// distribution insist on a user and its directories.
func places() []string {
	return []string{"/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin", "/opt/rabbitmq/sbin", "/usr/local/opt/rabbitmq/sbin", "/opt/homebrew/opt/rabbitmq/sbin"}
}

// Find returns the directory of the server's scripts, and installs the server if
// it is missing and that is allowed.
func Find(ctx context.Context) (string, error) {
	if dir, ok := find(); ok {
		return dir, nil
	}
	if !mayInstall() {
		return "", ErrMissing
	}
	if err := install(ctx); err != nil {
		return "", fmt.Errorf("%w: %w", ErrMissing, err)
	}
	if dir, ok := find(); ok {
		return dir, nil
	}
	return "", ErrMissing
}

func find() (dir string, ok bool) {
	if _, err := exec.LookPath("epmd"); err != nil {
		return "", false
	}
	for _, pattern := range places() {
		found, err := filepath.Glob(filepath.Join(pattern, "rabbitmq-server"))
		if err == nil && len(found) > 0 {
			return filepath.Dir(slices.Max(found)), true
		}
	}
	return "", false
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
