package top

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gdamore/tcell/v3/vt"
)

// scripted is a node that a test plays.
type scripted struct {
	mu       sync.Mutex
	snapshot func(n int) (Snapshot, error)
	asked    int
	did      []string
	refuse   error
}

func (s *scripted) Snapshot(context.Context) (Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	return s.snapshot(s.asked)
}

func (s *scripted) Drain(_ context.Context, worker string) error { return s.do("drain " + worker) }

func (s *scripted) SetQuiet(_ context.Context, worker string, quiet bool) error {
	if !quiet {
		return s.do("resume " + worker)
	}
	return s.do("quiet " + worker)
}

func (s *scripted) do(what string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.did = append(s.did, what)
	return s.refuse
}

func (s *scripted) done() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.did, ", ")
}

// emulated is a terminal that tells when something was written to it.
type emulated struct {
	vt.MockTerm
	mu      sync.Mutex
	output  bytes.Buffer
	written chan struct{}
}

func newEmulated(width, height int) *emulated {
	return &emulated{
		MockTerm: vt.NewMockTerm(vt.MockOptSize{X: vt.Col(width), Y: vt.Row(height)}, vt.MockOptColors(256)),
		written:  make(chan struct{}, 1),
	}
}

func (e *emulated) Write(b []byte) (int, error) {
	e.mu.Lock()
	e.output.Write(b)
	e.mu.Unlock()
	n, err := e.MockTerm.Write(b)
	select {
	case e.written <- struct{}{}:
	default:
	}
	return n, err
}

func (e *emulated) raw() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.output.String()
}

func (e *emulated) text() string {
	size := e.Backend().GetSize()
	var b strings.Builder
	for y := range size.Y {
		for x := range size.X {
			c := e.GetCell(vt.Coord{X: x, Y: y}).C
			if c == "" {
				c = " "
			}
			b.WriteString(c)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// await waits until the screen has a text.
func (e *emulated) await(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(time.Minute)
	for !strings.Contains(e.text(), text) {
		select {
		case <-e.written:
		case <-deadline:
			t.Fatalf("the screen never has %q:\n%s", text, e.text())
		}
	}
}

func (e *emulated) press(keys string) { e.SendRaw([]byte(keys)) }

// shown runs the loop on an emulated terminal.
type shown struct {
	*emulated
	source *scripted
	stop   context.CancelCauseFunc
	ended  chan error
}

func show(t *testing.T, change func(cfg *Config)) *shown {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	s := &shown{
		emulated: newEmulated(100, 30), stop: cancel, ended: make(chan error, 1),
		source: &scripted{snapshot: func(n int) (Snapshot, error) { return someNode(n), nil }},
	}
	cfg := Config{Source: s.source, Addr: "127.0.0.1:7400", Interval: shortestInterval, tty: s.emulated}
	if change != nil {
		change(&cfg)
	}
	go func() {
		defer func() {
			if reason := recover(); reason != nil {
				s.ended <- errors.New("panic: " + reason.(string))
			}
		}()
		s.ended <- Run(ctx, cfg)
	}()
	t.Cleanup(func() { cancel(nil) })
	return s
}

// end waits for the end of the loop and holds that the terminal is as it was.
func (s *shown) end(t *testing.T) error {
	t.Helper()
	err := <-s.ended
	out := s.raw()
	for on, off := range map[string]string{"\x1b[?1049h": "\x1b[?1049l", "\x1b[?25l": "\x1b[?25h"} {
		if !strings.Contains(out, on) || strings.LastIndex(out, off) < strings.LastIndex(out, on) {
			t.Errorf("%q was written and not taken back by %q", on, off)
		}
	}
	return err
}

func TestAPersonWatchesSteersAndQuits(t *testing.T) {
	s := show(t, nil)
	s.await(t, "node-1 v0.3.0  ready")
	s.await(t, "12.4k") // a rate: there were two answers
	s.press("\t/WEB-1")
	s.await(t, "WORKER 1/6")
	s.press("\x7f2\r")
	s.await(t, "only WEB-2")
	s.press("d")
	s.await(t, "drain worker web-2?")
	s.press("y")
	s.await(t, "web-2 was told to finish")
	s.press("\x1b")
	s.await(t, "WORKER 6")
	s.press("gQ")
	s.await(t, "web-1 gets nothing new")
	s.press("GQ")
	s.await(t, "takes tasks again")
	s.source.mu.Lock()
	s.source.refuse = errors.New("it left")
	s.source.mu.Unlock()
	s.press("gdy")
	s.await(t, "drain web-1: it left")
	if got := s.source.done(); got != "drain web-2, quiet web-1, resume 工作者-六, drain web-1" {
		t.Errorf("the node was told: %s", got)
	}
	s.press("q")
	if err := s.end(t); err != nil {
		t.Errorf("q ends it with %v", err)
	}
}

func TestKeysThatTypeNothingMove(t *testing.T) {
	s := show(t, nil)
	s.await(t, "ready")
	s.press("\t\x1b[B\x1b[B\x1b[A\x1b[Fd") // down, down, up, end
	s.await(t, "drain worker 工")
	s.press("n\x1b[H\x1b[B\x1b[6~\x1b[5~d") // home, down, page down, page up
	s.await(t, "drain worker web-1?")
	s.press("n\x1b[Z?") // back to the queues
	s.await(t, "BACKLOG  tasks in the log")
	s.press("\x03")
	if err := s.end(t); err != nil {
		t.Errorf("Ctrl-C ends it with %v", err)
	}
}

func TestPauseAsksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := show(t, nil)
		asked := func() int {
			s.source.mu.Lock()
			defer s.source.mu.Unlock()
			return s.source.asked
		}
		pass := func(d time.Duration) int {
			before := asked()
			<-time.After(d)
			synctest.Wait()
			return asked() - before
		}
		if n := pass(10 * shortestInterval); n < 9 {
			t.Errorf("%d questions in 10 intervals", n)
		}
		s.press("p")
		synctest.Wait()
		if n := pass(10 * shortestInterval); n != 0 || !strings.Contains(s.text(), "paused") {
			t.Errorf("%d questions while paused", n)
		}
		s.press("p")
		if n := pass(0); n != 1 || strings.Contains(s.text(), "paused") {
			t.Errorf("%d questions at once afterwards", n)
		}
		s.press("q")
		if err := s.end(t); err != nil {
			t.Error(err)
		}
	})
}

func TestTheScreenFollowsItsSize(t *testing.T) {
	s := show(t, nil)
	s.await(t, "ready")
	if strings.Contains(s.text(), "HALT") {
		t.Fatal("there is more room than the test wants")
	}
	s.SetSize(vt.Coord{X: 160, Y: 40})
	s.await(t, "HALT")
	s.SetSize(vt.Coord{X: 60, Y: 10})
	s.await(t, "paus…")
	s.press("q")
	if err := s.end(t); err != nil {
		t.Error(err)
	}
}

func TestANodeThatIsAwayIsAskedAgain(t *testing.T) {
	s := show(t, func(cfg *Config) {
		cfg.Source.(*scripted).snapshot = func(n int) (Snapshot, error) {
			if n < 4 {
				return Snapshot{}, errors.New("connection refused")
			}
			return someNode(n), nil
		}
	})
	s.await(t, "trying again: connection refused")
	s.await(t, "ready")
	s.press("q")
	if err := s.end(t); err != nil {
		t.Error(err)
	}
}

func TestTheTerminalIsGivenBackHoweverItEnds(t *testing.T) {
	told := errors.New("told to stop")
	t.Run("told to stop", func(t *testing.T) {
		s := show(t, nil)
		s.await(t, "ready")
		s.stop(told)
		if err := s.end(t); !errors.Is(err, told) {
			t.Errorf("it ends with %v", err)
		}
	})
	t.Run("panic in a question", func(t *testing.T) {
		s := show(t, func(cfg *Config) {
			cfg.Source.(*scripted).snapshot = func(int) (Snapshot, error) { panic("no such luck") }
		})
		if err := s.end(t); err == nil || !strings.Contains(err.Error(), "no such luck") || !strings.Contains(err.Error(), "run_test.go") {
			t.Errorf("it ends with %v, want the panic and where it was", err)
		}
	})
	t.Run("question without an answer", func(t *testing.T) {
		asked := make(chan struct{})
		s := show(t, func(cfg *Config) { cfg.Source = silent{asked} })
		<-asked
		s.await(t, "127.0.0.1:7400")
		s.press("q")
		if err := s.end(t); err != nil {
			t.Errorf("it ends with %v", err)
		}
	})
}

// silent never answers.
type silent struct{ asked chan struct{} }

func (s silent) Snapshot(ctx context.Context) (Snapshot, error) {
	close(s.asked)
	<-ctx.Done()
	return Snapshot{}, ctx.Err()
}

func (silent) Drain(context.Context, string) error          { return nil }
func (silent) SetQuiet(context.Context, string, bool) error { return nil }

func TestColoursAreUsedOnlyWhereTheyAreWanted(t *testing.T) {
	for _, none := range []bool{false, true} {
		s := show(t, func(cfg *Config) { cfg.NoColour = none })
		s.await(t, "ejected")
		s.press("q")
		if err := s.end(t); err != nil {
			t.Error(err)
		}
		coloured := strings.Contains(s.raw(), "\x1b[31m") || strings.Contains(s.raw(), "\x1b[32m") || strings.Contains(s.raw(), "\x1b[38;5;")
		if coloured == none {
			t.Errorf("without colours %v, but coloured %v", none, coloured)
		}
		if !strings.Contains(s.raw(), "\x1b[1m") {
			t.Error("nothing is bold")
		}
	}
}

func TestOnlyWhatChangedIsWritten(t *testing.T) {
	asks := make(chan struct{}) // each receive lets the loop refresh once more
	s := show(t, func(cfg *Config) {
		cfg.Source.(*scripted).snapshot = func(int) (Snapshot, error) {
			select {
			case asks <- struct{}{}:
			case <-t.Context().Done():
			}
			return someNode(0), nil
		}
	})
	for range 3 { // the first two answers bring the screen and its rates
		<-asks
	}
	const refreshes = 10
	first := len(s.raw())
	for range refreshes {
		<-asks
	}
	// The answer before the first of these may be drawn among them.
	if more := len(s.raw()) - first; more > (refreshes+1)*600 {
		t.Errorf("%d refreshes without news wrote %d bytes: %q", refreshes, more, s.raw()[first:])
	}
	s.press("q")
	go func() { // lets the question that is open end
		select {
		case <-asks:
		case <-t.Context().Done():
		}
	}()
	if err := s.end(t); err != nil {
		t.Error(err)
	}
}

func TestAConfigThatCannotWorkIsRefused(t *testing.T) {
	if err := Run(t.Context(), Config{}); err == nil {
		t.Error("no source is fine")
	}
	if err := Run(t.Context(), Config{Source: &scripted{}, Interval: time.Millisecond}); err == nil || !strings.Contains(err.Error(), "100ms") {
		t.Errorf("an interval of 1 ms: %v", err)
	}
	if err := Follow(t.Context(), Config{}, nil); err == nil {
		t.Error("no source is fine for Follow")
	}
}
