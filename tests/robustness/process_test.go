package robustness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/child"
)

// patience bounds every wait for something that must happen: far longer than it
// ever takes, so that only what never happens fails.
const patience = 60 * time.Second

// process is a child of the test, with what it says in a file.
type process struct {
	*child.Process
	t    *testing.T
	name string
	log  string
}

// logNumber tells the log files of one test run apart.
var logNumber atomic.Int64

// start runs a command. The end of the test kills it if it still runs, and shows
// the end of its log if the test failed.
func start(t *testing.T, name string, env []string, path string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: name, log: filepath.Join(t.TempDir(), fmt.Sprintf("%s-%d.log", name, logNumber.Add(1)))}
	file, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	p.Process, err = child.Start(child.Config{Path: path, Args: args, Env: env, Stderr: file})
	if err != nil {
		t.Fatal(errors.Join(err, file.Close()))
	}
	t.Cleanup(func() {
		p.kill()
		if err := file.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("end of the log of %s (%v):\n%s", name, p.Err(), p.tail(4<<10))
		}
	})
	return p
}

// signal sends a signal to a process that runs.
func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := syscall.Kill(p.PID(), s); err != nil {
		p.t.Fatalf("send %v to %s: %v", s, p.name, err)
	}
}

// kill ends the process at once, as a power cut would end the machine's, and
// waits until it is gone.
func (p *process) kill() {
	p.t.Helper()
	if err := p.Kill(); err != nil {
		p.t.Error(err)
	}
}

// stop asks the process to end and returns its exit code.
func (p *process) stop() int {
	p.t.Helper()
	if err := p.Stop(patience); err != nil {
		p.t.Error(err)
	}
	return p.code()
}

// wait waits until the process has ended by itself and returns its exit code.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.Done():
		return p.code()
	case <-time.After(patience):
		p.t.Fatalf("%s did not end within %v", p.name, patience)
		return -1
	}
}

// code is the exit code of a process that has ended; -1 when a signal ended it.
func (p *process) code() int {
	if exit, ok := errors.AsType[*exec.ExitError](p.Err()); ok {
		return exit.ExitCode()
	}
	return 0
}

// output returns all that the process said so far.
func (p *process) output() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b)
}

// tail returns the last bytes of what the process said, in whole lines.
func (p *process) tail(n int) string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	if len(b) > n {
		b = b[len(b)-n:]
		b = b[bytes.IndexByte(b, '\n')+1:]
	}
	return string(b)
}

// eventually waits until what holds, asking again and again: for what another
// process does there is no signal to wait for.
func eventually(ctx context.Context, what string, holds func(context.Context) bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !holds(ctx) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w", what, ctx.Err())
		case <-ticker.C:
		}
	}
	return nil
}
