package dispatch

import (
	"slices"
	"testing"

	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

func TestPrefetchIsGivenOutWhenNoRealSlotIsLeft(t *testing.T) {
	for _, policy := range task.BalancePolicies() {
		t.Run(policy, func(t *testing.T) {
			b := newBench(t)
			for _, id := range []string{"a", "b", "c"} {
				b.worker(id, 4).Prefetch(2)
			}
			q := settings("q", func(q *task.Queue) { q.Balance.Policy = policy })
			for n := range 18 {
				if b.assign(0, q, string(rune('a'+n))) == 0 {
					t.Fatalf("no room for task %d of 18", n)
				}
				b.check()
				for _, w := range b.Workers() {
					if n < 12 && w.InFlight > w.Slots {
						t.Fatalf("after %d tasks %s has %d, and others have free slots", n+1, w.ID, w.InFlight)
					}
				}
			}
			if b.assign(0, q, "k") != 0 {
				t.Fatal("a worker got more than its slots and its prefetch")
			}
		})
	}
}

func TestABatchTakesRealSlotsBeforePrefetch(t *testing.T) {
	b := newBench(t)
	b.worker("w", 4).Prefetch(3)
	for _, want := range []int{4, 3} {
		if _, got, ok := b.Assign(0, settings("q"), task.Placement{}, "", 100); !ok || got != want {
			t.Fatalf("got %d slots, want %d", got, want)
		}
	}
}

func TestARealSlotElsewhereIsBetterThanPrefetchOfAPreferredWorker(t *testing.T) {
	b := newBench(t)
	b.labelled("x", 1, "zone=x").Prefetch(1)
	b.labelled("y", 1, "zone=y").Prefetch(1)
	got := ""
	for range 4 {
		got += b.place1(0, settings("q"), prefer("zone=x"), "")
	}
	if got != "xyxy" {
		t.Fatalf("the tasks went to %s", got)
	}
}

func TestPrefetchIsBoundedBySlotsAndMayChange(t *testing.T) {
	b := newBench(t)
	s := b.worker("w", 2)
	q := settings("q")
	for part := range 10 {
		b.assign(part, q, "")
	}
	for _, c := range []struct{ ask, get, woken int }{{1, 1, 1}, {100, 2, 1}, {-5, 0, 0}, {2, 2, 0}} {
		s.Prefetch(c.ask)
		if got := b.engine.woken(); len(got) != c.woken {
			t.Fatalf("prefetch %d: woken %v", c.ask, got)
		}
		if w := b.Workers()[0]; w.Prefetch != c.get {
			t.Errorf("prefetch %d became %d, want %d", c.ask, w.Prefetch, c.get)
		}
		b.check()
	}
	s.Prefetch(0)
	for part := 2; part < 4; part++ {
		if b.assign(part, q, "") != 0 {
			t.Error("a slot was assigned though more are in flight than there are now")
		}
	}
	b.check()
	b.Release(s.Ref().Session, "q", partition.Use{Slots: 1})
	if got := b.engine.woken(); !slices.Equal(got, []int{4}) {
		t.Errorf("woken %v", got)
	}
	b.check()
}
