package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/loopback"
)

// The test binary is the command when the environment says so: the tests run it
// as processes of its own, and the demo and the benchmarks start it again as
// their nodes and workers.
const envMain = "FENFA_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(envMain) != "" {
		main()
	}
	if err := os.Setenv(envMain, "1"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// patience bounds everything that another process does.
const patience = 2 * time.Minute

// fenfaCommand prepares a command line as a process of its own.
func fenfaCommand(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Dir = t.TempDir()
	return cmd
}

// process runs a command line to its end.
func process(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := fenfaCommand(t, args...)
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errOut
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatalf("run %v: %v", args, err)
	}
	for _, bad := range []string{"panic:", "goroutine 1", "Usage:\n"} {
		if strings.Contains(errOut.String(), bad) {
			t.Errorf("standard error of %v has %q:\n%s", args, bad, errOut.String())
		}
	}
	return cmd.ProcessState.ExitCode(), out.String(), errOut.String()
}

// served is a node in a process of its own.
type served struct {
	grpc, http, dir string
	cmd             *exec.Cmd
	log             *os.File
	ended           chan struct{}
}

// serveNode starts a node on a data directory and waits until it is ready.
func serveNode(t *testing.T, dir string) *served {
	t.Helper()
	return serveUntil(t, dir, "/readyz")
}

// serveUntil starts a node and waits until a page of it is good.
func serveUntil(t *testing.T, dir, page string) *served {
	t.Helper()
	return serveReady(t, dir, func(addr string) bool { return get(t, "http://"+addr+page) == http.StatusOK })
}

// serveReady starts a node and waits until what is asked of its HTTP address is so.
func serveReady(t *testing.T, dir string, ready func(addr string) bool) *served {
	t.Helper()
	n := &served{grpc: freeAddr(t), http: freeAddr(t), dir: dir, ended: make(chan struct{})}
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	n.log = log
	n.cmd = fenfaCommand(t, n.args()...)
	n.cmd.Stderr = log
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(n.ended)
		_ = n.cmd.Wait() // The exit code says it.
	}()
	t.Cleanup(func() {
		_ = n.cmd.Process.Kill()
		<-n.ended
		_ = log.Close()
		if t.Failed() {
			t.Logf("log of the node:\n%s", n.said(t))
		}
	})
	waitFor(t, func() bool {
		select {
		case <-n.ended:
			t.Fatalf("the node ended with code %d:\n%s", n.cmd.ProcessState.ExitCode(), n.said(t))
		default:
		}
		return ready(n.http)
	})
	return n
}

func (n *served) args() []string {
	return []string{"serve", "--data-dir", n.dir, "--grpc-listen", n.grpc, "--http-listen", n.http}
}

func (n *served) said(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(n.log.Name())
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

// run runs a command line against the node.
func (n *served) run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return process(t, "", append(args, "--addr", n.grpc)...)
}

// ok runs a command line that must succeed, and reads its JSON into view.
func (n *served) ok(t *testing.T, view any, args ...string) {
	t.Helper()
	code, stdout, stderr := n.run(t, append(args, "--json")...)
	if code != exitOK {
		t.Fatalf("%v: exit code %d: %s", args, code, stderr)
	}
	if err := json.Unmarshal([]byte(stdout), view); err != nil {
		t.Fatalf("%v: output is no JSON: %v: %s", args, err, stdout)
	}
}

// stop lets the node drain and returns its exit code.
func (n *served) stop(t *testing.T) int {
	t.Helper()
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-n.ended
	return n.cmd.ProcessState.ExitCode()
}

// get returns the status of an address, 0 when nobody answers.
func get(t *testing.T, url string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode
}

// freeAddr reserves an address of loopback for as long as the test runs.
func freeAddr(t *testing.T) string {
	t.Helper()
	ports, err := loopback.Reserve(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ports.Release(); err != nil {
			t.Error(err)
		}
	})
	return ports.Addr(0)
}
