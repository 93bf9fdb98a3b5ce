package partition

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

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
				pages := 0
				for ; len(r.parked) > 0; pages++ {
					r.page(4)
				}
				if pages > maxFetches {
					t.Errorf("%d lanes are read again that no worker takes", pages)
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

// TestABusyClassLeavesRoomForOthers has one slow worker for what fills the window,
// and an idle one for what is behind it.
func TestABusyClassLeavesRoomForOthers(t *testing.T) {
	for _, queue := range []string{"keyed", "loose"} {
		t.Run(queue, func(t *testing.T) {
			r := newRig(t, func(cfg *coreConfig) { cfg.Window.Tasks, cfg.Page = 8, 4 }).begin()
			r.slots = 1
			r.join(1, gpuLabels())
			r.refuses = map[string]bool{}
			delivered, order := 0, []string{}
			more := func(n int) {
				for range n {
					r.deliver(placed(queue, fmt.Sprint("k", delivered), fmt.Sprintf("%02d", delivered), "gpu"))
					delivered++
				}
			}
			second := func() {
				for _, l := range r.take() {
					order = append(order, string(l.Tasks[0].Payload))
					r.finish(l)
				}
				r.pass(time.Second)
				r.capacity(queue, gpu)
			}
			more(8)
			for range 2 {
				second()
				more(1)
			}
			if n := len(r.table(store.TableParked)); n != 0 {
				t.Fatalf("%d tasks are set aside at once", n)
			}
			for range 2 {
				second()
				more(1)
			}
			parked := len(r.table(store.TableParked))
			if held := r.c.queues[queue].bands[rankNormal].held.Tasks; held > 8*3/4 || parked == 0 {
				t.Fatalf("%d tasks are in the window, %d are set aside", held, parked)
			}
			pages := 0
			for round := range 90 {
				if delivered < 60 {
					more(1)
				}
				if round == 5 {
					r.deliver(newTask(queue, "other", "x"))
					if r.slots != 0 {
						t.Error("the idle worker gets nothing")
					}
				}
				for ; len(r.parked) > 0; pages++ {
					r.page(4)
				}
				second()
			}
			if len(order) != 61 || pages > 2*len(order) { // each lane is read to its end
				t.Errorf("%d of 61 tasks were leased, %d pages read: %v", len(order), pages, order)
			}
			// What was set aside comes between newer ones, not after all of them.
			if at := slices.Index(order, "07"); at > 30 {
				t.Errorf("task 07 was number %d: %v", at, order)
			}
			r.wantEmpty()
		})
	}
}

// TestAMovingClassHelpsThatOthersAreSetAside has a worker that is always busy with
// tasks that ask for nothing, never idle when the window is looked at.
func TestAMovingClassHelpsThatOthersAreSetAside(t *testing.T) {
	r := newRig(t, func(cfg *coreConfig) { cfg.Window.Tasks = 8 }).begin()
	r.slots = 0
	for i := range 8 {
		require := gpu
		if i >= 6 {
			require = ""
		}
		r.deliver(placed("keyed", fmt.Sprint("k", i), fmt.Sprint(i), require))
	}
	r.slots = 1
	r.capacity("keyed", "")
	for i := range 6 {
		l := r.one()
		r.deliver(newTask("keyed", fmt.Sprint("j", i), fmt.Sprint("j", i)))
		r.pass(time.Second / 2)
		r.finish(l)
		r.capacity("keyed", "")
	}
	if n := len(r.table(store.TableParked)); n != 6 {
		t.Errorf("%d tasks are set aside, want 6", n)
	}
}

// TestAKeyGoesOnWhateverItsLastTaskAsked has the rows of a key in the store, of which
// the next one asks for nothing, and no worker for what the last one asked for.
func TestAKeyGoesOnWhateverItsLastTaskAsked(t *testing.T) {
	for name, next := range map[string]func(*rig, *rigWorker){
		"it was all that was read": func(r *rig, w *rigWorker) {
			r.page(1)
			l := r.one()
			w.slots = 0
			r.deliver(placed("keyed", "j", "busy", gpu))
			w.slots = -1
			r.finish(l)
		},
		"it cannot be read": func(r *rig, w *rigWorker) {
			w.slots = 0
			r.deliver(placed("keyed", "j", "busy", gpu))
			read := r.parked[0]
			r.parked = nil
			bad := arrival{corrupt: true}
			bad.item.seq = read.after + 1
			r.c.parkedLoaded(r.now, read.at, []arrival{bad}, true)
			r.step()
		},
		"its worker is slow": func(r *rig, w *rigWorker) {
			r.page(2)
			l := r.one()
			w.slots = 0
			r.deliver(placed("keyed", "j", "busy", gpu))
			for i := range 1000 {
				r.deliver(placed("keyed", fmt.Sprint("j", i), fmt.Sprint("j", i), gpu))
			}
			for len(r.parked) > 0 {
				r.page(2)
			}
			r.pass(parkAfter + tickInterval)
			w.slots = -1
			r.finish(l)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(cfg *coreConfig) { cfg.Page = 8 }).begin()
			r.slots = 0
			w := r.join(1, gpuLabels())
			r.deliver(placed("keyed", "k", "1", gpu), newTask("keyed", "k", "2"))
			r.answer(r.one(), 0, retry(time.Minute))
			r.commit()
			r.pass(time.Minute)
			next(r, w)
			if len(r.parked) == 0 {
				t.Error("the rows are not read")
			}
		})
	}
}

// TestAClassThatCaughtUpIsNotBehind lets a class wait now and then, never for long.
func TestAClassThatCaughtUpIsNotBehind(t *testing.T) {
	r := newRig(t, func(cfg *coreConfig) { cfg.Window.Tasks = 8 }).begin()
	for round := range 5 {
		for i := range 8 {
			r.deliver(placed("keyed", fmt.Sprint("k", i), fmt.Sprintf("%d-%d", round, i), gpu))
		}
		r.pass(parkAfter)
		r.join(8, gpuLabels())
		r.capacity("keyed", gpu)
		for _, l := range r.take() {
			r.finish(l)
		}
		r.others = nil
	}
	if m := r.mark("4-7"); len(r.table(store.TableParked)) != 0 || r.credited.Tasks != 40 || m == nil {
		t.Errorf("%d tasks are set aside", len(r.table(store.TableParked)))
	}
}

// TestAClassIsBehindAsLongAsItsRowsAre fills the window again as soon as a part of
// what was set aside is taken.
func TestAClassIsBehindAsLongAsItsRowsAre(t *testing.T) {
	r := crowd(t, "keyed")
	r.pass(parkAfter + tickInterval)
	r.join(maxFetches, gpuLabels())
	r.capacity("keyed", gpu)
	for range maxFetches {
		r.page(4)
	}
	if n := len(r.take()); n != maxFetches {
		t.Fatalf("%d leases", n)
	}
	for len(r.parked) > 0 {
		r.page(4)
	}
	for i := range 8 {
		r.deliver(placed("keyed", fmt.Sprint("j", i), fmt.Sprint("j", i), gpu))
	}
	r.pass(tickInterval)
	if held := r.c.queues["keyed"].bands[rankNormal].held.Tasks; held > 8*3/4 {
		t.Errorf("%d tasks are in the window", held)
	}
}

func TestRowsWithoutOrderAreReadWhileNewTasksCome(t *testing.T) {
	r := newRig(t, func(cfg *coreConfig) {
		cfg.Stored.Tasks, cfg.Stored.Bytes, cfg.Page, cfg.Window.Tasks = 2, 1<<20, 4, 1000
	}).begin()
	r.slots = 0
	for i := range 8 {
		x := newTask("loose", "", fmt.Sprint("s", i))
		x.RunAt = r.now.Add(time.Second)
		r.deliver(x)
	}
	r.commit()
	r.pass(time.Second)
	for len(r.schedule) > 0 {
		r.rowsDue()
	}
	r.commit()
	if n := len(r.table(store.TableParked)); n == 0 {
		t.Fatal("none of them is parked")
	}
	for round := range 40 { // there are always new ones
		for i := range 4 {
			r.deliver(newTask("loose", "", fmt.Sprint("n", round, i)))
		}
		r.slots = 2
		r.capacity("loose", "")
		for len(r.parked) > 0 {
			r.page(4)
		}
		for _, l := range r.take() {
			r.finish(l)
		}
		r.slots = 0
	}
	for i := range 8 {
		if s := r.state(fmt.Sprint("s", i)); s != task.StateDone {
			t.Errorf("task s%d is %v after all these", i, s)
		}
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
	inMemory := r.c.queues["keyed"].bands[rankNormal].stored.Tasks
	if inMemory == 0 || inMemory > maxFetches {
		t.Fatalf("%d tasks were read back", inMemory)
	}
	for range 9 {
		r.pass(tickInterval)
		r.capacity("keyed", gpu)
	}
	if r.c.queues["keyed"].bands[rankNormal].stored.Tasks != inMemory || len(r.parked) != 0 {
		t.Errorf("%d of %d tasks are in memory, %d reads are under way", r.c.queues["keyed"].bands[rankNormal].stored.Tasks, inMemory, len(r.parked))
	}
	r.join(20, gpuLabels())
	r.capacity("keyed", gpu)
	if got := len(r.goOn(4)); got != 16 {
		t.Errorf("%d of 16 tasks were leased", got)
	}
	r.wantEmpty()
}

// behindLeased has tasks without order of which number 1 and 2 are leased, and number
// 0, which was given back, is aside with those from 3 on: a read is asked for.
func behindLeased(t *testing.T) (*rig, *task.Lease) {
	t.Helper()
	r := crowd(t, "loose")
	r.pass(parkAfter + tickInterval)
	w := r.join(3, gpuLabels())
	r.capacity("loose", gpu)
	r.page(8)
	l := r.one()
	w.slots = -1
	r.answer(l, 0, returned())
	for i := range 8 {
		r.deliver(placed("loose", "", fmt.Sprint("n", i), gpu))
	}
	for len(r.parked) > 0 {
		r.page(8)
	}
	r.pass(2*parkAfter + tickInterval)
	if n := r.c.queues["loose"].bands[rankNormal].held.Tasks; n != 0 || len(r.take()) != 0 {
		t.Fatalf("%d tasks are in the window", n)
	}
	w.slots = 9
	r.capacity("loose", gpu)
	return r, l
}

func TestAPageWithATaskThatEndedIsNotUsed(t *testing.T) {
	r, l := behindLeased(t)
	read := r.parked[0]
	r.parked = nil
	page := r.pageOf(read, 8)
	r.answer(l, 1, did(), did())
	r.commit()
	r.c.parkedLoaded(r.now, read.at, page, true)
	r.step()
	if got := r.goOn(8); len(got) != 14 || slices.Contains(got, "1") || slices.Contains(got, "2") {
		t.Errorf("leased %v", got)
	}
	r.wantEmpty()
}

func TestNoPageIsReadBeforeTheEndOfItsTasksIsDurable(t *testing.T) {
	r, l := behindLeased(t)
	r.page(1) // 0, and the next read is asked for after it
	zero := r.one()
	r.answer(l, 1, did()) // a first batch
	r.page(1)             // is out of date, and asked for again
	r.answer(zero, 0, did())
	r.commitOne() // lets a second batch go
	r.answer(l, 2, did())
	r.commitOne() // lets a third one go
	if len(r.parked) != 0 {
		t.Error("a page is read before the end of task 2 is durable")
	}
	r.commit()
	if got := r.goOn(8); len(got) != 13 || slices.Contains(got, "1") || slices.Contains(got, "2") {
		t.Errorf("leased %v", got)
	}
	r.wantEmpty()
}

func TestNoPageIsReadBeforeWhatIsKnownOfItsTasksIsDurable(t *testing.T) {
	r := crowd(t, "loose")
	r.pass(parkAfter + tickInterval)
	w := r.join(1, gpuLabels())
	r.capacity("loose", gpu)
	r.page(8)
	l := r.one()
	w.slots = -1
	for i := range 8 {
		r.deliver(placed("loose", "", fmt.Sprint("z", i), "zone=a"))
	}
	r.answer(l, 0, retry(0)) // its commit takes long
	for range 3 * parkAfter / tickInterval {
		r.now = r.now.Add(tickInterval)
		r.step()
	}
	w.slots = 9
	r.parked = nil
	r.capacity("loose", gpu)
	if n := r.c.queues["loose"].bands[rankNormal].stored.Tasks; n != 0 || len(r.parked) != 0 {
		t.Errorf("%d tasks are in memory, %d reads are asked for", n, len(r.parked))
	}
	r.commit()
	r.page(8)
	if l := r.one(); len(l.Tasks) != 8 || l.Tasks[0].Attempt != 2 {
		t.Errorf("leased %d tasks, the first for attempt %d", len(l.Tasks), l.Tasks[0].Attempt)
	}
}
