package partition

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/store"
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
	r.c.capacity(queue, task.Placement{Require: require})
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
				r.c.delivered(r.now, queue, []arrival{a})
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
	r.c.configure(r.now, task.DefaultQueue("flood"))
	for i := range 50 {
		r.deliver(newTask("flood", fmt.Sprint(i), "f"+fmt.Sprint(i)))
		if i < 10 {
			r.deliver(newTask("keyed", fmt.Sprint(i), "p"+fmt.Sprint(i)), placed("keyed", "g"+fmt.Sprint(i), "g"+fmt.Sprint(i), gpu))
		}
	}
	r.join(8, gpuLabels())
	r.c.capacity("flood", task.Placement{})
	r.c.capacity("keyed", task.Placement{})
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
		r.c.delivered(r.now, "loose", []arrival{a})
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
		if len(q.classes) > keptClasses || len(q.special) != len(q.classes)-1 {
			t.Errorf("queue %s keeps %d classes, %d by name", q.Name, len(q.classes), len(q.special))
		}
	}
	for i := range 100 {
		r.deliver(placed("loose", "", fmt.Sprint("w", i), task.Selector(fmt.Sprint("none", i))))
	}
	if n := len(r.c.queues["loose"].classes); n < 101 {
		t.Errorf("%d classes are left of 100 that wait", n)
	}
}

// crowd fills a window of 8 with tasks that no worker can take.
func crowd(t *testing.T, queue string) *rig {
	t.Helper()
	r := newRig(t, func(cfg *coreConfig) { cfg.Window.Tasks, cfg.Page = 8, 4 }).begin()
	for i := range 8 {
		r.deliver(placed(queue, fmt.Sprint("k", i), fmt.Sprint(i), gpu))
	}
	r.commit()
	return r
}

func TestTasksThatNobodyTakesLeaveTheWindow(t *testing.T) {
	for _, queue := range []string{"keyed", "loose"} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprint(queue, restart), func(t *testing.T) {
				r := crowd(t, queue)
				r.pass(parkAfter)
				if r.credited.Tasks != 0 {
					t.Fatal("they are set aside too early")
				}
				r.pass(tickInterval)
				if r.credited.Tasks != 8 || len(r.table(store.TableParked)) != 8 || len(r.c.tasks) != 0 || len(r.settled) != 8 {
					t.Fatalf("%d tasks left the window, %d are parked, %d in memory", r.credited.Tasks, len(r.table(store.TableParked)), len(r.c.tasks))
				}
				r.deliver(newTask(queue, "other", "x"), placed(queue, "k0", "8", gpu))
				r.finish(r.one())
				if len(r.parked) != 0 {
					t.Error("rows are read that no worker takes")
				}
				if restart {
					r.fence.Epoch++
					r.claim(func(cfg *coreConfig) { cfg.Window.Tasks, cfg.Page = 8, 4 })
					r.begin().restore()
				}
				r.join(9, gpuLabels())
				r.capacity(queue, gpu)
				got := r.goOn(4)
				if queue == "loose" && !slices.IsSorted(got) || slices.Index(got, "8") < slices.Index(got, "0") || len(got) != 9 {
					t.Errorf("read back as %s", got)
				}
				r.wantEmpty()
			})
		}
	}
}

func TestNothingIsSetAsideWhereNobodyWouldGoOn(t *testing.T) {
	for _, queue := range []string{"keyed", "loose"} {
		t.Run(queue, func(t *testing.T) {
			r := crowd(t, queue)
			r.slots = 0
			r.pass(time.Minute)
			if len(r.table(store.TableParked)) != 0 || r.credited.Tasks != 0 {
				t.Error("the store takes what the broker bounds")
			}
			r.slots = 1
			r.pass(tickInterval)
			if len(r.table(store.TableParked)) != 8 || r.slots != 1 {
				t.Errorf("%d tasks are parked, %d slots are free", len(r.table(store.TableParked)), r.slots)
			}
		})
	}
}

func TestAsManyAreSetAsideAsTheBacklogMayHave(t *testing.T) {
	for _, queue := range []string{"keyed", "loose"} {
		t.Run(queue, func(t *testing.T) {
			r := crowd(t, queue)
			r.settings(queue, func(q *task.Queue) { q.MaxBacklogTasks = 12 })
			for i := range 20 {
				r.pass(parkAfter + tickInterval)
				r.deliver(placed(queue, fmt.Sprint("j", i), fmt.Sprint("j", i), gpu))
			}
			if n := len(r.table(store.TableParked)); n < 12 || n > 12+8 {
				t.Errorf("%d tasks are set aside, a backlog of 12 is allowed and a window of 8", n)
			}
			r.join(30, gpuLabels())
			r.capacity(queue, gpu)
			if got := len(r.goOn(4)); got != 28 {
				t.Errorf("%d of 28 tasks were leased", got)
			}
			r.wantEmpty()
		})
	}
}

func TestOverloadIsNotSetAside(t *testing.T) {
	r := newRig(t, func(cfg *coreConfig) { cfg.Window.Tasks = 8 }).begin()
	r.slots = 1
	for i := range 8 {
		r.deliver(newTask("keyed", fmt.Sprint("k", i), fmt.Sprint(i)))
	}
	r.pass(20 * time.Second) // the one worker is slow
	for _, row := range r.table(store.TableParked) {
		if p := row.(*store.Parked); p.Key != "k0" {
			t.Errorf("key %s is parked, though nobody else would go on", p.Key)
		}
	}
}

// TestReadingBackInVainIsRare lets capacity come again and again, each time for a
// moment that is over when the rows are there.
func TestReadingBackInVainIsRare(t *testing.T) {
	for _, queue := range []string{"keyed", "loose"} {
		t.Run(queue, func(t *testing.T) {
			r := crowd(t, queue)
			r.pass(parkAfter + tickInterval)
			pages := 0
			const span = 60 * time.Second
			for i := range int(span / tickInterval) {
				r.deliver(placed(queue, fmt.Sprint("j", i), fmt.Sprint("j", i), gpu))
				r.capacity(queue, gpu)
				for len(r.parked) > 0 {
					r.page(4)
					pages++
				}
				r.pass(tickInterval)
			}
			if most := maxFetches * int(span/parkAfter); pages > most || pages == 0 {
				t.Errorf("%d pages were read in vain, want at most %d", pages, most)
			}
			r.join(600, gpuLabels())
			r.capacity(queue, gpu)
			if got := len(r.goOn(4)); got != 8+int(span/tickInterval) {
				t.Errorf("%d tasks were leased", got)
			}
			r.wantEmpty()
		})
	}
}

func TestLanesThatWereReadBackKeepTheirPlaceForAWhile(t *testing.T) {
	r := crowd(t, "keyed")
	r.pass(parkAfter + tickInterval)
	r.capacity("keyed", gpu) // and the worker is gone when the rows are there
	for len(r.parked) > 0 {
		r.page(4)
	}
	for i := range 8 {
		r.deliver(placed("keyed", fmt.Sprint("j", i), fmt.Sprint("j", i), gpu))
	}
	inMemory := r.c.queues["keyed"].stored.Tasks
	if inMemory == 0 || inMemory > maxFetches {
		t.Fatalf("%d tasks were read back", inMemory)
	}
	for range 9 {
		r.pass(tickInterval)
		r.capacity("keyed", gpu)
	}
	if r.c.queues["keyed"].stored.Tasks != inMemory || len(r.parked) != 0 {
		t.Errorf("%d of %d tasks are in memory, %d reads are under way", r.c.queues["keyed"].stored.Tasks, inMemory, len(r.parked))
	}
	r.join(20, gpuLabels())
	r.capacity("keyed", gpu)
	if got := len(r.goOn(4)); got != 16 {
		t.Errorf("%d of 16 tasks were leased", got)
	}
	r.wantEmpty()
}
