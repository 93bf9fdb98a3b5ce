package dispatch

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

func TestAssignTakesSlotsUntilTheWorkerIsFull(t *testing.T) {
	b := newBench(t)
	s := b.worker("w", 3)
	q := settings("q")
	for range 3 {
		if got := b.assign(0, q, "k"); got != s.Ref().Session {
			t.Fatalf("got session %d", got)
		}
	}
	if got := b.assign(0, q, "k"); got != 0 {
		t.Fatalf("a fourth slot of three was assigned to %d", got)
	}
	b.check()
}

func TestStayTakesASlotThatNobodyElseWaitsFor(t *testing.T) {
	b := newBench(t)
	s, q := b.worker("w", 2), settings("q")
	ref := s.Ref().Session
	stays := func(want bool) {
		t.Helper()
		if got := b.Stay(ref, q, task.Placement{}); got != want {
			t.Errorf("stays: %v, want %v", got, want)
		}
		b.check()
	}
	stays(false) // nobody assigned anything of the placement: its pool is not there
	b.assign(0, q, "k")
	stays(true)
	stays(false) // it is full
	b.Release(ref, "q", partition.Use{Slots: 1})
	s.Quiet(true)
	stays(false)
	s.Quiet(false)
	if b.Stay(ref, settings("other"), task.Placement{}) || b.Stay(ref+1, q, task.Placement{}) || b.Stay(ref, q, task.Placement{Require: "gpu"}) {
		t.Error("it stays where it does not serve, is not, or does not fit")
	}
	stays(true)
	if got := b.assign(1, q, "other"); got != 0 {
		t.Fatalf("a third slot of two was assigned to %d", got)
	}
	b.Release(ref, "q", partition.Use{Slots: 1})
	stays(false) // the slot is held for who waits
	if got := b.assign(1, q, "other"); got != ref {
		t.Errorf("who waited got %d", got)
	}
	b.check()
}

func TestAssignReturnsNoMoreThanWantedOrThanThereIs(t *testing.T) {
	b := newBench(t)
	b.worker("w", 10)
	q := settings("q")
	if _, n, ok := b.Assign(0, q, task.Placement{}, "", 4); !ok || n != 4 {
		t.Fatalf("got %d, %v", n, ok)
	}
	if _, n, ok := b.Assign(0, q, task.Placement{}, "", 100); !ok || n != 6 {
		t.Fatalf("got %d, %v", n, ok)
	}
}

func TestAssignSpreadsABigBatchOverAllWorkers(t *testing.T) {
	b := newBench(t)
	for _, id := range []string{"a", "b", "c", "d"} {
		b.worker(id, 100)
	}
	q, got := settings("q"), map[string]int{}
	for want := 64; want > 0; {
		w, n, ok := b.Assign(0, q, task.Placement{}, "", want)
		if !ok {
			t.Fatal("no room")
		}
		got[w.ID] += n
		want -= n
	}
	for id, n := range got {
		if n < 12 || n > 20 {
			t.Errorf("worker %s got %d of 64", id, n)
		}
	}
}

func TestAssignServesOnlyTheQueuesOfTheWorker(t *testing.T) {
	b := newBench(t)
	b.worker("w", 1, "other")
	if got := b.assign(0, settings("q"), "k"); got != 0 {
		t.Fatalf("got session %d", got)
	}
}

func TestAWaitingPartitionIsWokenOnceWhenThereIsRoom(t *testing.T) {
	b := newBench(t)
	s := b.worker("w", 1)
	q := settings("q")
	b.assign(0, q, "k")
	b.assign(1, q, "k")
	b.assign(1, q, "k")
	if got := b.engine.woken(); len(got) != 0 {
		t.Fatalf("woken %v before there was room", got)
	}
	b.Release(s.Ref().Session, "q", partition.Use{Slots: 1})
	if got := b.engine.woken(); !slices.Equal(got, []int{1}) {
		t.Fatalf("woken %v, want partition 1 once", got)
	}
	b.check()
}

func TestAPartitionThatFoundRoomWaitsNoMore(t *testing.T) {
	b := newBench(t)
	s := b.worker("w", 1)
	b.assign(0, settings("q"), "")
	b.assign(1, settings("q"), "")
	b.clock.Advance(2 * time.Second) // It is suspect: its slot comes free for nobody.
	b.Release(s.Ref().Session, "q", partition.Use{Slots: 1})
	b.worker("v", 2)
	if got := b.engine.woken(); !slices.Equal(got, []int{1}) {
		t.Fatalf("woken %v", got)
	}
	if b.assign(1, settings("q"), "") == 0 {
		t.Fatal("woken in vain")
	}
	s.Heard()
	if got := b.engine.woken(); len(got) != 0 {
		t.Fatalf("woken %v, though the partition has found room meanwhile", got)
	}
	b.check()
}

func TestWaitingPartitionsAreWokenInTheOrderInWhichTheyCame(t *testing.T) {
	b := newBench(t)
	s := b.worker("w", 2)
	q := settings("q")
	for _, part := range []int{0, 0, 5, 2, 9, 7} {
		b.assign(part, q, "")
	}
	b.Release(s.Ref().Session, "q", partition.Use{Slots: 2})
	if got := b.engine.woken(); !slices.Equal(got, []int{5, 2}) {
		t.Fatalf("woken %v, want as many as there are slots, oldest first: 5 2", got)
	}
	b.check()
}

func TestAHeldSlotIsNotTakenByAPartitionThatDidNotWait(t *testing.T) {
	b := newBench(t)
	s := b.worker("w", 1)
	q := settings("q")
	b.assign(0, q, "")
	b.assign(1, q, "")
	b.Release(s.Ref().Session, "q", partition.Use{Slots: 1})
	if got := b.assign(0, q, ""); got != 0 {
		t.Fatal("partition 0 took the slot that partition 1 was woken for")
	}
	if got := b.assign(1, q, ""); got == 0 {
		t.Fatal("partition 1 was woken in vain")
	}
	b.Release(s.Ref().Session, "q", partition.Use{Slots: 1})
	if got := b.engine.woken(); !slices.Equal(got, []int{1, 0}) {
		t.Fatalf("woken %v", got)
	}
}

func TestAHeldSlotThatNobodyFetchesIsFreeAgain(t *testing.T) {
	b := newBench(t)
	s := b.worker("w", 1)
	q := settings("q")
	b.assign(0, q, "")
	b.assign(1, q, "")
	b.assign(2, q, "")
	b.Release(s.Ref().Session, "q", partition.Use{Slots: 1})
	b.engine.take()
	b.clock.Advance(3 * round)
	s.Heard()
	if got := b.engine.woken(); !slices.Equal(got, []int{2}) {
		t.Fatalf("woken %v, want 2 after 1 did not come", got)
	}
	b.clock.Advance(3 * round)
	if got := b.assign(7, q, ""); got == 0 {
		t.Fatal("the slot stayed held for nobody")
	}
	b.check()
}

func TestQueuesOfOneWorkerAreServedInTurns(t *testing.T) {
	b := newBench(t)
	s := b.worker("w", 4, "a", "z")
	a, z := settings("a"), settings("z")
	for range 4 {
		b.assign(0, a, "")
	}
	for part := range 8 {
		b.assign(part, a, "")
	}
	b.assign(0, z, "")
	b.assign(1, z, "")
	b.Release(s.Ref().Session, "a", partition.Use{Slots: 4})
	counts := map[string]int{}
	for _, c := range b.engine.take() {
		counts[c.queue]++
	}
	if counts["a"] != 2 || counts["z"] != 2 {
		t.Fatalf("woken %v, want two of each queue", counts)
	}
}

func TestANewWorkerWakesThoseWhoWait(t *testing.T) {
	b := newBench(t)
	q := settings("q")
	for part := range 5 {
		b.assign(part, q, "")
	}
	b.worker("w", 3)
	if got := b.engine.woken(); !slices.Equal(got, []int{0, 1, 2}) {
		t.Fatalf("woken %v", got)
	}
	b.check()
}

func TestOverflowWaitWaitsForTheKeysOwnWorker(t *testing.T) {
	b := newBench(t)
	q := settings("q", func(q *task.Queue) {
		q.Balance.Policy, q.Balance.Overflow = task.BalanceConsistentHash, "wait"
	})
	sessions := map[uint64]*Session{}
	for i := range 4 {
		s := b.worker("w"+strconv.Itoa(i), 1)
		sessions[s.Ref().Session] = s
	}
	home := b.assign(0, q, "hot")
	if b.assign(1, q, "hot") != 0 {
		t.Fatal("a second task of the key went elsewhere")
	}
	for number := range sessions {
		if number == home {
			continue
		}
		b.Release(number, "q", partition.Use{Slots: 1})
	}
	if got := b.engine.woken(); len(got) != 0 {
		t.Fatalf("woken %v by a worker that it does not wait for", got)
	}
	b.check()
	b.Release(home, "q", partition.Use{Slots: 1})
	if got := b.engine.woken(); !slices.Equal(got, []int{1}) {
		t.Fatalf("woken %v", got)
	}
	if got := b.assign(1, q, "hot"); got != home {
		t.Fatalf("went to %d, want %d", got, home)
	}
	b.assign(2, q, "hot")
	sessions[home].Leave()
	if got := b.engine.woken(); !slices.Equal(got, []int{2}) {
		t.Fatalf("woken %v after the worker left, want 2: the key belongs to another now", got)
	}
	b.check()
}

func TestAPolicyIsSwitchedWhileTasksAreInFlight(t *testing.T) {
	b := newBench(t)
	for _, id := range []string{"a", "b", "c"} {
		b.worker(id, 100)
	}
	hash := settings("q", func(q *task.Queue) {
		q.Balance.Policy, q.Balance.Overflow = task.BalanceConsistentHash, "wait"
	})
	for range 30 {
		b.assign(0, hash, "hot")
	}
	seen := map[uint64]int{}
	for range 60 {
		seen[b.assign(0, settings("q"), "hot")]++
	}
	// 30 are in flight at one worker: the 60 others even it out exactly.
	for session, n := range seen {
		if n != 30 {
			t.Errorf("session %d got %d of 60", session, n)
		}
	}
	b.check()
}

func TestSettingsThatNameNoPolicyChangeNothing(t *testing.T) {
	b := newBench(t)
	b.worker("w", 1)
	if got := b.assign(0, &task.Queue{Name: "q"}, ""); got == 0 {
		t.Fatal("no slot")
	}
}

func TestReleaseOfAnUnknownSessionOrOfTooMuchChangesNothing(t *testing.T) {
	b := newBench(t)
	s := b.worker("w", 2)
	b.Release(99, "q", partition.Use{Slots: 1})
	b.Release(s.Ref().Session, "q", partition.Use{Slots: 5})
	b.assign(0, settings("q"), "")
	b.Release(s.Ref().Session, "q", partition.Use{Slots: 5})
	b.check()
	if w := b.Workers()[0]; w.InFlight != 0 {
		t.Fatalf("%d in flight", w.InFlight)
	}
}

func TestTheHotPathDoesNotAllocate(t *testing.T) {
	b := newBench(t)
	for i := range 8 {
		b.worker("w"+strconv.Itoa(i), 100)
	}
	q, lease := settings("q"), &task.Lease{Queue: "q"}
	var batch Batch
	for _, s := range *b.live.Load() {
		for range 4 { // Grow both buffers.
			b.Send(s.Ref().Session, lease)
			if err := s.Next(t.Context(), &batch); err != nil {
				t.Fatal(err)
			}
		}
	}
	var d partition.Dispatcher = b
	if n := testing.AllocsPerRun(1000, func() {
		w, slots, ok := d.Assign(3, q, task.Placement{}, "key", 1)
		if !ok {
			t.Fatal("no room")
		}
		d.Send(w.Session, lease)
		s := b.session(w.Session)
		if err := s.Next(t.Context(), &batch); err != nil {
			t.Fatal(err)
		}
		d.Release(w.Session, "q", partition.Use{Slots: slots})
	}); n > 0 {
		t.Errorf("%v allocations a lease", n)
	}
}
