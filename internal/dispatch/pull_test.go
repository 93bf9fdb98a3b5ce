package dispatch

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

// puller registers a worker that pulls from the queue "q".
func (b *bench) puller(id string, ttl time.Duration) *Session {
	b.t.Helper()
	return b.hello(Hello{WorkerID: id, Queues: []string{"q"}, Slots: 3, Pull: true, TTL: ttl, Batch: 1})
}

func TestAPullerGetsWhatItWaitsForAndNoMore(t *testing.T) {
	b := newBench(t)
	q := settings("q")
	s := b.puller("w", time.Minute)
	if b.assign(0, q, "") != 0 {
		t.Error("it got a task before it asked")
	}
	s.Want(2)
	if got := b.engine.woken(); len(got) != 1 || got[0] != 0 {
		t.Fatalf("woken %v", got)
	}
	w, _, ok := b.Assign(0, q, task.Placement{}, "", 1)
	if !ok || w.Session != s.ref.Session || w.Batch != 1 {
		t.Fatalf("%+v %v", w, ok)
	}
	if took := s.Unwant(2); took != 1 {
		t.Errorf("%d were taken back, one of two was assigned", took)
	}
	if b.assign(0, q, "") != 0 {
		t.Error("it got a task that it did not wait for any more")
	}
	// Slots bound all of its calls together.
	s.Want(10)
	for range 2 {
		if b.assign(0, q, "") == 0 {
			t.Error("it waits, and has room")
		}
	}
	if b.assign(0, q, "") != 0 {
		t.Error("it has more than its slots")
	}
	b.Release(s.ref.Session, "q", partition.Use{Slots: 1})
	if b.assign(0, q, "") == 0 {
		t.Error("a slot that came free was not used")
	}
	if n := s.InFlight(); n != 3 {
		t.Errorf("%d are in flight", n)
	}
}

func TestAHeldSlotIsNotForAPullerThatWaitsNoMore(t *testing.T) {
	b := newBench(t)
	q := settings("q")
	s := b.puller("w", time.Minute)
	b.assign(0, q, "")
	s.Want(1)
	s.Unwant(1)
	if b.assign(0, q, "") != 0 {
		t.Error("the slot was given after it was taken back")
	}
	s.Want(1)
	if b.assign(0, q, "") == 0 {
		t.Error("it waits again")
	}
}

func TestAPullerLivesByItsCalls(t *testing.T) {
	b := newBench(t)
	q := settings("q")
	s := b.puller("w", 10*time.Second)
	s.Want(2)
	b.clock.Advance(time.Minute) // It waits all the time.
	if b.session(s.ref.Session) != s {
		t.Fatal("a worker whose call waits was taken for dead")
	}
	b.assign(0, q, "")
	s.Unwant(1)
	b.clock.Advance(9 * time.Second)
	if w := b.Workers(); len(w) != 1 || w[0].State != StateActive {
		t.Fatalf("after less than its time: %+v", w)
	}
	s.Heard()
	b.clock.Advance(9 * time.Second)
	if b.session(s.ref.Session) != s {
		t.Fatal("a sign of life did not count")
	}
	b.clock.Advance(2 * time.Second)
	var batch Batch
	if err := s.Next(t.Context(), &batch); !errors.Is(err, ErrSilent) {
		t.Errorf("the session ended with %v", err)
	}
}

func TestAPullerWithoutTasksMayStayAway(t *testing.T) {
	b := newBench(t)
	b.puller("other", time.Hour)
	for range 5 {
		s := b.puller("w", time.Second)
		if s.member("q").ejected() {
			t.Fatal("it is ejected for flapping, and had nothing to lose")
		}
		s.Want(1)
		s.Unwant(1)
		b.clock.Advance(2 * time.Second)
		var batch Batch
		if err := s.Next(t.Context(), &batch); !errors.Is(err, ErrLeft) {
			t.Fatalf("the session ended with %v", err)
		}
	}
}

func TestAPullerWaitsForWhatABatchDidNotBring(t *testing.T) {
	b := newBench(t)
	q := settings("q")
	s := b.hello(Hello{WorkerID: "w", Queues: []string{"q"}, Slots: 3, Pull: true, TTL: time.Minute, Batch: 5})
	s.Want(7)
	lease := func(part, tasks int, ordered bool) {
		b.Send(s.ref.Session, &task.Lease{LeaseRef: task.LeaseRef{Partition: part}, Queue: "q", Ordered: ordered, Tasks: make([]task.Leased, tasks)})
	}
	batch := func(part int, key string) int {
		w, _, ok := b.Assign(part, q, task.Placement{}, key, 1)
		if !ok {
			return 0
		}
		return w.Batch
	}
	if got := []int{batch(0, "a"), batch(1, "b")}; !slices.Equal(got, []int{5, 2}) {
		t.Fatalf("batches of %v, of 7 tasks", got)
	}
	lease(0, 3, true)
	lease(1, 2, true)
	if took := s.Unwant(7); took != 2 {
		t.Errorf("%d were taken back, and 5 of 7 came", took)
	}
	b.Release(s.ref.Session, "q", partition.Use{Slots: 2})
	s.Want(3)
	if got := batch(0, "d"); got != 3 {
		t.Errorf("a batch of %d, of 3 tasks", got)
	}
	lease(0, 1, false)
	if took := s.Unwant(7); took != 2 {
		t.Errorf("%d were taken back, and a task that stands for itself came of 3", took)
	}
	s.Want(1)
	if b.Stay(s.ref.Session, q, task.Placement{}) {
		t.Error("who answers by calls goes ahead of what is durable")
	}
}
