package child

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Config says what to start.
type Config struct {
	Path   string    // the binary
	Args   []string  // without the name of the binary
	Env    []string  // in addition to the parent's, NAME=value
	Stderr io.Writer // default: discarded; a *os.File is handed over as it is
}

// Process is a child that was started.
type Process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	err  error         // how it ended; set before done is closed
}

// Start starts a process.
func Start(cfg Config) (*Process, error) {
	// The life of a child does not hang on a context: Stop and Kill end it.
	cmd := exec.Command(cfg.Path, cfg.Args...) //nolint:noctx,gosec // See above; the binary is our own.
	cmd.Env = append(os.Environ(), cfg.Env...)
	cmd.Stderr = cfg.Stderr
	cmd.SysProcAttr = Attributes()
	p := &Process{cmd: cmd, done: make(chan struct{})}
	if len(cfg.Args) > 0 {
		p.name = cfg.Args[0]
	}
	started := make(chan error)
	go p.supervise(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	return p, nil
}

// supervise starts the process and waits for it, on one thread: the kernel ties
// "kill the child when its parent dies" to the thread that started it.
func (p *Process) supervise(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	p.err = p.cmd.Wait()
	close(p.done)
}

// PID returns the process's number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err says how the process ended, and nil before that or when it exited with 0.
func (p *Process) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// Kill ends the process by SIGKILL, which it cannot notice, and waits until it is
// gone.
func (p *Process) Kill() error { return p.end(context.Background(), syscall.SIGKILL) }

// Freeze stops the process where it is (SIGSTOP) and waits until all of it stands
// still, where the kernel tells (Linux). Thaw lets it go on.
func (p *Process) Freeze() error {
	if err := p.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	// It takes microseconds; a process that has died meanwhile never stops.
	for range 10_000 {
		state, known := stateOf(p.PID())
		if !known || state != stateRunning && state != stateSleeping {
			return nil
		}
		runtime.Gosched()
	}
	return fmt.Errorf("freeze %s: it does not stand still", p.name)
}

// Thaw lets a process go on that Freeze stopped.
func (p *Process) Thaw() error { return p.signal(syscall.SIGCONT) }

// Stop asks the process to drain by SIGTERM, waits for it at most as long as
// given, and then kills it. It returns an error when it had to.
func (p *Process) Stop(patience time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.end(ctx, syscall.SIGTERM); err != nil {
		return errors.Join(fmt.Errorf("stop %s: not gone after %v", p.name, patience), p.Kill())
	}
	return nil
}

func (p *Process) end(ctx context.Context, signal syscall.Signal) error {
	if err := p.signal(signal); err != nil {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *Process) signal(signal syscall.Signal) error {
	if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %s: %w", p.name, err)
	}
	return nil
}
