package partition

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/task"
)

const gpu = task.Selector("gpu")

func gpuLabels() map[string]string { return map[string]string{"gpu": "1"} }

// placed makes a task that asks for worker labels.
func placed(queue, key, name string, require task.Selector) task.Task {
	x := newTask(queue, key, name)
	x.Placement.Require = require
	return x
}

// capacity says that there is room for tasks with this demand.
func (r *rig) capacity(queue string, require task.Selector) {
	r.c.capacity(queue, task.Placement{Require: require}, 0)
	r.step()
}

func TestAClassWithoutWorkersDelaysNoOther(t *testing.T) {
	for queue, keys := range map[string][]string{"keyed": {"a", "b", "c"}, "loose": {"", "", ""}} {
		t.Run(queue, func(t *testing.T) {
			r := newRig(t, nil)
			r.deliver(placed(queue, keys[0], "1", gpu), newTask(queue, keys[1], "2"), placed(queue, keys[2], "3", "zone=a"))
			r.finish(r.one()) // 2
			r.capacity(queue, "")
			if n := len(r.take()); n != 0 {
				t.Fatal("room for others is none for them")
			}
			r.join(1, gpuLabels())
			r.capacity(queue, gpu)
			if got := names(r.sent); got != "[[1]]" {
				t.Fatalf("leased %s", got)
			}
			r.finish(r.one())
			r.join(1, map[string]string{"zone": "a"})
			r.capacity(queue, "zone=a")
			r.finish(r.one())
			r.wantEmpty()
		})
	}
}

func TestAKeyIsOfTheClassOfItsFirstTask(t *testing.T) {
	r := newRig(t, nil)
	r.deliver(newTask("keyed", "k", "1"), newTask("keyed", "k", "2"), placed("keyed", "k", "3", gpu), newTask("keyed", "k", "4"))
	if got := fmt.Sprint(r.goOn(1)); got != "[1 2]" {
		t.Fatalf("leased %s", got)
	}
	r.deliver(newTask("keyed", "j", "other"))
	r.finish(r.one())
	r.join(1, gpuLabels())
	r.capacity("keyed", gpu)
	if got := fmt.Sprint(r.goOn(1)); got != "[3 4]" {
		t.Errorf("leased %s", got)
	}
	r.wantEmpty()
}

func TestALeaseNeverMixesClasses(t *testing.T) {
	for queue, want := range map[string]string{"keyed": "[[1 2]]", "loose": "[[1 2 4] [3]]"} {
		t.Run(queue, func(t *testing.T) {
			r := newRig(t, nil)
			r.join(9, gpuLabels())
			r.slots = 0
			for i, require := range []task.Selector{"gpu", "gpu", "", "gpu"} {
				x := placed(queue, "k", fmt.Sprint(i+1), require)
				r.pos++
				a := arrivalOf(x)
				a.item.pos = r.pos
				r.c.delivered(r.now, queue, rankNormal, []arrival{a})
			}
			r.step()
			if got := names(r.sent); got != want {
				t.Errorf("leases %s, want %s", got, want)
			}
			if got := fmt.Sprint(len(r.goOn(1))); got != "4" {
				t.Errorf("%s of 4 tasks were leased", got)
			}
			r.wantEmpty()
		})
	}
}

func TestAClassIsAskedForOnceUntilThereIsRoom(t *testing.T) {
	r := newRig(t, nil)
	for i := range 5 {
		r.deliver(placed("keyed", fmt.Sprint(i), fmt.Sprint("a", i), gpu), placed("loose", "", fmt.Sprint("b", i), gpu))
	}
	if r.asked != 2 {
		t.Errorf("asked %d times for the workers of 2 classes", r.asked)
	}
	r.capacity("keyed", gpu)
	r.capacity("keyed", gpu+",zone")
	if r.asked != 3 {
		t.Errorf("asked %d times, want one more after capacity", r.asked)
	}
	w := r.join(3, gpuLabels())
	r.capacity("keyed", gpu)
	if len(r.take()) != 3 || w.slots != 0 {
		t.Error("three slots are three leases")
	}
}

func TestClassesAndQueuesTakeTurns(t *testing.T) {
	r := newRig(t, nil)
	r.slots = 0
	r.c.configure(task.DefaultQueue("flood"))
	for i := range 50 {
		r.deliver(newTask("flood", fmt.Sprint(i), "f"+fmt.Sprint(i)))
		if i < 10 {
			r.deliver(newTask("keyed", fmt.Sprint(i), "p"+fmt.Sprint(i)), placed("keyed", "g"+fmt.Sprint(i), "g"+fmt.Sprint(i), gpu))
		}
	}
	r.join(8, gpuLabels())
	r.c.capacity("flood", task.Placement{}, 0)
	r.c.capacity("keyed", task.Placement{}, 0)
	r.capacity("keyed", gpu)
	got := names(r.take())
	if strings.Count(got, "f") != 4 || strings.Count(got, "p") != 2 || strings.Count(got, "g") != 2 {
		t.Errorf("leases %s, want 4 of the one queue and 2 of each class of the other", got)
	}
}

func TestALaneWhoseOwnWorkerIsFullHoldsNoOtherUp(t *testing.T) {
	r := newRig(t, nil)
	r.settings("keyed", func(q *task.Queue) { q.Balance.Policy, q.Balance.Overflow = task.BalanceConsistentHash, "wait" })
	r.refuses = map[string]bool{"a": true}
	r.deliver(newTask("keyed", "a", "1"), newTask("keyed", "b", "2"))
	r.finish(r.one())
	r.deliver(newTask("keyed", "c", "3"))
	r.finish(r.one())
	asked := r.asked
	r.step()
	if r.asked != asked {
		t.Error("the lane is offered again before there is room")
	}
	r.refuses = nil
	r.capacity("keyed", "")
	r.finish(r.one())
	r.wantEmpty()
}

func TestAllRoomIsUsedAtOnce(t *testing.T) {
	r := newRig(t, nil)
	r.slots = 2
	r.join(3, nil)
	r.join(4, nil)
	for i := range 9 {
		a := arrivalOf(newTask("loose", "", fmt.Sprint(i)))
		a.item.pos = broker.Position(i + 1)
		r.c.delivered(r.now, "loose", rankNormal, []arrival{a})
	}
	r.step()
	if got := names(r.take()); got != "[[0 1] [2 3 4] [5 6 7 8]]" {
		t.Errorf("leases %s", got)
	}
}

func TestSettingsChangeWhatTasksAsk(t *testing.T) {
	r := newRig(t, nil)
	r.deliver(placed("keyed", "a", "1", gpu), placed("keyed", "b", "2", "zone=a"))
	w := r.join(9, map[string]string{"gpu": "1", "zone": "a"})
	r.settings("keyed", func(q *task.Queue) { q.Placement.Require = "zone=b" })
	r.deliver(newTask("keyed", "c", "3"), newTask("keyed", "a", "4"))
	r.capacity("keyed", gpu)
	r.capacity("keyed", "")
	if n := len(r.take()); n != 0 {
		t.Fatal("the queue asks for another zone")
	}
	w.labels["zone"] = "b"
	r.capacity("keyed", "gpu,zone=b")
	r.finish(r.one()) // 1
	if n := len(r.take()); n != 0 {
		t.Fatal("there is room for another class only")
	}
	r.settings("keyed", func(q *task.Queue) { q.Placement.Require = "" })
	w.labels["zone"] = "a"
	r.capacity("keyed", "zone=a")
	if got := len(r.goOn(1)); got != 3 {
		t.Errorf("%d tasks were leased, want the three that are left", got)
	}
	r.wantEmpty()
}

func TestClassesThatNothingBelongsToGoAway(t *testing.T) {
	r := newRig(t, nil)
	w := r.join(9, map[string]string{})
	for i := range 1000 {
		label := fmt.Sprint("l", i)
		w.labels[label] = "x"
		r.deliver(placed("keyed", "k", fmt.Sprint("k", i), task.Selector(label)))
		r.finish(r.one())
		r.deliver(placed("loose", "", fmt.Sprint("l", i), task.Selector(label)))
		r.finish(r.one())
	}
	for _, q := range r.c.order {
		if len(q.classes) > keptClasses || len(q.bands[rankNormal].special) != len(q.classes)-1 {
			t.Errorf("queue %s keeps %d classes, %d by name", q.Name, len(q.classes), len(q.bands[rankNormal].special))
		}
	}
	for i := range 100 {
		r.deliver(placed("loose", "", fmt.Sprint("w", i), task.Selector(fmt.Sprint("none", i))))
	}
	if n := len(r.c.queues["loose"].classes); n < 101 {
		t.Errorf("%d classes are left of 100 that wait", n)
	}
}
