package child_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fenfa/fenfa/internal/child"
)

// The test binary is its own child: the environment says what it should be.
const envRole = "FENFA_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(envRole) {
	case "":
		goleak.VerifyTestMain(m)
	case "exit":
		os.Exit(3)
	case "patient": // ends by SIGTERM
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGTERM)
		fmt.Fprintln(os.Stderr, "ready")
		<-signals
	case "stubborn": // does not end by SIGTERM
		signal.Ignore(syscall.SIGTERM)
		fmt.Fprintln(os.Stderr, "ready")
		select {}
	case "broken-node":
		fmt.Fprintln(os.Stderr, "the disk is on fire")
		os.Exit(6)
	case "node":
		serve(os.Args)
	}
}

// serve is a node that is ready at its second answer.
func serve(args []string) {
	addr := ""
	for i, arg := range args {
		if arg == "--http-listen" {
			addr = args[i+1]
		}
	}
	asked := 0
	err := http.ListenAndServe(addr, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked < 2 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	panic(err)
}

// start starts the test binary in a role, and waits until it says that it is
// ready.
func start(t *testing.T, role string, ready bool) *child.Process {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p, err := child.Start(child.Config{Path: os.Args[0], Args: []string{role}, Env: []string{envRole + "=" + role}, Stderr: w})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill() })
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if ready {
		if line, err := bufio.NewReader(r).ReadString('\n'); err != nil || line != "ready\n" {
			t.Fatalf("child said %q, %v", line, err)
		}
	}
	return p
}

func TestExitIsSeen(t *testing.T) {
	p := start(t, "exit", false)
	<-p.Done()
	if err := p.Err(); err == nil || err.Error() != "exit status 3" {
		t.Errorf("ended with %v", err)
	}
	if err := p.Stop(time.Minute); err != nil {
		t.Errorf("stop of an ended process: %v", err)
	}
}

func TestStopLetsTheProcessEndByItself(t *testing.T) {
	p := start(t, "patient", true)
	if p.Err() != nil {
		t.Errorf("a running process has ended with %v", p.Err())
	}
	if err := p.Stop(time.Minute); err != nil || p.Err() != nil {
		t.Errorf("stop: %v, ended with %v", err, p.Err())
	}
}

func TestStopKillsWhatDoesNotEnd(t *testing.T) {
	p := start(t, "stubborn", true)
	err := p.Stop(time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "not gone after 1ms") {
		t.Errorf("stop: %v", err)
	}
	if err := p.Err(); err == nil || err.Error() != "signal: killed" {
		t.Errorf("ended with %v", err)
	}
}

func TestKillCannotBeIgnored(t *testing.T) {
	p := start(t, "stubborn", true)
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(p.PID(), 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the process is still there: %v", err)
	}
}

func TestFrozenProcessGoesOnWhereItWas(t *testing.T) {
	p := start(t, "patient", true)
	if err := p.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := p.Thaw(); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(time.Minute); err != nil || p.Err() != nil {
		t.Errorf("stop: %v, ended with %v", err, p.Err())
	}
	if err := p.Freeze(); err != nil {
		t.Errorf("freeze of an ended process: %v", err)
	}
}

func TestFrozenProcessCanBeKilled(t *testing.T) {
	p := start(t, "patient", true)
	if err := p.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil || p.Err() == nil {
		t.Errorf("kill: %v, ended with %v", err, p.Err())
	}
}

func TestChildIsInAGroupOfItsOwn(t *testing.T) {
	p := start(t, "stubborn", true)
	group, err := syscall.Getpgid(p.PID())
	if err != nil || group != p.PID() {
		t.Errorf("the group is %d, want %d (%v): a Ctrl-C would reach the child", group, p.PID(), err)
	}
}

func TestMissingBinaryIsAnError(t *testing.T) {
	if _, err := child.Start(child.Config{Path: "/no/such/binary", Args: []string{"serve"}}); err == nil || !strings.HasPrefix(err.Error(), "start serve: ") {
		t.Errorf("got %v", err)
	}
}

func node(t *testing.T, role string) *child.Node {
	t.Helper()
	n, err := child.NewNode(child.NodeConfig{Path: os.Args[0], Dir: t.TempDir(), Env: []string{envRole + "=" + role}})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Stop(time.Second) })
	return n
}

func TestNodeKeepsItsAddressOverARestart(t *testing.T) {
	n := node(t, "node")
	if err := n.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	addr, pid := n.Addr(), n.PID()
	if err := n.Kill(); err != nil {
		t.Fatal(err)
	}
	<-n.Done()
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	if err := n.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n.Addr() != addr || n.PID() == pid {
		t.Errorf("address %s and pid %d, before %s and %d", n.Addr(), n.PID(), addr, pid)
	}
	if _, _, err := net.SplitHostPort(addr); err != nil {
		t.Errorf("address %q: %v", addr, err)
	}
}

func TestNodeThatEndsIsReportedWithItsLog(t *testing.T) {
	n := node(t, "broken-node")
	err := n.Ready(t.Context())
	if err == nil || !strings.Contains(err.Error(), "exit status 6") || !strings.Contains(err.Error(), "the disk is on fire") {
		t.Errorf("got %v", err)
	}
	if n.LogPath() != filepath.Join(filepath.Dir(n.DataDir()), "node.log") {
		t.Errorf("log is %s, data %s", n.LogPath(), n.DataDir())
	}
}

func TestWaitingForANodeEndsWithItsContext(t *testing.T) {
	n := node(t, "stubborn")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := n.Ready(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if err := n.Kill(); err != nil {
		t.Error(err)
	}
}

func TestUsageIsReadFromTheKernel(t *testing.T) {
	usage, err := child.UsageOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if usage.RSS < 1<<20 || usage.PeakRSS < usage.RSS/2 || usage.CPU < 0 {
		t.Errorf("usage is %+v", usage)
	}
	if _, err := child.UsageOf(1 << 30); err == nil {
		t.Error("a process that is not there has a usage")
	}
}
