package partition

import (
	"fmt"
	"testing"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/task"
)

// newStickyRig returns a core whose keys each wait for a worker of their own:
// those of a for session 2, those of b for session 3, with no slot free.
func newStickyRig(t *testing.T) (r *rig, a, b *rigWorker) {
	t.Helper()
	r = newRig(t, nil)
	r.slots = 0
	r.settings("keyed", func(q *task.Queue) { q.Balance.Policy, q.Balance.Overflow = task.BalanceConsistentHash, "wait" })
	a, b = r.join(0, nil), r.join(0, nil)
	r.homes = map[string]uint64{}
	for i := range 5 {
		r.homes[fmt.Sprint("a", i)], r.homes[fmt.Sprint("b", i)] = a.ref.Session, b.ref.Session
	}
	for i := range 5 {
		for _, of := range []string{"a", "b"} {
			key := fmt.Sprint(of, i)
			r.deliver(newTask("keyed", key, key))
		}
	}
	if r.asked != 10 {
		t.Fatalf("asked %d times for 10 keys", r.asked)
	}
	r.asked = 0
	return r, a, b
}

// wake says that a session has room.
func (r *rig) wake(session uint64) {
	r.c.capacity("keyed", task.Placement{}, session)
	r.step()
}

func TestASlotCostsTwoQuestionsHoweverManyKeysWait(t *testing.T) {
	r, a, b := newStickyRig(t)
	for i := range 5 {
		a.slots = 1
		r.wake(a.ref.Session)
		want := fmt.Sprintf("[[a%d]]", i)
		if got := names(r.sent); got != want {
			t.Fatalf("leases %s, want %s: who was refused first comes first", got, want)
		}
		questions := 2
		if i == 4 {
			questions = 1 // nobody is left
		}
		if r.asked != questions {
			t.Errorf("asked %d times after %d slots, want %d", r.asked, i+1, questions)
		}
		r.asked, r.sent = 0, nil
	}
	b.slots = 5
	r.wake(b.ref.Session)
	if got := names(r.take()); got != "[[b0] [b1] [b2] [b3] [b4]]" {
		t.Errorf("leases %s, want all that wait for the worker", got)
	}
}

func TestAKeyThatIsRefusedAgainKeepsItsPlace(t *testing.T) {
	r, a, _ := newStickyRig(t)
	r.wake(a.ref.Session)
	r.wake(a.ref.Session)
	if r.asked != 2 || len(r.sent) > 0 {
		t.Fatalf("asked %d times and sent %s, with no slot free", r.asked, names(r.sent))
	}
	a.slots = 2
	r.wake(a.ref.Session)
	if got := names(r.take()); got != "[[a0] [a1]]" {
		t.Errorf("leases %s", got)
	}
}

func TestAKeyThatHasAnotherWorkerByNowHoldsNoOtherUp(t *testing.T) {
	r, a, b := newStickyRig(t)
	r.homes["a0"], r.homes["a1"] = b.ref.Session, b.ref.Session
	a.slots, b.slots = 1, 1
	r.wake(a.ref.Session)
	if got := names(r.take()); got != "[[a0] [a2]]" {
		t.Fatalf("leases %s, want that of the key that moved, and the first one of those that stay", got)
	}
	b.slots = 6
	r.wake(b.ref.Session)
	if got := names(r.take()); got != "[[a1] [b0] [b1] [b2] [b3] [b4]]" {
		t.Errorf("leases %s, want those of the worker and the key that moved there", got)
	}
}

func TestAnExpiredTaskDoesNotEndTheTurnOfThoseBehindIt(t *testing.T) {
	r, a, _ := newStickyRig(t)
	r.c.queues["keyed"].lanes["a0"].items.at(0).ExpiresAt = r.now
	a.slots = 1
	r.wake(a.ref.Session)
	if got := names(r.take()); got != "[[a1]]" {
		t.Errorf("leases %s", got)
	}
}

func TestAllThatWasRefusedIsAskedAnew(t *testing.T) {
	const all = "[[a0] [a1] [a2] [a3] [a4] [b0] [b1] [b2] [b3] [b4]]"
	for name, f := range map[string]func(r *rig){
		"keys have other workers": func(r *rig) { r.wake(0) },
		"the settings change":     func(r *rig) { r.settings("keyed", func(q *task.Queue) { q.Balance.Overflow = "next" }) },
		"while one is offered": func(r *rig) {
			r.c.capacity("keyed", task.Placement{}, 2)
			r.wake(0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, _, _ := newStickyRig(t)
			r.homes, r.slots = nil, 100
			f(r)
			if got := names(r.sent); got != all {
				t.Errorf("leases %s", got)
			}
			for _, l := range r.take() {
				r.finish(l)
			}
			r.wantEmpty()
		})
	}
}

func TestASessionThatEndsFreesItsKeysOnly(t *testing.T) {
	r, a, _ := newStickyRig(t)
	r.homes = map[string]uint64{"a4": 1}
	r.slots = 3
	r.c.workerGone(r.now, a.ref.Session, false)
	r.step()
	if got := names(r.take()); got != "[[a0] [a1] [a2]]" || r.asked != 5 {
		t.Fatalf("leases %s after %d questions, want the first ones of its keys", got, r.asked)
	}
	if cl := r.c.queues["keyed"].bands[rankNormal].plain; cl.lines[a.ref.Session] != nil || cl.refused != 7 {
		t.Errorf("%d keys wait, want 7, and nobody for the session that ended", cl.refused)
	}
}

func TestTasksWithoutAKeyTakeTheSlotsOfAnyWorker(t *testing.T) {
	r, _, b := newStickyRig(t)
	r.homes["b5"] = b.ref.Session
	r.deliver(newTask("keyed", "", "loose"), newTask("keyed", "b5", "b5"))
	b.slots = 6
	r.wake(b.ref.Session)
	if got := names(r.take()); got != "[[b0] [b1] [b2] [b3] [b4] [loose]]" {
		t.Errorf("leases %s, want those that were refused first, with a key or without", got)
	}
}

// BenchmarkFreedSlot is a slot that comes free while very many keys wait for it
// and for those of other workers, with the task that takes it.
func BenchmarkFreedSlot(b *testing.B) {
	for _, keys := range []int{1_000, 10_000, 80_000} {
		b.Run(fmt.Sprint(keys), func(b *testing.B) {
			r := newRig(b, func(cfg *coreConfig) { cfg.Window = broker.Limit{Tasks: 1 << 20, Bytes: 1 << 30} })
			r.slots, r.homes = 0, map[string]uint64{}
			q := r.c.queues["keyed"].Queue
			q.Balance.Policy, q.Balance.Overflow = task.BalanceConsistentHash, "wait"
			r.c.configure(q)
			for i := range keys {
				key := fmt.Sprint("k", i)
				r.homes[key] = 1
				r.pos++
				r.c.delivered(r.now, "keyed", rankNormal, []arrival{arrivalOf(newTask("keyed", key, key))})
			}
			r.step()
			r.asked = 0
			n := keys
			b.ReportAllocs()
			for b.Loop() {
				r.slots++
				r.wake(1)
				l := r.one()
				r.finish(l)
				r.slots-- // of the task that ended: the next one is freed by the loop
				r.deliver(newTask("keyed", l.Tasks[0].Key, fmt.Sprint("k", n)))
				r.uses, r.verdicts, r.settled = r.uses[:0], r.verdicts[:0], r.settled[:0]
				n++
			}
			b.ReportMetric(float64(r.asked)/float64(b.N), "questions/op")
		})
	}
}
