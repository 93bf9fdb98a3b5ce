package limit

import (
	"slices"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// desk is a limiter of one queue with everything that it says.
type desk struct {
	*Limiter
	clock *handClock
	woken []int
}

func newDesk(t *testing.T, concurrency int, rate task.Rate) *desk {
	t.Helper()
	d := &desk{clock: newClock()}
	var err error
	d.Limiter, err = New(Config{Clock: d.clock, Wake: func(part int, queue string) {
		if queue != "q" {
			t.Errorf("queue %q was woken", queue)
		}
		d.woken = append(d.woken, part)
	}})
	if err != nil {
		t.Fatal(err)
	}
	d.set(concurrency, rate)
	return d
}

func (d *desk) set(concurrency int, rate task.Rate) {
	d.Configure(&task.Queue{Name: "q", Concurrency: concurrency, Rate: rate})
}

// take takes permits and holds how many there must be.
func (d *desk) take(t *testing.T, part, want, got int) {
	t.Helper()
	if n := d.Take(part, "q", want, false); n != got {
		t.Fatalf("partition %d took %d permits of %d, want %d", part, n, want, got)
	}
}

// wakes holds who was woken since the last call.
func (d *desk) wakes(t *testing.T, want ...int) {
	t.Helper()
	if !slices.Equal(d.woken, want) {
		t.Fatalf("%v were woken, want %v", d.woken, want)
	}
	d.woken = nil
}

func TestAQueueWithoutLimitsGetsAllThatItWants(t *testing.T) {
	d := newDesk(t, 0, task.Rate{})
	d.take(t, 1, 1000, 1000)
	if n := d.More(1, "q", 99, true); n != 99 {
		t.Errorf("%d more, want 99", n)
	}
	d.Give(1, "q", 5, 5)
	d.Decline(1, "q")
}

func TestConcurrencyBoundsWhatAllPartitionsRunTogether(t *testing.T) {
	d := newDesk(t, 5, task.Rate{})
	d.take(t, 1, 3, 3)
	d.take(t, 2, 9, 2)
	d.take(t, 3, 1, 0)
	d.wakes(t)
	d.Give(1, "q", 1, 0)
	d.wakes(t, 3)
	d.take(t, 3, 4, 1)
	d.take(t, 1, 1, 0)
}

func TestTasksThatRunTogetherCountAsOneButTakeTheirTokens(t *testing.T) {
	d := newDesk(t, 2, task.Rate{PerSecond: 1000, Burst: 10})
	d.take(t, 1, 1, 1)
	if n := d.More(1, "q", 6, true); n != 6 {
		t.Fatalf("%d more, want 6", n)
	}
	d.take(t, 2, 5, 1) // The second of two that run; three tokens are left, and two of them stay.
	if n := d.More(2, "q", 5, true); n != 2 {
		t.Fatalf("%d more, want 2", n)
	}
	d.take(t, 3, 1, 0)
	d.Give(1, "q", 1, 0)
	d.wakes(t)
	d.clock.pass(time.Millisecond)
	d.wakes(t, 3)
}

func TestWhoWaitsGoesOnInTurnAndNewcomersStandBehind(t *testing.T) {
	d := newDesk(t, 1, task.Rate{})
	d.take(t, 1, 1, 1)
	for part := 2; part <= 4; part++ {
		d.take(t, part, 1, 0)
	}
	for _, next := range []int{2, 3, 4, 1, 2} {
		runs := next - 1
		if runs == 0 {
			runs = 4
		}
		d.Give(runs, "q", 1, 0)
		d.take(t, runs, 1, 0) // It would have more, and stands behind the others.
		d.wakes(t, next)
		d.take(t, next, 5, 1)
	}
}

func TestAPermitThatIsDeclinedGoesToTheNext(t *testing.T) {
	d := newDesk(t, 1, task.Rate{PerSecond: 10, Burst: 2})
	d.take(t, 1, 1, 1)
	d.take(t, 2, 1, 0)
	d.take(t, 3, 1, 0)
	d.Give(1, "q", 1, 0)
	d.wakes(t, 2)
	d.Decline(2, "q")
	d.wakes(t, 3)
	d.take(t, 3, 1, 1)
	d.Give(3, "q", 1, 1)
	d.take(t, 2, 1, 1) // The token of the third came back.
}

func TestAPartitionThatIsNotServedAnyMoreHoldsNothing(t *testing.T) {
	d := newDesk(t, 2, task.Rate{})
	d.take(t, 1, 2, 2)
	d.take(t, 2, 1, 0)
	d.take(t, 3, 1, 0)
	d.Give(1, "q", 1, 0)
	d.wakes(t, 2)
	d.Forget(2) // One was held for it.
	d.wakes(t, 3)
	d.Forget(1)
	d.Forget(3)
	d.take(t, 4, 9, 2)
}

func TestChangesOfLimitsHoldAtOnce(t *testing.T) {
	d := newDesk(t, 4, task.Rate{})
	d.take(t, 1, 4, 4)
	d.take(t, 2, 1, 0)
	d.set(2, task.Rate{})
	d.Give(1, "q", 2, 0)
	d.wakes(t) // Two are running: nothing new starts.
	d.Give(1, "q", 1, 0)
	d.wakes(t, 2)
	d.take(t, 2, 1, 1)
	d.take(t, 3, 1, 0)
	d.set(3, task.Rate{})
	d.wakes(t, 3)
	d.set(0, task.Rate{})
	d.take(t, 1, 50, 50)
	d.set(3, task.Rate{})
	d.Count(1, "q", 50)
	d.take(t, 2, 1, 0)
	d.Give(1, "q", 48, 0)
	d.wakes(t, 2)
}

func TestARateThatIsRaisedWakesEarlier(t *testing.T) {
	d := newDesk(t, 0, task.Rate{PerSecond: 1. / 60, Burst: 1})
	d.take(t, 1, 1, 1)
	d.take(t, 1, 1, 0)
	d.clock.pass(30 * time.Second)
	d.wakes(t)
	d.set(0, task.Rate{PerSecond: 10, Burst: 1})
	d.clock.pass(60 * time.Millisecond)
	d.wakes(t, 1)
}

func TestNoTimerRunsWhereNobodyWaitsForTokens(t *testing.T) {
	d := newDesk(t, 1, task.Rate{PerSecond: 5, Burst: 1})
	d.take(t, 1, 1, 1)
	if n := len(d.clock.timers); n != 0 {
		t.Errorf("%d timers run, and nobody waits", n)
	}
	d.take(t, 2, 1, 0)
	if n := len(d.clock.timers); n != 0 {
		t.Errorf("%d timers run, and the queue waits for a task to end", n)
	}
	d.Give(1, "q", 1, 0)
	if n := len(d.clock.timers); n != 1 {
		t.Errorf("%d timers run, want that of the next token", n)
	}
	d.Close()
	if n := len(d.clock.timers); n != 0 {
		t.Errorf("%d timers run after the end", n)
	}
	d.clock.pass(time.Minute)
	d.wakes(t)
}

func TestAClockThatGoesBackStopsNothing(t *testing.T) {
	d := newDesk(t, 0, task.Rate{PerSecond: 10, Burst: 1})
	d.take(t, 1, 1, 1)
	d.clock.now = d.clock.now.Add(-time.Hour)
	d.take(t, 1, 1, 0)
	d.clock.pass(time.Second)
	d.wakes(t, 1)
}

// half gives a node half of all limits.
type half struct{}

func (half) Share(q *task.Queue) (int, task.Rate) {
	return q.Concurrency / 2, task.Rate{PerSecond: q.Rate.PerSecond / 2, Burst: q.Rate.Most() / 2}
}

func TestANodeKeepsToItsShare(t *testing.T) {
	l, err := New(Config{Clock: newClock(), Wake: func(int, string) {}, Shares: half{}})
	if err != nil {
		t.Fatal(err)
	}
	l.Configure(&task.Queue{Name: "running", Concurrency: 8})
	if n := l.Take(1, "running", 100, false); n != 4 {
		t.Errorf("%d of 8 start on a node with half of them, want 4", n)
	}
	l.Configure(&task.Queue{Name: "one", Concurrency: 1})
	if n := l.Take(1, "one", 1, false); n != 0 {
		t.Error("a node without a share of the limit starts a task")
	}
	l.Configure(&task.Queue{Name: "rate", Rate: task.Rate{PerSecond: 2000, Burst: 20}})
	if n := l.Take(1, "rate", 100, false); n != 10 {
		t.Errorf("%d of a burst of 20 start, want 10", n)
	}
}

func TestSomebodyMustBeThereToBeWoken(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("a limiter that wakes nobody was made")
	}
}

func TestTheNextTokenSaysWhenTheLineGoesOn(t *testing.T) {
	d := newDesk(t, 0, task.Rate{PerSecond: 1.0 / 60, Burst: 1})
	began := d.clock.now
	d.take(t, 1, 1, 1)
	if at := d.Next(); !at.IsZero() {
		t.Errorf("nobody waits, and the next goes on at %v", at)
	}
	d.clock.pass(10 * time.Second)
	d.take(t, 2, 1, 0)
	if at := d.Next(); at.Sub(began).Round(time.Millisecond) != time.Minute {
		t.Errorf("the next goes on after %v, want a minute", at.Sub(began))
	}
	d.clock.pass(time.Minute)
	d.wakes(t, 2)
	if at := d.Next(); !at.IsZero() {
		t.Errorf("who waited was woken, and the next goes on at %v", at)
	}
}
