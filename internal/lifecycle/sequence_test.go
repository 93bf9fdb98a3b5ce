package lifecycle

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBroken = errors.New("broken")

// journal records what parts do.
type journal struct{ lines []string }

func (j *journal) part(name string) Part {
	note := func(what string) func(context.Context) error {
		return func(context.Context) error {
			j.lines = append(j.lines, what+" "+name)
			return nil
		}
	}
	return Part{Name: name, Start: note("start"), Drain: note("drain"), Stop: note("stop")}
}

func (j *journal) expect(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(j.lines, want) {
		t.Errorf("got %q\nwant %q", j.lines, want)
	}
	j.lines = nil
}

func TestPartsStartInOrderAndEndInReverse(t *testing.T) {
	var j journal
	s := New(j.part("a"), j.part("b"), Part{Name: "nothing"}, j.part("c"))
	for range 2 { // It can be started again.
		if err := errors.Join(s.Start(t.Context()), s.Drain(t.Context()), s.Stop(t.Context())); err != nil {
			t.Fatal(err)
		}
		j.expect(t, "start a", "start b", "start c", "drain c", "drain b", "drain a", "stop c", "stop b", "stop a")
	}
	if err := errors.Join(s.Stop(t.Context()), s.Drain(t.Context())); err != nil {
		t.Fatal(err)
	}
	j.expect(t)
}

func TestAFailedStartStopsWhatWasStarted(t *testing.T) {
	var j journal
	bad := j.part("bad")
	bad.Start = func(context.Context) error { return errBroken }
	s := New(j.part("a"), j.part("b"), bad, j.part("c"))
	err := s.Start(t.Context())
	if !errors.Is(err, errBroken) || !strings.HasPrefix(err.Error(), "start bad: ") {
		t.Fatalf("got %v", err)
	}
	j.expect(t, "start a", "start b", "stop b", "stop a")
}

func TestACancelledStartStopsWhatWasStarted(t *testing.T) {
	var j journal
	ctx, cancel := context.WithCancel(t.Context())
	first := j.part("a")
	first.Start = func(context.Context) error { cancel(); return nil }
	first.Stop = func(ctx context.Context) error {
		j.lines = append(j.lines, "stop a")
		return ctx.Err()
	}
	if err := New(first, j.part("b")).Start(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	j.expect(t, "stop a")
}

func TestASequenceThatRunsIsNotStartedTwice(t *testing.T) {
	var j journal
	s := New(j.part("a"))
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err == nil {
		t.Error("it was")
	}
	j.expect(t, "start a")
}

func TestErrorsOfOnePartDoNotKeepOthersFromEnding(t *testing.T) {
	var j journal
	bad := j.part("bad")
	bad.Drain = func(context.Context) error { return errBroken }
	bad.Stop = bad.Drain
	s := New(j.part("a"), bad, j.part("c"))
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	j.lines = nil
	if err := s.Drain(t.Context()); !errors.Is(err, errBroken) || err.Error() != "drain bad: broken" {
		t.Errorf("drain: %v", err)
	}
	if err := s.Stop(t.Context()); !errors.Is(err, errBroken) || err.Error() != "stop bad: broken" {
		t.Errorf("stop: %v", err)
	}
	j.expect(t, "drain c", "drain a", "stop c", "stop a")
}

func TestAPartThatHangsIsLeftBehindAtTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		release := make(chan struct{})
		defer close(release)
		hangs := Part{Name: "hangs", Stop: func(context.Context) error { <-release; return nil }}
		s := New(j.part("a"), hangs)
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := s.Stop(ctx)
		if !errors.Is(err, ErrOverrun) || !strings.Contains(err.Error(), "stop hangs") {
			t.Errorf("got %v", err)
		}
		if len(j.lines) != 2 || j.lines[1] != "stop a" {
			t.Errorf("the part before was not stopped: %q", j.lines)
		}
	})
}

func TestAPartThatHangsInDrainIsLeftBehindAndStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		release := make(chan struct{})
		defer close(release)
		hangs := j.part("hangs")
		hangs.Drain = func(context.Context) error { <-release; return nil }
		s := New(j.part("a"), hangs)
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		j.lines = nil
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := s.Drain(ctx)
		if !errors.Is(err, ErrOverrun) || !strings.Contains(err.Error(), "drain hangs") {
			t.Errorf("got %v", err)
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		j.expect(t, "drain a", "stop hangs", "stop a")
	})
}

func TestAPartMaySayWhatItLeavesAtTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		obeys := Part{Name: "obeys", Drain: func(ctx context.Context) error {
			<-ctx.Done()
			<-time.After(grace / 2)
			return errBroken
		}}
		s := New(obeys)
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.Drain(ctx); !errors.Is(err, errBroken) || errors.Is(err, ErrOverrun) {
			t.Errorf("got %v", err)
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
