package main

import (
	"bytes"
	"os"
	"os/exec"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// terminal is a pseudo terminal: the process has one end, and the test the other.
type terminal struct {
	test, process *os.File
	before        *term.State

	mu     sync.Mutex
	output bytes.Buffer
}

func openTerminal(t *testing.T, width, height uint16) *terminal {
	t.Helper()
	test, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	fd := int(test.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: height}); err != nil {
		t.Fatal(err)
	}
	process, err := os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	before, err := term.GetState(int(process.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	tty := &terminal{test: test, process: process, before: before}
	var reader sync.WaitGroup
	reader.Go(tty.read)
	t.Cleanup(func() {
		_ = process.Close() // Ends the reader.
		reader.Wait()
		_ = test.Close()
	})
	return tty
}

// read keeps what the process writes.
func (tty *terminal) read() {
	buf := make([]byte, 4096)
	for {
		n, err := tty.test.Read(buf)
		if err != nil {
			return
		}
		tty.mu.Lock()
		tty.output.Write(buf[:n])
		tty.mu.Unlock()
	}
}

func (tty *terminal) text() string {
	tty.mu.Lock()
	defer tty.mu.Unlock()
	return tty.output.String()
}

// start runs a command line on the terminal.
func (tty *terminal) start(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := fenfaCommand(t, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty.process, tty.process, tty.process
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	cmd.Env = append(os.Environ(), "TERM=xterm-256color", "LC_ALL=C.UTF-8", "NO_COLOR=")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd
}

func (tty *terminal) await(t *testing.T, text string) {
	t.Helper()
	waitFor(t, func() bool { return strings.Contains(tty.text(), text) })
}

func (tty *terminal) press(t *testing.T, keys string) {
	t.Helper()
	if _, err := tty.test.WriteString(keys); err != nil {
		t.Fatal(err)
	}
}

// wantRestored holds that the terminal is as it was before the command.
func (tty *terminal) wantRestored(t *testing.T) {
	t.Helper()
	after, err := term.GetState(int(tty.process.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(after, tty.before) {
		t.Errorf("the terminal is %+v, and was %+v", after, tty.before)
	}
	// The screen that was there before, and the cursor, come last.
	waitFor(t, func() bool {
		text := tty.text()
		return strings.LastIndex(text, "\x1b[?1049l") > strings.LastIndex(text, "\x1b[?1049h") &&
			strings.LastIndex(text, "\x1b[?25h") > strings.LastIndex(text, "\x1b[?25l")
	})
}

func TestTopGivesTheTerminalBack(t *testing.T) {
	n := busyNode(t)
	for name, c := range map[string]struct {
		end  func(tty *terminal, cmd *exec.Cmd) error
		code int
		says string
	}{
		"q":      {func(tty *terminal, _ *exec.Cmd) error { _, err := tty.test.WriteString("q"); return err }, exitOK, ""},
		"Ctrl-C": {func(tty *terminal, _ *exec.Cmd) error { _, err := tty.test.WriteString("\x03"); return err }, exitOK, ""},
		"SIGTERM": {
			func(_ *terminal, cmd *exec.Cmd) error { return cmd.Process.Signal(syscall.SIGTERM) },
			exitInterrupted, "fenfa: interrupted",
		},
	} {
		t.Run(name, func(t *testing.T) {
			tty := openTerminal(t, 100, 30)
			cmd := tty.start(t, "top", "--addr", n.grpc, "--interval", "100ms")
			tty.await(t, "round_robin")
			tty.await(t, "w-1")
			if during, err := term.GetState(int(tty.process.Fd())); err != nil || reflect.DeepEqual(during, tty.before) {
				t.Errorf("the terminal is not in raw mode: %+v, %v", during, err)
			}
			if err := c.end(tty, cmd); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // The exit code says it.
			if code := cmd.ProcessState.ExitCode(); code != c.code {
				t.Errorf("exit code %d, want %d:\n%q", code, c.code, tty.text())
			}
			tty.wantRestored(t)
			if text := tty.text(); !strings.Contains(text[strings.LastIndex(text, "\x1b[?1049l"):], c.says) {
				t.Errorf("afterwards it does not say %q: %q", c.says, text)
			}
		})
	}
}

func TestAWorkerIsDrainedFromTop(t *testing.T) {
	n := serveNode(t, t.TempDir())
	n.ok(t, &queueView{}, "queue", "set", "mail")
	worker := startWorker(t, n, "--queue", "mail", "--exec", "true")
	tty := openTerminal(t, 100, 30)
	top := tty.start(t, "top", "--addr", n.grpc, "--interval", "100ms")
	tty.await(t, "w-1")
	tty.press(t, "\td")
	tty.await(t, "drain worker w-1?")
	tty.press(t, "y")
	if err := worker.Wait(); err != nil {
		t.Errorf("the worker ended with %v", err)
	}
	tty.press(t, "q")
	if err := top.Wait(); err != nil {
		t.Errorf("top ended with %v", err)
	}
	tty.wantRestored(t)
}
