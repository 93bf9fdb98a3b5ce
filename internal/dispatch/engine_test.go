package dispatch

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fenfa/fenfa/internal/clock"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// call is one call of the engine, as its fake remembers it.
type call struct {
	what    string // "outcomes", "capacity" or "gone"
	session uint64 // capacity: whose slot is held, 0: any
	part    int
	queue   string
	place   task.Placement
	ref     task.LeaseRef
	n       int

	finished bool // gone: after a goodbye
}

// fakeEngine remembers what it was told.
type fakeEngine struct {
	mu       sync.Mutex
	calls    []call
	quiet    bool                         // remembers nothing
	capacity func(part int, queue string) // optional, called without the lock
}

func (e *fakeEngine) Outcomes(w partition.WorkerRef, ref task.LeaseRef, _ int, outcomes []task.Outcome) {
	e.add(call{what: "outcomes", session: w.Session, ref: ref, n: len(outcomes)})
}

func (e *fakeEngine) Capacity(part int, queue string, place task.Placement, session uint64) {
	e.add(call{what: "capacity", part: part, queue: queue, place: place, session: session})
	if e.capacity != nil {
		e.capacity(part, queue)
	}
}

func (e *fakeEngine) WorkerGone(session uint64, finished bool) {
	e.add(call{what: "gone", session: session, finished: finished})
}

func (e *fakeEngine) add(c call) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.quiet {
		e.calls = append(e.calls, c)
	}
}

// take returns what was called since the last take.
func (e *fakeEngine) take() []call {
	e.mu.Lock()
	defer e.mu.Unlock()
	calls := e.calls
	e.calls = nil
	return calls
}

// woken is the partitions that were woken since the last take.
func (e *fakeEngine) woken() []int {
	var parts []int
	for _, c := range e.take() {
		if c.what == "capacity" {
			parts = append(parts, c.part)
		}
	}
	return parts
}

// manualClock moves when it is told to. Functions that are due run in Advance.
type manualClock struct {
	mu     sync.Mutex
	now    time.Time
	timers []*manualTimer
}

type manualTimer struct {
	clock *manualClock
	at    time.Time
	f     func()
}

func newManualClock() *manualClock { return &manualClock{now: time.Unix(1_700_000_000, 0)} }

func (c *manualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *manualClock) AfterFunc(d time.Duration, f func()) clock.Timer {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &manualTimer{clock: c, at: c.now.Add(d), f: f}
	c.timers = append(c.timers, t)
	return t
}

func (t *manualTimer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	i := slices.Index(t.clock.timers, t)
	if i >= 0 {
		t.clock.timers = slices.Delete(t.clock.timers, i, i+1)
	}
	return i >= 0
}

// Advance moves in steps of a detector's round, as a healthy machine does.
func (c *manualClock) Advance(d time.Duration) {
	for ; d > 0; d -= round {
		c.Jump(min(d, round))
	}
}

// Freeze moves the time and runs nothing, as for a process that is stopped.
func (c *manualClock) Freeze(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Jump moves at once, as a machine does that was frozen.
func (c *manualClock) Jump(d time.Duration) {
	c.mu.Lock()
	c.now = c.now.Add(d)
	var due []*manualTimer
	c.timers = slices.DeleteFunc(c.timers, func(t *manualTimer) bool {
		if t.at.After(c.now) {
			return false
		}
		due = append(due, t)
		return true
	})
	c.mu.Unlock()
	for _, t := range due {
		t.f()
	}
}

// bench is a dispatcher with a fake engine and a clock that tests move.
type bench struct {
	*Dispatcher
	t      testing.TB
	engine *fakeEngine
	clock  *manualClock
}

func newBench(tb testing.TB, change ...func(*Config)) *bench {
	tb.Helper()
	b := &bench{t: tb, engine: &fakeEngine{}, clock: newManualClock()}
	cfg := Config{Clock: b.clock}
	for _, f := range change {
		f(&cfg)
	}
	d, err := New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	b.Dispatcher = d
	d.Start(b.engine)
	tb.Cleanup(func() {
		if err := d.Close(tb.Context()); err != nil && tb.Context().Err() == nil {
			tb.Error(err)
		}
	})
	return b
}

// worker registers one that serves the queues "q" unless others are named.
func (b *bench) worker(id string, slots int, queues ...string) *Session {
	b.t.Helper()
	if len(queues) == 0 {
		queues = []string{"q"}
	}
	return b.hello(Hello{WorkerID: id, Queues: queues, Slots: slots})
}

// labelled registers a worker for the queue "q" with labels like "zone=a".
func (b *bench) labelled(id string, slots int, labels ...string) *Session {
	b.t.Helper()
	h := Hello{WorkerID: id, Queues: []string{"q"}, Slots: slots, Labels: map[string]string{}}
	for _, label := range labels {
		name, value, _ := strings.Cut(label, "=")
		h.Labels[name] = value
	}
	return b.hello(h)
}

func (b *bench) hello(h Hello) *Session {
	b.t.Helper()
	s, err := b.Register(h)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func settings(name string, change ...func(*task.Queue)) *task.Queue {
	q := task.DefaultQueue(name)
	for _, f := range change {
		f(&q)
	}
	return &q
}

// assign asks for one slot and returns the session, or 0.
func (b *bench) assign(part int, q *task.Queue, key string) uint64 {
	w, _, ok := b.Assign(part, q, task.Placement{}, key, 1)
	if !ok {
		return 0
	}
	return w.Session
}
