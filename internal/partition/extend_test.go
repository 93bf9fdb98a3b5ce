package partition

import (
	"fmt"
	"slices"
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

// kinds are the verdicts on tasks of a lease since the last call.
func (r *rig) kinds() map[int]task.VerdictKind {
	found := map[int]task.VerdictKind{}
	for _, v := range r.verdicts {
		for i := range v.Count {
			found[v.First+i] = v.Kind
		}
	}
	r.verdicts = nil
	return found
}

func TestMoreTimeForOneTaskIsNoneForItsNeighbours(t *testing.T) {
	for name, ask := range map[string]func(*rig, *task.Lease){
		"by its worker": func(r *rig, l *task.Lease) {
			if !r.c.extend(r.now, r.worker, l.LeaseRef, 0, time.Hour) {
				r.t.Error("the worker has the task")
			}
		},
		"by its handler": func(r *rig, l *task.Lease) { r.hear(l, 0, task.News{Extend: time.Hour}) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			r.deliver(newTask("loose", "", "0"), newTask("loose", "", "1"), newTask("loose", "", "2"))
			l := r.one()
			ask(r, l)
			r.pass(20 * time.Second)
			r.answer(l, 2, did())
			r.settings("loose", func(q *task.Queue) { q.Paused = true })
			free := r.slots
			r.pass(12 * time.Second)
			if r.at("0") == nil {
				t.Fatal("the attempt ended though it was extended")
			}
			if it := r.c.tasks[task.DeriveID("1")]; it.attempts != 1 || it.state == task.StateRunning {
				t.Errorf("its neighbour has %d attempts behind it, and is %s", it.attempts, it.state)
			}
			if r.slots != free+1 {
				t.Errorf("%d slots are free, %d before: want that of the late task", r.slots, free)
			}
			if r.c.extend(r.now, r.worker, l.LeaseRef, 1, time.Hour) {
				t.Error("an attempt that has ended was extended")
			}
			r.kinds()
			r.answer(l, 0, did(), did(), did())
			r.commit()
			if got := r.kinds(); len(got) != 2 || got[0] != task.VerdictCommitted || got[1] != task.VerdictLate {
				t.Errorf("verdicts %v, want one that is late and nothing on a repeat", got)
			}
			if r.state("0") != task.StateDone || r.state("1") == task.StateDone {
				t.Errorf("the tasks are %s and %s", r.state("0"), r.state("1"))
			}
			r.settings("loose", func(q *task.Queue) { q.Paused = false })
			r.pass(10 * time.Second)
			r.finish(r.one())
			r.wantEmpty()
		})
	}
}

func TestEachTaskOfALeaseWithoutOrderHasATimeoutOfItsOwn(t *testing.T) {
	r := newRig(t, nil)
	var tasks []task.Task
	for i, timeout := range []time.Duration{time.Second, 0, 10 * time.Second, time.Minute} {
		x := newTask("loose", "", fmt.Sprint(i))
		x.Timeout = timeout
		tasks = append(tasks, x)
	}
	r.deliver(tasks...)
	l := r.one()
	r.settings("loose", func(q *task.Queue) { q.Timeout, q.Paused = time.Second, true }) // is for later leases
	var ended []string
	for range 65 {
		r.pass(time.Second)
		for i := range tasks {
			name := fmt.Sprint(i)
			if at := r.at(name); at == nil && !slices.Contains(ended, name) {
				ended = append(ended, name)
				if took := r.c.tasks[tasks[i].ID].tries[0].Took; took < l.Tasks[i].Timeout || took > l.Tasks[i].Timeout+3*time.Second && i != 1 {
					t.Errorf("the attempt at task %d took %v", i, took)
				}
			}
		}
	}
	if !slices.Equal(ended, []string{"0", "2", "1", "3"}) {
		t.Errorf("attempts ended in the order %v", ended)
	}
	r.answer(l, 0, did(), did(), did(), did())
	if got := r.kinds(); len(got) != 4 || got[0] != task.VerdictStale {
		t.Errorf("verdicts on the lease that has ended: %v", got)
	}
}
