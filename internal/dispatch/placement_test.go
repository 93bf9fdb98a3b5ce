package dispatch

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

func prefer(terms string) task.Placement  { return task.Placement{Prefer: task.Selector(terms)} }
func require(terms string) task.Placement { return task.Placement{Require: task.Selector(terms)} }

// place1 asks for one slot and returns the worker, or "".
func (b *bench) place1(part int, q *task.Queue, place task.Placement, key string) string {
	w, _, _ := b.Assign(part, q, place, key, 1)
	return w.ID
}

func TestOnlyWorkersThatMeetWhatIsRequiredGetTheTask(t *testing.T) {
	for _, policy := range task.BalancePolicies() {
		t.Run(policy, func(t *testing.T) {
			b := newBench(t)
			for i := range 4 {
				b.labelled(fmt.Sprint("x", i), 2, "zone=x")
				b.labelled(fmt.Sprint("y", i), 2, "zone=y", "gpu")
			}
			q := settings("q", func(q *task.Queue) { q.Balance.Policy = policy })
			for key := range 8 {
				if got := b.place1(0, q, require("gpu"), strconv.Itoa(key)); got == "" || got[0] != 'y' {
					t.Fatalf("task %d went to %q", key, got)
				}
			}
			if got := b.place1(0, q, require("gpu"), "9"); got != "" {
				t.Fatalf("%s got more than its slots", got)
			}
			if got := b.place1(0, q, require("zone=nowhere"), "k"); got != "" {
				t.Fatalf("%s got a task that it does not meet", got)
			}
			b.check()
		})
	}
}

func TestPreferredWorkersComeFirstAndTheOthersAfterwards(t *testing.T) {
	for _, policy := range task.BalancePolicies() {
		t.Run(policy, func(t *testing.T) {
			b := newBench(t)
			for i := range 3 {
				b.labelled(fmt.Sprint("x", i), 2, "zone=x")
				b.labelled(fmt.Sprint("y", i), 2, "zone=y")
			}
			q := settings("q", func(q *task.Queue) { q.Balance.Policy = policy })
			got := ""
			for key := range 12 {
				got += b.place1(0, q, prefer("zone=y"), strconv.Itoa(key))[:1]
			}
			if got != "yyyyyyxxxxxx" {
				t.Fatalf("the tasks went to %s", got)
			}
			b.check()
		})
	}
}

func TestAPlacementIsWokenByAWorkerThatMeetsIt(t *testing.T) {
	b := newBench(t)
	x, y := b.labelled("x", 1, "zone=x"), b.labelled("y", 1, "zone=y")
	q := settings("q")
	b.assign(0, q, "")
	b.assign(0, q, "")
	for part, place := range []task.Placement{require("zone=y"), {}, require("zone=y"), prefer("zone=y")} {
		b.place1(part, q, place, "")
	}
	b.Release(x.Ref().Session, "q", partition.Use{Slots: 1})
	if got := b.engine.take(); len(got) != 1 || got[0].part != 1 || got[0].place != (task.Placement{}) {
		t.Fatalf("engine heard %+v, want the first that x may serve", got)
	}
	b.Release(y.Ref().Session, "q", partition.Use{Slots: 1})
	if got := b.engine.take(); len(got) != 1 || got[0].part != 0 || got[0].place != require("zone=y") {
		t.Fatalf("engine heard %+v, want the first that y may serve", got)
	}
	b.check()
}

func TestOnePartitionWaitsForEachPlacementByItself(t *testing.T) {
	b := newBench(t)
	q := settings("q")
	b.place1(3, q, require("zone=x"), "")
	b.place1(3, q, require("zone=y"), "")
	b.labelled("y", 2, "zone=y")
	if got := b.engine.take(); len(got) != 1 || got[0].place != require("zone=y") {
		t.Fatalf("engine heard %+v", got)
	}
	b.labelled("x", 2, "zone=x")
	if got := b.engine.take(); len(got) != 1 || got[0].place != require("zone=x") {
		t.Fatalf("engine heard %+v", got)
	}
	if n := testing.AllocsPerRun(10, func() { b.Eligible("q", "") }); n > 0 || b.Eligible("q", "") != 2 {
		t.Errorf("%d workers serve q", b.Eligible("q", ""))
	}
}

func TestAKeyWaitsForItsWorkerAmongThePreferredOnes(t *testing.T) {
	b := newBench(t)
	q := settings("q", func(q *task.Queue) {
		q.Balance.Policy, q.Balance.Overflow = task.BalanceConsistentHash, "wait"
	})
	for i := range 3 {
		b.labelled(fmt.Sprint("x", i), 1, "zone=x")
	}
	others := b.place1(0, q, prefer("zone=y"), "hot")
	if others == "" {
		t.Fatal("without a preferred worker the others serve the key")
	}
	if b.place1(0, q, prefer("zone=y"), "hot") != "" {
		t.Fatal("a second task of the key went elsewhere")
	}
	y := b.labelled("y", 1, "zone=y")
	if got := b.engine.woken(); !slices.Equal(got, []int{0}) {
		t.Fatalf("woken %v, though the key has a preferred worker now", got)
	}
	if got := b.place1(0, q, prefer("zone=y"), "hot"); got != "y" {
		t.Fatalf("went to %q", got)
	}
	if got := b.place1(0, q, prefer("zone=y"), "hot"); got != "" {
		t.Fatalf("went to %q, and its worker is full", got)
	}
	y.Leave()
	if got := b.engine.woken(); !slices.Equal(got, []int{0}) {
		t.Fatalf("woken %v after the preferred worker left", got)
	}
	b.check()
}

func TestPoolsThatNobodyAsksOfGoAway(t *testing.T) {
	b := newBench(t)
	s := b.worker("w", 1)
	q := settings("q")
	for n := range 1000 {
		b.place1(n%16, q, require(fmt.Sprint("user=", n)), "")
		b.place1(n%16, q, require(fmt.Sprint("!user", n)), "")
	}
	// Only the first of those whom the worker meets has the slot. The others wait, and
	// are woken one after another; none of them asks again.
	for range 1000 {
		b.clock.Advance(2 * round)
		s.Heard()
	}
	b.Release(s.Ref().Session, "q", partition.Use{Slots: 1})
	for range 1020 {
		b.clock.Advance(2 * round)
		s.Heard()
	}
	b.pass(11 * time.Second)
	if got := len(b.engine.woken()); got != 999 {
		t.Errorf("%d were woken, want each that the worker meets once", got)
	}
	b.mu.Lock()
	waiting, pools, seats := b.lines, len(b.queues[0].pools), len(s.members[0].seats)
	b.mu.Unlock()
	if waiting != 1000 || pools != 1000 || seats != 0 {
		t.Errorf("%d wait, in %d pools with %d seats; want only those 1000 whom no worker meets", waiting, pools, seats)
	}
	b.check()
}

func TestQueuesThatNobodyServesOrAsksOfGoAway(t *testing.T) {
	b := newBench(t)
	for n := range 100 {
		name := fmt.Sprint("q", n)
		b.worker("w", 1, name)
		b.assign(0, settings(name), "")
	}
	b.clock.Advance(12 * time.Second)
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queues) != 0 || len(b.byName) != 0 {
		t.Errorf("%d queues are left, %d by name", len(b.queues), len(b.byName))
	}
}

func TestAPartitionWaitsForTheWorkersOfAllItsKeys(t *testing.T) {
	b := newBench(t)
	q := settings("q", func(q *task.Queue) {
		q.Balance.Policy, q.Balance.Overflow = task.BalanceConsistentHash, "wait"
	})
	keys := map[uint64]string{} // one of each worker, which it fills
	for i := range 3 {
		b.worker(fmt.Sprint("w", i), 1)
	}
	for key := 0; len(keys) < 3; key++ {
		home := b.assign(0, q, strconv.Itoa(key))
		keys[home] = strconv.Itoa(key)
		b.Release(home, "q", partition.Use{Slots: 1})
	}
	for _, key := range keys {
		b.assign(0, q, key)
	}
	for round := range 3 {
		for _, key := range keys {
			if b.assign(1, q, key) != 0 {
				t.Fatal("a key found room elsewhere")
			}
		}
		for home, key := range keys {
			b.Release(home, "q", partition.Use{Slots: 1})
			if got := b.engine.woken(); !slices.Equal(got, []int{1}) {
				t.Fatalf("round %d: woken %v by the worker of one of the keys", round, got)
			}
			// It asks for all of its keys again, and gets the slot for the right one.
			served := 0
			for _, key := range keys {
				if b.assign(1, q, key) != 0 {
					served++
				}
			}
			if served != 1 {
				t.Fatalf("round %d: %d keys were served, want only %s", round, served, key)
			}
			b.check()
		}
	}
}

func TestAHeldSlotIsNotPassedAroundByKeysOfOtherWorkers(t *testing.T) {
	b := newBench(t)
	q := settings("q", func(q *task.Queue) {
		q.Balance.Policy, q.Balance.Overflow = task.BalanceConsistentHash, "wait"
	})
	b.worker("a", 1)
	b.worker("b", 1)
	keys := map[uint64]string{}
	for key := 0; len(keys) < 2; key++ {
		if home := b.assign(0, q, strconv.Itoa(key)); home != 0 {
			keys[home] = strconv.Itoa(key)
		}
	}
	first := b.session(1).Ref().Session
	mine, others := keys[first], keys[3-first]
	for part := 1; part <= 2; part++ {
		b.assign(part, q, others)
		b.assign(part, q, mine)
	}
	b.engine.take()
	b.Release(first, "q", partition.Use{Slots: 1})
	if got := b.engine.woken(); !slices.Equal(got, []int{1}) {
		t.Fatalf("woken %v", got)
	}
	if b.assign(1, q, others) != 0 {
		t.Fatal("the other worker is full")
	}
	if got := b.engine.woken(); len(got) != 0 {
		t.Fatalf("woken %v by the slot that is held for partition 1", got)
	}
	if b.assign(1, q, mine) != first {
		t.Fatal("partition 1 lost the slot that was held for it")
	}
	b.check()
}

func TestAKeyThatIsRefusedWhileASlotIsHeldForAnotherIsNotForgotten(t *testing.T) {
	b := newBench(t)
	q := settings("q", func(q *task.Queue) {
		q.Balance.Policy, q.Balance.Overflow = task.BalanceConsistentHash, "wait"
	})
	first, second := b.worker("a", 1).Ref().Session, b.worker("b", 1).Ref().Session
	keys := map[uint64]string{}
	for key := 0; len(keys) < 2; key++ {
		home := b.assign(0, q, strconv.Itoa(key))
		keys[home] = strconv.Itoa(key)
		b.Release(home, "q", partition.Use{Slots: 1})
	}
	for _, key := range keys {
		b.assign(0, q, key)
	}
	b.assign(1, q, keys[first])
	b.Release(first, "q", partition.Use{Slots: 1}) // It is held for partition 1.
	b.assign(1, q, keys[second])
	b.engine.take()
	b.Release(second, "q", partition.Use{Slots: 1})
	if b.assign(1, q, keys[first]) != first {
		t.Fatal("the held slot is gone")
	}
	if got := b.engine.woken(); !slices.Equal(got, []int{1}) {
		t.Fatalf("woken %v, and the second worker has room for the other key", got)
	}
	b.check()
}
