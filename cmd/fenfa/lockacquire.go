package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/child"
)

// Names of what a command under a lock finds in its environment.
const (
	envLockName  = "FENFA_LOCK_NAME"
	envLockToken = "FENFA_LOCK_TOKEN" //nolint:gosec // It is the name of a number that everybody may know.
)

func newLockAcquire() *cobra.Command {
	cmd := &cobra.Command{
		Use: "acquire NAME [flags] -- COMMAND [ARGS...]", Short: "Run a command while a lock is held",
		Long: "Wait for a lock, run a command while it is held, and free it. The lock is renewed by itself.\n" +
			"The command finds the token in " + envLockToken + ", for `fenfa state put --fence` and for other\n" +
			"systems that check tokens, and the lock's name in " + envLockName + ".\n\n" +
			"When the lock is lost, the command gets SIGTERM, and SIGKILL after --grace, with all that it\n" +
			"started; on a terminal only the command itself. The exit code is the command's own, 128 and\n" +
			"the signal where one ended it, and 8 when the lock was lost. When the lock is not had, nothing\n" +
			"runs, and the exit code is 3; it is 5 when no node answers.",
		Example: "  fenfa lock acquire reports/daily -- ./report.sh\n" +
			"  fenfa lock acquire account-7 --ttl 10s --wait 1m -- sh -c 'fenfa state put account-7 balance 90 --any --fence account-7:$" + envLockToken + "'",
		Args: func(cmd *cobra.Command, args []string) error {
			switch at := cmd.ArgsLenAtDash(); {
			case len(args) == 0 || at == 0:
				return exactly("NAME")(cmd, nil)
			case at < 0 || at == len(args):
				return usagef("`%s` needs the command to run", cmd.CommandPath()).withHint("after two dashes: fenfa lock acquire %s -- COMMAND ARGS", args[0])
			case at > 1:
				return exactly("NAME")(cmd, args[:at])
			}
			return nil
		},
	}
	to := targetFlags(cmd)
	outputFlags(cmd)
	ttl := cmd.Flags().Duration("ttl", 30*time.Second, "how long the lock is held without a renewal, 1s to 24h")
	wait := cmd.Flags().Duration("wait", -1, "how long to stand in line at most; 0s: not at all (default: until the lock is had)")
	cmd.Flags().Lookup("wait").DefValue = ""
	holder := cmd.Flags().String("holder", "", "what others see as the holder (default: this host and process)")
	grace := cmd.Flags().Duration("grace", 10*time.Second, "how long the command has to end after SIGTERM, before SIGKILL")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if _, err := exec.LookPath(args[1]); err != nil {
			return usagef("find the command: %w", err)
		}
		if *grace <= 0 {
			return usagef("--grace is %v: want more than 0", *grace)
		}
		opts := []fenfa.LockOption{fenfa.LockTTL(*ttl), fenfa.LockHolder(*holder)}
		if cmd.Flags().Changed("wait") {
			opts = append(opts, fenfa.LockWait(*wait))
		}
		client, err := to.dial()
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, client.Close()) }()
		if err := knocked(cmd.Context(), client, args[0], to.timeout); err != nil {
			return err
		}
		l, err := client.Lock(cmd.Context(), args[0], opts...)
		if err != nil {
			return hinted(err, fmt.Sprintf("`fenfa lock show %s` names the holder", args[0]), fenfa.CodeFailedPrecondition)
		}
		return underLock(l, &guarded{args: args[1:], grace: *grace, in: cmd.InOrStdin(), out: cmd.OutOrStdout(), err: cmd.ErrOrStderr()})
	}
	return cmd
}

// knocked returns an error when the node does not answer, which a wait for a lock
// would survive.
func knocked(ctx context.Context, client *fenfa.Client, name string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if _, err := client.Locks().Get(ctx, name); err != nil && !errors.Is(err, fenfa.ErrNotFound) {
		return err
	}
	return nil
}

// underLock runs a command while the lock is held, and frees the lock.
func underLock(l *fenfa.Lock, g *guarded) error {
	err := g.run(l.Context(), envLockName+"="+l.Name(), envLockToken+"="+strconv.FormatUint(l.Token(), 10))
	cause := context.Cause(l.Context())
	unlocked := l.Unlock(context.Background())
	switch {
	case errors.Is(cause, fenfa.ErrLockLost):
		return failuref(exitLost, "the command was ended: %w", cause)
	case errors.Is(unlocked, fenfa.ErrLockLost):
		return failuref(exitLost, "the command ended, and the lock was lost before: %w", unlocked)
	case cause != nil:
		return cause
	}
	return errors.Join(err, unlocked)
}

// guarded is a command that runs while a lock is held.
type guarded struct {
	args  []string
	grace time.Duration
	in    io.Reader
	out   io.Writer
	err   io.Writer
}

// run runs the command until it ends, or ends it with ctx.
func (g *guarded) run(ctx context.Context, env ...string) error {
	cmd := exec.CommandContext(ctx, g.args[0], g.args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = g.in, g.out, g.err
	cmd.Env = append(os.Environ(), env...)
	// It dies with this process, which could not end it any more when the lock is lost.
	cmd.SysProcAttr = child.Attributes()
	if isTerminal(g.in) {
		cmd.SysProcAttr.Setpgid = false // Only the group in front may read the terminal.
	}
	cmd.Cancel = func() error { return g.signal(cmd, syscall.SIGTERM) }
	cmd.WaitDelay = g.grace
	done := make(chan error, 1)
	go func() {
		// The kernel ends the command with the thread that started it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		done <- cmd.Run()
	}()
	err := <-done
	if ctx.Err() != nil && cmd.Process != nil && cmd.SysProcAttr.Setpgid {
		// What it left behind must not go on without the lock. Nothing may be left.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	return exitOf(err)
}

// signal sends a signal to all that the command started, or, where it shares the
// group of this process, to the command alone.
func (*guarded) signal(cmd *exec.Cmd, s syscall.Signal) error {
	if cmd.SysProcAttr.Setpgid {
		return syscall.Kill(-cmd.Process.Pid, s)
	}
	return cmd.Process.Signal(s)
}

// exitOf passes the command's own exit code on.
func exitOf(err error) error {
	ended, ok := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return nil
	case !ok:
		return failuref(exitUsage, "run the command: %w", err)
	}
	if status, ok := ended.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return &exitError{128 + int(status.Signal())}
	}
	return &exitError{ended.ExitCode()}
}
