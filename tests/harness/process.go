package harness

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/child"
)

// tailBytes is how much of a log a failed test shows.
const tailBytes = 4 << 10

// Process is a child of the test, with what it says in a file.
type Process struct {
	t     *testing.T
	name  string
	log   string
	child *child.Process
}

// logNumber tells the log files of one test run apart.
var logNumber atomic.Int64 //nolint:gochecknoglobals // A number for file names, nothing depends on its value.

// Start runs a command. The end of the test kills it if it still runs.
func Start(t *testing.T, name string, env []string, path string, args ...string) *Process {
	t.Helper()
	p := &Process{t: t, name: name, log: filepath.Join(t.TempDir(), fmt.Sprintf("%s-%d.log", name, logNumber.Add(1)))}
	file, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	p.child, err = child.Start(child.Config{Path: path, Args: args, Env: env, Stderr: file})
	if err != nil {
		t.Fatal(errors.Join(err, file.Close()))
	}
	t.Cleanup(func() {
		p.Kill()
		if err := file.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("end of the log of %s (%v):\n%s", name, p.child.Err(), p.Tail())
		}
	})
	return p
}

// StartSelf runs the test binary once more. Its TestMain sees from the environment
// that it is not a test.
func StartSelf(t *testing.T, name string, env ...string) *Process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Start(t, name, env, self)
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.child.Done() }

// Kill ends the process at once, as a power cut would end the machine's, and
// waits until it is gone.
func (p *Process) Kill() {
	p.t.Helper()
	if err := p.child.Kill(); err != nil {
		p.t.Error(err)
	}
}

// Freeze stops the process where it is (SIGSTOP), and Thaw lets it go on.
func (p *Process) Freeze() {
	p.t.Helper()
	if err := p.child.Freeze(); err != nil {
		p.t.Fatal(err)
	}
}

// Thaw lets a process go on that Freeze stopped.
func (p *Process) Thaw() {
	p.t.Helper()
	if err := p.child.Thaw(); err != nil {
		p.t.Fatal(err)
	}
}

// Stop asks the process to end (SIGTERM) and returns its exit code. One that has
// not ended within Patience is killed and fails the test.
func (p *Process) Stop() int {
	p.t.Helper()
	if err := p.child.Stop(Patience); err != nil {
		p.t.Error(err)
	}
	return p.Code()
}

// Wait waits until the process has ended by itself and returns its exit code.
func (p *Process) Wait() int {
	p.t.Helper()
	select {
	case <-p.Done():
		return p.Code()
	case <-time.After(Patience):
		p.t.Fatalf("%s did not end within %v", p.name, Patience)
		return -1
	}
}

// Code is the exit code of a process that has ended; -1 when a signal ended it.
func (p *Process) Code() int {
	if exit, ok := errors.AsType[*exec.ExitError](p.child.Err()); ok {
		return exit.ExitCode()
	}
	return 0
}

// Output returns all that the process said so far.
func (p *Process) Output() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		p.t.Error(err)
	}
	return string(b)
}

// Tail returns the last few thousand bytes of what the process said, in whole
// lines.
func (p *Process) Tail() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	if len(b) > tailBytes {
		b = b[len(b)-tailBytes:]
		b = b[bytes.IndexByte(b, '\n')+1:]
	}
	return string(b)
}
