package debian

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// EnvInstall is the environment variable that, when set, allows to install packages
// also to who is not root; "never" forbids it.
const EnvInstall = "FENFA_TEST_INSTALL"

// policy is asked by packages whether their services may start.
const policy = "/usr/sbin/policy-rc.d"

// Allowed reports whether Install may be tried: by root, or where EnvInstall says so.
func Allowed() bool {
	allowed := os.Getenv(EnvInstall)
	if allowed == "never" {
		return false
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return false
	}
	return os.Geteuid() == 0 || allowed != ""
}

// Install installs a package, and keeps the server that comes with it from starting
// by itself. It waits while another process installs.
func Install(ctx context.Context, name string) (err error) {
	lock, err := os.OpenFile(filepath.Join(os.TempDir(), "fenfa-install.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("install %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }() // which releases the lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("install %s: wait for the one who installs: %w", name, err)
	}
	if _, err := os.Stat(policy); errors.Is(err, os.ErrNotExist) {
		if err := os.WriteFile(policy, []byte("#!/bin/sh\nexit 101\n"), 0o755); err != nil { //nolint:gosec // The package manager runs it.
			return fmt.Errorf("install %s: keep services from starting: %w", name, err)
		}
		defer func() { err = errors.Join(err, os.Remove(policy)) }()
	}
	if err := apt(ctx, "install", "-y", "--no-install-recommends", name); err == nil {
		return nil
	}
	// A fresh machine has no lists of packages, or old ones.
	if err := apt(ctx, "update", "-qq"); err != nil {
		return fmt.Errorf("install %s: %w", name, err)
	}
	if err := apt(ctx, "install", "-y", "--no-install-recommends", name); err != nil {
		return fmt.Errorf("install %s: %w", name, err)
	}
	return nil
}

// apt runs the package manager, which waits for others that have its own lock.
func apt(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-o", "DPkg::Lock::Timeout=300"}, args...)...) //nolint:gosec // Only this package gives the arguments; the name is a caller's constant.
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		const most = 2000
		return fmt.Errorf("apt-get %s: %w: %s", args[0], err, out[max(0, len(out)-most):])
	}
	return nil
}
