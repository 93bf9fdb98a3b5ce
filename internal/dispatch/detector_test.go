package dispatch

import (
	"errors"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// state is that of the worker "w".
func (b *bench) state() State {
	for _, w := range b.Workers() {
		if w.ID == "w" {
			return w.State
		}
	}
	return "gone"
}

func TestASilentWorkerIsSuspectThenDead(t *testing.T) {
	b := newBench(t)
	s := b.worker("w", 2)
	q := settings("q")
	b.assign(0, q, "")
	for _, c := range []struct {
		after time.Duration
		want  State
	}{
		{1400 * time.Millisecond, StateActive},
		{1500 * time.Millisecond, StateSuspect},
		{2900 * time.Millisecond, StateSuspect},
		{3000 * time.Millisecond, "gone"},
	} {
		b.clock.Advance(c.after - b.clock.Now().Sub(s.since))
		if got := b.state(); got != c.want {
			t.Fatalf("after %v of silence the worker is %s, want %s", c.after, got, c.want)
		}
		if c.want == StateSuspect && b.assign(1, q, "") != 0 {
			t.Fatal("a suspect worker got something new")
		}
		b.check()
	}
	if err := s.Next(t.Context(), &Batch{}); !errors.Is(err, ErrSilent) {
		t.Errorf("the stream ends with %v", err)
	}
	if got := b.engine.take(); len(got) != 1 || got[0].what != "gone" {
		t.Errorf("engine heard %+v", got)
	}
}

func TestASuspectWorkerThatSpeaksGetsWorkAtOnce(t *testing.T) {
	b := newBench(t)
	s := b.worker("w", 1)
	b.clock.Advance(2 * time.Second)
	b.assign(4, settings("q"), "")
	s.Heard()
	if got := b.engine.woken(); len(got) != 1 || got[0] != 4 {
		t.Fatalf("woken %v", got)
	}
	if got := b.state(); got != StateActive {
		t.Errorf("state is %s", got)
	}
}

func TestHeartbeatsKeepAWorkerAlive(t *testing.T) {
	b := newBench(t)
	s := b.worker("w", 1)
	for range 100 {
		b.clock.Advance(500 * time.Millisecond)
		s.Heard()
	}
	if got := b.state(); got != StateActive {
		t.Fatalf("state is %s", got)
	}
}

func TestABrokenStreamMakesSuspectAtOnceAndDeadAfterAMoment(t *testing.T) {
	b := newBench(t)
	s := b.worker("w", 2)
	s.Lost()
	if got := b.state(); got != StateSuspect {
		t.Fatalf("state is %s", got)
	}
	s.Heard() // A message that was read before the break proves nothing.
	if b.assign(0, settings("q"), "") != 0 {
		t.Fatal("a worker without a stream got something")
	}
	b.clock.Advance(900 * time.Millisecond)
	if got := b.state(); got != StateSuspect {
		t.Fatalf("after 0.9 s the worker is %s", got)
	}
	b.clock.Advance(200 * time.Millisecond)
	if got := b.state(); got != "gone" {
		t.Fatalf("after 1.1 s the worker is %s", got)
	}
}

func TestAWorkerThatComesBackInTimeStays(t *testing.T) {
	b := newBench(t)
	b.worker("w", 2).Lost()
	b.clock.Advance(500 * time.Millisecond)
	s := b.worker("w", 2)
	for range 10 {
		s.Heard()
		b.clock.Advance(500 * time.Millisecond)
	}
	gone := 0
	for _, c := range b.engine.take() {
		if c.what == "gone" {
			gone++
		}
	}
	if gone != 1 || b.state() != StateActive {
		t.Errorf("%d sessions ended, the worker is %s", gone, b.state())
	}
}

func TestALateDetectorDeclaresNobodyDead(t *testing.T) {
	b := newBench(t)
	s := b.worker("w", 2)
	b.clock.Advance(1400 * time.Millisecond)
	for range 5 {
		b.clock.Jump(10 * time.Second)
		if got := b.state(); got != StateActive {
			t.Fatalf("after the node itself was frozen the worker is %s", got)
		}
	}
	// Its heartbeat waited in the socket, and is read late, but before anybody is judged.
	b.clock.Advance(400 * time.Millisecond)
	if got := b.state(); got != StateActive {
		t.Fatalf("before the heartbeats were read the worker is %s", got)
	}
	s.Heard()
	for range 10 {
		b.clock.Advance(500 * time.Millisecond)
		if got := b.state(); got != StateActive {
			t.Fatalf("a worker that speaks is %s", got)
		}
		s.Heard()
	}
}

func TestTimeInWhichTheNodeWasFrozenIsNoSilence(t *testing.T) {
	b := newBench(t)
	s := b.worker("w", 2)
	b.clock.Advance(time.Second)
	b.clock.Jump(10*time.Second + round)
	for _, c := range []struct {
		silent time.Duration
		want   State
	}{{1600 * time.Millisecond, StateSuspect}, {2900 * time.Millisecond, StateSuspect}, {3000 * time.Millisecond, "gone"}} {
		b.clock.Advance(c.silent - b.awake())
		if got := b.state(); got != c.want {
			t.Fatalf("after %v of silence while the node ran the worker is %s, want %s", c.silent, got, c.want)
		}
	}
	if err := s.Next(t.Context(), &Batch{}); !errors.Is(err, ErrSilent) {
		t.Errorf("the stream ends with %v", err)
	}
}

func TestAWorkerThatWasHeardWhileTheDetectorSleptDiesInTimeAfterwards(t *testing.T) {
	b := newBench(t)
	s := b.worker("w", 2)
	b.clock.Freeze(10 * time.Second)
	s.Heard() // The reader ran before the detector did.
	b.clock.Advance(2900 * time.Millisecond)
	if got := b.state(); got != StateSuspect {
		t.Fatalf("after 2.9 s the worker is %s", got)
	}
	b.clock.Advance(300 * time.Millisecond)
	if got := b.state(); got != "gone" {
		t.Fatalf("after 3.2 s of silence the worker is %s", got)
	}
}

func TestAWorkerWithAFullBufferGetsNothingNewUntilItIsTaken(t *testing.T) {
	b := newBench(t, func(c *Config) { c.MaxBuffered = 1000 })
	s := b.worker("w", 100)
	q := settings("q")
	lease := &task.Lease{Queue: "q", Tasks: []task.Leased{{Task: task.Task{Payload: make([]byte, 600)}}}}
	for range 2 {
		b.Send(b.assign(0, q, ""), lease)
	}
	if b.assign(0, q, "") != 0 {
		t.Fatal("a worker with a full buffer got something new")
	}
	b.check()
	var batch Batch
	if err := s.Next(t.Context(), &batch); err != nil || len(batch.Leases) != 2 {
		t.Fatalf("%d leases, %v", len(batch.Leases), err)
	}
	if got := b.engine.woken(); len(got) != 1 {
		t.Fatalf("woken %v", got)
	}
	b.Answer(s.Ref().Session, task.Verdict{Records: []task.Record{{Value: make([]byte, 2000)}}})
	if b.assign(0, q, "") != 0 {
		t.Fatal("answers do not count")
	}
	b.check()
}
