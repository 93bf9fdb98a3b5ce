package partition

import (
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

func TestAWorkerMayTakeOneTaskOfAKeyAtATime(t *testing.T) {
	r := newRig(t, nil)
	r.worker.Batch = 1
	r.deliver(newTask("keyed", "k", "1"), newTask("keyed", "k", "2"))
	for _, want := range []string{"[[1]]", "[[2]]"} {
		sent := r.take()
		if got := names(sent); got != want {
			t.Fatalf("leases %s, want %s", got, want)
		}
		r.finish(sent[0])
	}
	r.wantEmpty()
}

func TestAnExtendedLeaseOutlivesItsTimeout(t *testing.T) {
	r := newRig(t, nil)
	r.deliver(newTask("keyed", "k", "1"))
	l := r.one()
	r.pass(20 * time.Second)
	if !r.c.extend(r.now, r.worker, l.LeaseRef, 0, time.Minute) {
		t.Fatal("the worker has the lease")
	}
	r.pass(50 * time.Second)
	if r.c.leases[l.Token] == nil {
		t.Fatal("the lease has ended, and had more time")
	}
	if !r.c.extend(r.now, r.worker, l.LeaseRef, 0, time.Second) {
		t.Fatal("the worker has the lease")
	}
	r.pass(5 * time.Second)
	if r.c.leases[l.Token] == nil {
		t.Fatal("an extension took time away")
	}
	r.pass(time.Minute)
	if r.c.leases[l.Token] != nil {
		t.Fatal("the extended time never ends")
	}
	if r.c.extend(r.now, r.worker, l.LeaseRef, 0, time.Minute) {
		t.Error("a lease that has ended was extended")
	}
}

func TestOnlyWhoHasALeaseExtendsIt(t *testing.T) {
	r := newRig(t, nil)
	r.deliver(newTask("keyed", "k", "1"))
	l := r.one()
	for name, c := range map[string]struct {
		worker WorkerRef
		change func(*task.LeaseRef)
	}{
		"another session": {WorkerRef{Session: 9}, func(*task.LeaseRef) {}},
		"another token":   {r.worker, func(ref *task.LeaseRef) { ref.Token++ }},
		"another epoch":   {r.worker, func(ref *task.LeaseRef) { ref.Epoch++ }},
	} {
		ref := l.LeaseRef
		c.change(&ref)
		if r.c.extend(r.now, c.worker, ref, 0, time.Hour) {
			t.Errorf("%s extended the lease", name)
		}
	}
	r.finish(l)
}

func TestAnExtensionOfOneTaskKeepsThoseBeforeAndItself(t *testing.T) {
	r := newRig(t, nil)
	r.deliver(newTask("keyed", "k", "1"), newTask("keyed", "k", "2"), newTask("keyed", "k", "3"))
	l := r.one()
	for _, index := range []int{-1, 3} {
		if r.c.extend(r.now, r.worker, l.LeaseRef, index, time.Minute) {
			t.Errorf("task %d of 3 was extended", index)
		}
	}
	if !r.c.extend(r.now, r.worker, l.LeaseRef, 2, 5*time.Minute) {
		t.Fatal("the worker has the task")
	}
	r.pass(3 * time.Minute)
	if r.c.leases[l.Token] == nil {
		t.Fatal("the first task had not as much time as one behind it")
	}
	for i := range 2 {
		r.answer(l, i, task.Outcome{Kind: task.OutcomeDone})
	}
	r.pass(time.Minute)
	if r.c.leases[l.Token] == nil {
		t.Fatal("the time of the third was forgotten when those before were done")
	}
	if r.c.extend(r.now, r.worker, l.LeaseRef, 0, time.Hour) {
		t.Error("a task that is done was extended")
	}
	r.pass(2 * time.Minute)
	if r.c.leases[l.Token] != nil {
		t.Error("the extended time never ends")
	}
}
