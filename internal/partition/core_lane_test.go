package partition

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

func TestTasksOfAKeyGoOutInOneBatchInOrder(t *testing.T) {
	r := newRig(t, nil)
	r.slots = 0
	r.deliver(newTask("keyed", "k", "1"), newTask("keyed", "k", "2"), newTask("keyed", "other", "a"), newTask("keyed", "k", "3"))
	if len(r.sent) != 0 {
		t.Fatal("a lease without a worker")
	}
	r.slots = 2
	r.c.capacity("keyed", task.Placement{}, 0)
	r.step()
	sent := r.take()
	if got := names(sent); got != "[[1 2 3] [a]]" {
		t.Fatalf("leases %s", got)
	}
	for _, l := range sent {
		if !l.Ordered || !l.Complete || l.Tasks[0].Attempt != 1 || l.Tasks[0].Delivery != 1 || l.Timeout != 30*time.Second {
			t.Errorf("lease %+v", l)
		}
		r.finish(l)
	}
	if r.state("3") != task.StateDone || len(r.settled) != 4 {
		t.Errorf("settled %v", r.settled)
	}
	r.wantEmpty()
}

func TestBatchIsBoundedBySettingsAndBytes(t *testing.T) {
	r := newRig(t, nil)
	r.settings("keyed", func(q *task.Queue) { q.Batch = 2 })
	big := func(name string) task.Task {
		x := newTask("keyed", "big", name)
		x.Payload = append([]byte(name), make([]byte, 600<<10)...)
		return x
	}
	r.slots = 0
	r.deliver(newTask("keyed", "k", "1"), newTask("keyed", "k", "2"), newTask("keyed", "k", "3"), big("x"), big("y"))
	r.slots = 2
	r.c.capacity("keyed", task.Placement{}, 0)
	r.step()
	for _, l := range r.take() {
		if want := map[string]int{"k": 2, "big": 1}[l.Tasks[0].Key]; len(l.Tasks) != want {
			t.Errorf("the lease of key %s has %d tasks, want %d", l.Tasks[0].Key, len(l.Tasks), want)
		}
	}
}

func TestNextLeaseOfAKeyWaitsForTheLastOne(t *testing.T) {
	r := newRig(t, nil)
	r.deliver(newTask("keyed", "k", "1"))
	first := r.one()
	r.deliver(newTask("keyed", "k", "2"))
	if len(r.sent) != 0 {
		t.Fatal("two leases of one key are open")
	}
	r.answer(first, 0, task.Outcome{})
	if len(r.verdicts)+len(r.settled) != 0 {
		t.Fatal("something was said before it was durable")
	}
	r.commit()
	if v := r.verdicts; len(v) != 1 || v[0].Kind != task.VerdictCommitted || v[0].Count != 1 || len(r.settled) != 1 {
		t.Errorf("verdicts %+v, settled %v", v, r.settled)
	}
	second := r.one()
	if second.Token <= first.Token || string(second.Tasks[0].Payload) != "2" {
		t.Errorf("lease %+v", second)
	}
	r.finish(second)
	r.wantEmpty()
}

func TestTasksWithoutOrderGoOutAtOnce(t *testing.T) {
	r := newRig(t, nil)
	r.slots = 2
	r.deliver(newTask("loose", "k", "1"))
	r.deliver(newTask("loose", "k", "2"), newTask("loose", "", "3"))
	leases := r.take()
	if got := names(leases); got != "[[1] [2]]" {
		t.Fatalf("leases %s", got)
	}
	r.answer(leases[1], 0, task.Outcome{})
	if r.slots != 1 {
		t.Error("a slot is free as soon as its outcome is there")
	}
	r.c.capacity("loose", task.Placement{}, 0)
	r.step()
	third := r.one()
	r.finish(third)
	r.finish(leases[0])
	r.wantEmpty()
}

func TestOutcomesOfALeaseWithoutOrderStandForThemselves(t *testing.T) {
	r := newRig(t, nil)
	r.slots = 0
	r.deliver(newTask("loose", "", "1"), newTask("loose", "", "2"), newTask("loose", "", "3"))
	r.slots = 3
	r.c.capacity("loose", task.Placement{}, 0)
	r.step()
	l := r.one()
	r.answer(l, 2, task.Outcome{Result: []byte("three")})
	r.answer(l, 0, reject())
	r.answer(l, 0, task.Outcome{}) // a repeat of another mind
	r.commit()
	if r.state("3") != task.StateDone || string(r.mark("3").Result) != "three" || r.state("1") != task.StateDead || r.state("2") != task.StateUnknown {
		t.Errorf("states %v %v %v", r.state("1"), r.state("2"), r.state("3"))
	}
	if r.slots != 2 || len(r.c.leases) != 1 {
		t.Errorf("%d slots, %d leases", r.slots, len(r.c.leases))
	}
	r.answer(l, 1, task.Outcome{})
	r.commit()
	r.wantEmpty()
}

func TestWhatIsStaleChangesNothing(t *testing.T) {
	r := newRig(t, nil)
	r.deliver(newTask("keyed", "k", "1"), newTask("keyed", "k", "2"))
	l := r.one()
	done := []task.Outcome{{}}
	stranger := WorkerRef{Session: 9, ID: "w9"}
	for name, say := range map[string]func(){
		"a token that never was": func() {
			r.c.outcomes(r.now, r.worker, task.LeaseRef{Epoch: l.Epoch, Token: l.Token + 1}, 0, done)
		},
		"another epoch":      func() { r.c.outcomes(r.now, r.worker, task.LeaseRef{Epoch: l.Epoch + 1, Token: l.Token}, 0, done) },
		"another session":    func() { r.c.outcomes(r.now, stranger, l.LeaseRef, 0, done) },
		"before the first":   func() { r.c.outcomes(r.now, r.worker, l.LeaseRef, -1, done) },
		"beyond the last":    func() { r.c.outcomes(r.now, r.worker, l.LeaseRef, 0, make([]task.Outcome, 3)) },
		"far beyond the end": func() { r.c.outcomes(r.now, r.worker, l.LeaseRef, math.MaxInt, done) },
	} {
		r.verdicts = nil
		say()
		r.step()
		r.commit()
		if len(r.verdicts) != 1 || r.verdicts[0].Kind != task.VerdictStale {
			t.Errorf("%s: verdicts %+v", name, r.verdicts)
		}
	}
	if r.state("1") != task.StateUnknown || len(r.c.leases) != 1 {
		t.Fatal("something was changed")
	}
	r.finish(l)
	r.verdicts = nil
	r.answer(l, 0, task.Outcome{Kind: task.OutcomeDead})
	if len(r.verdicts) != 1 || r.verdicts[0].Kind != task.VerdictStale || r.state("1") != task.StateDone {
		t.Errorf("an answer after the end: %+v", r.verdicts)
	}
	r.wantEmpty()
}

func TestARepeatedOutcomeCountsOnce(t *testing.T) {
	r := newRig(t, nil)
	r.slots = 0
	r.deliver(newTask("keyed", "k", "1"), newTask("keyed", "k", "2"))
	r.slots = 1
	r.c.capacity("keyed", task.Placement{}, 0)
	r.step()
	l := r.one()
	write := task.Outcome{Writes: []task.Write{put(0)}}
	r.answer(l, 0, write)
	r.answer(l, 0, write)
	r.answer(l, 1, task.Outcome{})
	r.commit()
	if n := len(r.table(store.TableOpLog)); n != 1 {
		t.Errorf("%d changes, want 1", n)
	}
	for _, v := range r.verdicts {
		if v.Kind != task.VerdictCommitted {
			t.Errorf("verdict %+v", v)
		}
	}
	r.wantEmpty()
}

// put writes record "a" of the task's key.
func put(expected uint64) task.Write {
	return task.Write{Name: "a", Expected: expected, Value: fmt.Appendf(nil, "after %d", expected)}
}

func TestAFailedTaskEndsItsLeaseAndHoldsItsKeyBack(t *testing.T) {
	r := newRig(t, nil)
	r.slots = 0
	r.deliver(newTask("keyed", "k", "1"), newTask("keyed", "k", "2"), newTask("keyed", "k", "3"))
	r.slots = 1
	r.c.capacity("keyed", task.Placement{}, 0)
	r.step()
	l := r.one()
	r.answer(l, 0, task.Outcome{}, retry(time.Second), task.Outcome{})
	r.commit()
	if r.state("1") != task.StateDone || r.state("3") != task.StateUnknown || len(r.sent) != 0 {
		t.Fatalf("1 is %v, 3 is %v", r.state("1"), r.state("3"))
	}
	row := r.table(store.TableAttempt)[0].(*store.Attempt)
	if row.ID != task.DeriveID("2") || row.Attempts != 1 || row.Deliveries != 1 || row.Tries[0].Error != "not yet" || row.Tries[0].Worker != "w1" ||
		!row.NextAt.Equal(r.now.Add(time.Second)) {
		t.Errorf("attempt %+v", row)
	}
	r.pass(999 * time.Millisecond)
	if len(r.sent) != 0 {
		t.Fatal("it was tried before its time")
	}
	r.pass(time.Millisecond)
	again := r.one()
	if names([]*task.Lease{again}) != "[[2 3]]" || again.Tasks[0].Attempt != 2 || again.Tasks[1].Attempt != 1 || again.Tasks[1].Delivery != 2 {
		t.Errorf("lease %+v", again.Tasks)
	}
	r.finish(again)
	r.wantEmpty()
}

func TestDrainHandsNothingOut(t *testing.T) {
	r := newRig(t, nil)
	r.deliver(newTask("keyed", "k", "1"))
	l := r.one()
	drainCore(r.c, r.now)
	r.deliver(newTask("keyed", "j", "2"), newTask("loose", "", "3"))
	r.finish(l)
	if len(r.sent) != 0 || len(r.c.leases) != 0 {
		t.Errorf("leases %s", names(r.sent))
	}
}

func TestCorePutsEveryQueueFirstInTurn(t *testing.T) {
	r := newRig(t, nil)
	first := map[string]int{}
	for i := range 10 {
		r.slots = 0
		r.deliver(newTask("keyed", fmt.Sprint(i), fmt.Sprint("k", i)), newTask("loose", "", fmt.Sprint("l", i)))
		r.slots = 1
		r.c.capacity("keyed", task.Placement{}, 0)
		r.c.capacity("loose", task.Placement{}, 0)
		r.step()
		l := r.one()
		first[l.Queue]++
		r.finish(l)
		for _, rest := range r.take() {
			r.finish(rest)
		}
		r.slots = 10
		r.c.capacity("keyed", task.Placement{}, 0)
		r.c.capacity("loose", task.Placement{}, 0)
		r.step()
		for _, rest := range r.take() {
			r.finish(rest)
		}
	}
	if first["keyed"] == 0 || first["loose"] == 0 {
		t.Errorf("who was first: %v", first)
	}
}
