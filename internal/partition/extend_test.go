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
	if !r.c.extend(r.now, r.worker, l.LeaseRef, time.Minute) {
		t.Fatal("the worker has the lease")
	}
	r.pass(50 * time.Second)
	if r.c.leases[l.Token] == nil {
		t.Fatal("the lease has ended, and had more time")
	}
	if !r.c.extend(r.now, r.worker, l.LeaseRef, time.Second) {
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
	if r.c.extend(r.now, r.worker, l.LeaseRef, time.Minute) {
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
		if r.c.extend(r.now, c.worker, ref, time.Hour) {
			t.Errorf("%s extended the lease", name)
		}
	}
	r.finish(l)
}
