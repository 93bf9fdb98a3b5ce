package loopback

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// envHolder makes the test binary a process that reserves ports and holds them.
const envHolder = "FENFA_TEST_LOOPBACK_HOLDER"

func TestMain(m *testing.M) {
	if os.Getenv(envHolder) != "" {
		hold()
		return
	}
	os.Exit(m.Run())
}

// hold prints a reserved port and holds it until its input ends or it is killed.
func hold() {
	r, err := Reserve(1)
	if err != nil {
		panic(err)
	}
	if _, err := os.Stdout.WriteString(strconv.Itoa(r.Ports()[0]) + "\n"); err != nil {
		panic(err)
	}
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	runtime.KeepAlive(r)
}

// reserve reserves ports for as long as the test runs.
func reserve(t *testing.T, count int) []int {
	t.Helper()
	r, err := Reserve(count)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Release(); err != nil {
			t.Error(err)
		}
	})
	return r.Ports()
}

// lockedElsewhere reports whether somebody has the lock of a port.
func lockedElsewhere(t *testing.T, dir string, port int) bool {
	t.Helper()
	r := &Reservation{}
	if err := r.try(dir, port); err != nil {
		t.Fatal(err)
	}
	had := len(r.ports) == 1
	if err := r.Release(); err != nil {
		t.Fatal(err)
	}
	return !had
}

func TestNobodyElseGetsAReservedPort(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var (
		mu    sync.Mutex
		all   []int
		group sync.WaitGroup
	)
	for range 20 {
		group.Go(func() {
			ports := reserve(t, 50)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, ports...)
		})
	}
	group.Wait()
	slices.Sort(all)
	if got := len(slices.Compact(all)); got != 20*50 {
		t.Errorf("%d different ports in 1000 that were handed out", got)
	}
	if all[0] < lowestPort || all[len(all)-1] >= abovePort {
		t.Errorf("ports from %d to %d", all[0], all[len(all)-1])
	}
}

func TestAReservationOfAnotherProcessHoldsUntilItEnds(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir := directory()
	holder := exec.CommandContext(t.Context(), os.Args[0])
	holder.Env = append(os.Environ(), envHolder+"=1")
	if _, err := holder.StdinPipe(); err != nil { // it must not read the end of input
		t.Fatal(err)
	}
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if !lockedElsewhere(t, dir, port) {
		t.Errorf("port %d of a process that runs can be had", port)
	}
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait()
	if lockedElsewhere(t, dir, port) {
		t.Errorf("port %d of a process that was killed cannot be had", port)
	}
}

func TestAPortThatSomebodyListensOnIsNotHandedOut(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	port := reserve(t, 1)[0]
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", Addr(port))
	if err != nil {
		t.Fatalf("the reserved port cannot be used: %v", err)
	}
	defer func() { _ = listener.Close() }()
	if !lockedElsewhere(t, t.TempDir(), port) { // other locks: only the listener is in the way
		t.Errorf("port %d is handed out although somebody listens on it", port)
	}
}

func TestAReleasedPortCanBeHadAgain(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	r, err := Reserve(3)
	if err != nil {
		t.Fatal(err)
	}
	dir := directory()
	port := r.Ports()[2]
	if !lockedElsewhere(t, dir, port) {
		t.Errorf("port %d is reserved and can be had", port)
	}
	for range 2 {
		if err := r.Release(); err != nil {
			t.Fatal(err)
		}
	}
	if lockedElsewhere(t, dir, port) {
		t.Errorf("port %d was released and cannot be had", port)
	}
}

func TestWhatCannotBeReservedIsAnError(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	if _, err := Reserve(abovePort - lowestPort + 1); err == nil || !strings.Contains(err.Error(), "more than there are") {
		t.Errorf("more ports than there are: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", file)
	if _, err := Reserve(1); err == nil || !strings.Contains(err.Error(), "reserve ports") {
		t.Errorf("a temporary directory that is a file: %v", err)
	}
}
