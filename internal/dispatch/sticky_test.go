package dispatch

import (
	"fmt"
	"testing"

	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

// stickyBench has two workers of one slot, a and b, whose keys wait for them.
func stickyBench(t *testing.T) (b *bench, q *task.Queue, at map[string]uint64) {
	t.Helper()
	b = newBench(t, func(c *Config) { c.SlowStart = -1 })
	at = map[string]uint64{"a": b.worker("a", 1).Ref().Session, "b": b.worker("b", 1).Ref().Session}
	return b, settings("q", func(q *task.Queue) {
		q.Balance.Policy, q.Balance.Overflow = task.BalanceConsistentHash, "wait"
	}), at
}

// keysOf returns n keys whose worker is the session.
func (b *bench) keysOf(q *task.Queue, session uint64, n int) (keys []string) {
	b.t.Helper()
	b.HasRoom(q, task.Placement{})
	b.Assign(100, q, task.Placement{Require: "nobody"}, "", 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.queueOf(q.Name).poolOf(task.Placement{})
	for i := 0; len(keys) < n; i++ {
		key := fmt.Sprint("k", i)
		if s, _ := p.pick(key); s.member.session.ref.Session == session {
			keys = append(keys, key)
		}
	}
	return keys
}

// refused asks for a slot in vain, and returns whom the key waits for.
func (b *bench) refused(part int, q *task.Queue, key string) uint64 {
	b.t.Helper()
	w, _, ok := b.Assign(part, q, task.Placement{}, key, 1)
	if ok {
		b.t.Fatalf("session %d took %s", w.Session, key)
	}
	return w.Session
}

// heard is whose slots partitions were woken for since the last take.
func (b *bench) heard() (woken []uint64) {
	for _, c := range b.engine.take() {
		if c.what == "capacity" {
			woken = append(woken, c.session)
		}
	}
	return woken
}

func TestARefusedKeyIsWokenByItsOwnWorkersSlot(t *testing.T) {
	b, q, at := stickyBench(t)
	for _, id := range []string{"a", "b"} {
		key := b.keysOf(q, at[id], 1)[0]
		if got := b.assign(0, q, key); got != at[id] {
			t.Fatalf("went to %d", got)
		}
		if got := b.refused(0, q, key); got != at[id] {
			t.Fatalf("waits for %d, want %d", got, at[id])
		}
	}
	for _, id := range []string{"b", "a"} {
		b.Release(at[id], "q", partition.Use{Slots: 1})
		if got := b.heard(); len(got) != 1 || got[0] != at[id] {
			t.Fatalf("woken for the slots of %v, want %d", got, at[id])
		}
		if got := b.assign(0, q, b.keysOf(q, at[id], 1)[0]); got != at[id] {
			t.Fatalf("went to %d", got)
		}
	}
	b.check()
}

// TestWhatWaitsForOneWorkerIsNotForgottenForAnother has a partition wait for two
// workers: while a slot of the one is held for it, one of the other comes free.
func TestWhatWaitsForOneWorkerIsNotForgottenForAnother(t *testing.T) {
	for name, after := range map[string]func(b *bench, q *task.Queue, key string){
		"the slot is fetched": func(b *bench, q *task.Queue, key string) { b.assign(0, q, key) },
		"nobody comes for it": func(b *bench, _ *task.Queue, _ string) { b.clock.Advance(3 * round) },
	} {
		t.Run(name, func(t *testing.T) {
			b, q, at := stickyBench(t)
			keys := map[string]string{}
			for _, id := range []string{"a", "b"} {
				keys[id] = b.keysOf(q, at[id], 1)[0]
				b.assign(0, q, keys[id])
				b.refused(0, q, keys[id])
			}
			b.Release(at["a"], "q", partition.Use{Slots: 1})
			b.Release(at["b"], "q", partition.Use{Slots: 1})
			if got := b.heard(); len(got) != 1 || got[0] != at["a"] {
				t.Fatalf("woken for the slots of %v, want %d first", got, at["a"])
			}
			after(b, q, keys["a"])
			if got := b.heard(); len(got) != 1 || got[0] != at["b"] {
				t.Errorf("woken for the slots of %v, want %d then", got, at["b"])
			}
			b.check()
		})
	}
}

// TestAPartitionThatHeardLateAsksAnew changes who has which key after a partition
// was woken, and before it asks.
func TestAPartitionThatHeardLateAsksAnew(t *testing.T) {
	b, q, at := stickyBench(t)
	key := b.keysOf(q, at["a"], 1)[0]
	b.assign(0, q, key)
	b.refused(0, q, key)
	b.refused(0, q, key)
	b.Release(at["a"], "q", partition.Use{Slots: 1})
	b.heard()
	b.assign(0, q, key) // by a key that was never refused
	b.worker("c", 1)
	if got := b.heard(); len(got) != 0 {
		t.Fatalf("woken for %v, and waits for nothing", got)
	}
	if got := b.keysOf(q, at["a"], 200); got[0] != key {
		t.Skip("the key moved too")
	}
	b.refused(0, q, key)
	if got := b.heard(); len(got) != 1 || got[0] != 0 {
		t.Errorf("woken for the slots of %v: other keys that wait have another worker now, which has room", got)
	}
	b.check()
}

// TestWhatAPartitionStillWaitsForIsAskedAnew changes who has which key while a slot
// is held for a partition that waits for another worker too.
func TestWhatAPartitionStillWaitsForIsAskedAnew(t *testing.T) {
	b, q, at := stickyBench(t)
	for _, id := range []string{"a", "b"} {
		key := b.keysOf(q, at[id], 1)[0]
		b.assign(0, q, key)
		b.refused(0, q, key)
	}
	b.Release(at["a"], "q", partition.Use{Slots: 1})
	b.worker("c", 1)
	b.heard()
	if got := b.assign(0, q, b.keysOf(q, at["a"], 1)[0]); got != at["a"] {
		t.Fatalf("went to %d", got)
	}
	if got := b.heard(); len(got) != 1 || got[0] != 0 {
		t.Errorf("woken for the slots of %v: the key of b may be that of c now, which has room", got)
	}
	b.check()
}

func TestKeysWaitForAnyWorkerWhileThereIsNone(t *testing.T) {
	b := newBench(t)
	q := settings("q", func(q *task.Queue) {
		q.Balance.Policy, q.Balance.Overflow = task.BalanceConsistentHash, "wait"
	})
	if got := b.refused(1, q, "hot"); got != 0 {
		t.Fatalf("waits for %d", got)
	}
	b.worker("a", 1)
	if got := b.heard(); len(got) != 1 || got[0] != 0 {
		t.Errorf("woken for the slots of %v, want all to be asked anew", got)
	}
	b.check()
}

func TestHasRoomLinesNobodyUp(t *testing.T) {
	b := newBench(t)
	q, gpu := settings("q"), task.Placement{Require: "gpu"}
	if b.HasRoom(q, task.Placement{}) {
		t.Error("a queue that nobody knows has room")
	}
	s := b.labelled("w", 1, "gpu=1")
	for _, place := range []task.Placement{{}, gpu, {Prefer: "gpu"}} {
		if !b.HasRoom(q, place) {
			t.Errorf("%+v: no room, and a slot is free", place)
		}
	}
	if b.HasRoom(q, task.Placement{Require: "!gpu"}) {
		t.Error("a worker has room that does not meet the placement")
	}
	if n := len(b.queues[0].pools); n != 0 {
		t.Errorf("%d pools were made to look", n)
	}
	b.assign(0, q, "")
	for _, place := range []task.Placement{{}, gpu} {
		if b.HasRoom(q, place) {
			t.Errorf("%+v: room, and the only slot is taken", place)
		}
	}
	if b.lines != 0 {
		t.Errorf("%d wait", b.lines)
	}
	b.Release(s.Ref().Session, "q", partition.Use{Slots: 1})
	if got := b.engine.woken(); len(got) != 0 {
		t.Errorf("woken %v, who only looked", got)
	}
	s.Drain()
	if b.HasRoom(q, task.Placement{}) {
		t.Error("a worker that drains has room")
	}
	b.check()
}
