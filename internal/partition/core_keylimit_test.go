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

// overKeyLimit says if a lease that begins lets more tasks of a key run than may. It
// counts leases by itself.
func (c *core) overKeyLimit(l *task.Lease) string {
	q := c.queues[l.Queue]
	if q.KeyConcurrency == 0 {
		return ""
	}
	for i := range l.Tasks {
		key := l.Tasks[i].Key
		if n := c.runningOfKey(q, key); key != "" && n > q.KeyConcurrency {
			return fmt.Sprintf("%d tasks of key %s run at a time, want at most %d", n, key, q.KeyConcurrency)
		}
	}
	return ""
}

func (c *core) runningOfKey(q *queue, key string) (n int) {
	for _, ls := range c.leases {
		if ls.lane.q != q {
			continue
		}
		for _, it := range ls.items {
			if it != nil && it.Key == key {
				n++
			}
		}
	}
	return n
}

// keyRig has a queue without order in which n tasks of a key may run at a time.
func keyRig(tb testing.TB, n int, change func(*coreConfig)) *rig {
	tb.Helper()
	r := newRig(tb, change).begin()
	r.limitKeys(n)
	return r
}

func (r *rig) limitKeys(n int) {
	r.settings("loose", func(q *task.Queue) { q.KeyConcurrency = n })
}

// many delivers tasks of a key in one batch, whose names begin with the key.
func (r *rig) many(key string, from, n int) {
	r.t.Helper()
	all := make([]task.Task, n)
	for i := range all {
		all[i] = newTask("loose", key, fmt.Sprint(key, from+i))
		all[i].CreatedAt = task.TimestampAt(r.now) + task.Timestamp(r.pos) + task.Timestamp(i)
	}
	r.batchOf(all...)
}

func (r *rig) batchOf(all ...task.Task) {
	arrivals := make([]arrival, len(all))
	for i := range all {
		r.pos++
		arrivals[i] = arrivalOf(all[i])
		arrivals[i].item.pos = r.pos
	}
	r.c.delivered(r.now, "loose", rankNormal, arrivals)
	r.step()
}

// running counts the tasks of a key that workers have.
func (r *rig) running(key string) int { return r.c.runningOfKey(r.c.queues["loose"], key) }

// tasks returns the names of all tasks of leases, in order.
func tasksOf(leases []*task.Lease) (all []string) {
	for _, l := range leases {
		for i := range l.Tasks {
			all = append(all, string(l.Tasks[i].Payload))
		}
	}
	return all
}

func TestNoMoreTasksOfAKeyRunThanMayAndNobodyElseWaits(t *testing.T) {
	r := keyRig(t, 2, nil)
	r.many("a", 0, 5)
	r.many("b", 0, 1)
	r.many("", 0, 3)
	first := r.take()
	if got := tasksOf(first); fmt.Sprint(got) != "[a0 a1 b0 0 1 2]" {
		t.Fatalf("started %s", got)
	}
	r.answer(first[0], 1, did())
	if got := tasksOf(r.take()); fmt.Sprint(got) != "[a2]" {
		t.Errorf("started %s after one of the key ended", got)
	}
	for _, l := range first[1:] {
		r.finish(l)
	}
	r.answer(first[0], 0, did())
	if got := r.goOn(9); fmt.Sprint(got) != "[a3]" && fmt.Sprint(got) != "[a3 a4]" {
		t.Errorf("started %s at the end", got)
	}
}

func TestManyKeysGoOutInOneLease(t *testing.T) {
	r := keyRig(t, 1, nil)
	r.slots = 0
	for i := range 500 {
		r.many(fmt.Sprint("k", i%250, "-"), i/250, 1)
	}
	r.slots = 1000
	r.capacity("loose", "")
	leases := r.take()
	if n := len(tasksOf(leases)); n != 250 || len(leases) > 8 {
		t.Fatalf("%d tasks in %d leases, want one of each key in a few", n, len(leases))
	}
	for _, l := range leases {
		r.finish(l)
	}
	leases = r.take()
	if n := len(tasksOf(leases)); n != 250 || len(leases) > 16 {
		t.Errorf("then %d tasks in %d leases", n, len(leases))
	}
	for _, l := range leases {
		r.finish(l)
	}
	r.wantEmpty()
}

// TestEveryEndOfALeaseLetsTheNextOfItsKeyStart ends one of two running tasks of a key
// in every way there is.
func TestEveryEndOfALeaseLetsTheNextOfItsKeyStart(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(r *rig, l *task.Lease)
		left int // of the six, those that are to run until all are done
	}{
		"done":     {func(r *rig, l *task.Lease) { r.answer(l, 0, did()) }, 4},
		"retry":    {func(r *rig, l *task.Lease) { r.answer(l, 0, retry(time.Minute)) }, 5},
		"long":     {func(r *rig, l *task.Lease) { r.answer(l, 0, retry(time.Hour)) }, 5},
		"dead":     {func(r *rig, l *task.Lease) { r.answer(l, 0, reject()) }, 4},
		"returned": {func(r *rig, l *task.Lease) { r.answer(l, 0, returned()) }, 5},
		"refused": {func(r *rig, l *task.Lease) {
			r.answer(l, 0, task.Outcome{Emits: []task.Task{newTask("nowhere", "", "e")}})
		}, 4},
		"cancelled": {func(r *rig, l *task.Lease) {
			r.cancelled(string(l.Tasks[0].Payload))
			r.answer(l, 0, retry(0))
		}, 4},
		"timeout": {func(r *rig, _ *task.Lease) { r.pass(time.Minute) }, 5},
		"worker gone": {func(r *rig, _ *task.Lease) {
			r.c.workerGone(r.now, r.worker.Session, false)
			r.slots, r.assigned[1] = 100, 0
			r.step()
		}, 6},
		"worker finished": {func(r *rig, _ *task.Lease) {
			r.c.workerGone(r.now, r.worker.Session, true)
			r.slots, r.assigned[1] = 100, 0
			r.step()
		}, 6},
		"poison": {func(r *rig, _ *task.Lease) {
			r.settings("loose", func(q *task.Queue) { q.MaxDeliveries = 1 })
			r.c.workerGone(r.now, r.worker.Session, false)
			r.slots, r.assigned[1] = 100, 0
			r.settings("loose", func(q *task.Queue) { q.MaxDeliveries = 20 })
		}, 4},
	} {
		t.Run(name, func(t *testing.T) {
			r := keyRig(t, 2, nil)
			r.many("a", 0, 6)
			l := r.one()
			if len(l.Tasks) != 2 {
				t.Fatalf("%d run, want 2", len(l.Tasks))
			}
			c.end(r, l)
			r.commit()
			if n := r.running("a"); n != 2 {
				t.Fatalf("%d run, want 2 again", n)
			}
			if held := r.c.leases[l.Token]; held != nil {
				r.answer(l, 1, did())
			}
			r.goOn(9)
			r.pass(2 * time.Hour)
			r.goOn(9)
			for i := range 6 {
				if name := fmt.Sprint("a", i); !r.state(name).Final() {
					t.Errorf("%s is %v", name, r.state(name))
				}
			}
			r.wantEmpty()
		})
	}
}

// cancelled cancels tasks by their names.
func (r *rig) cancelled(names ...string) {
	x := &cancelling{why: "no need", answer: func([]CancelResult) {}, places: make([]place, len(names))}
	for _, name := range names {
		x.results = append(x.results, CancelResult{ID: task.DeriveID(name)})
	}
	r.c.cancel(r.now, x)
	r.step()
	r.commit()
	for len(r.wanted) > 0 {
		r.foundRows()
	}
}

// foundRows answers a read of rows.
func (r *rig) foundRows() {
	read := r.wanted[0]
	r.wanted = r.wanted[1:]
	rows := make([]store.Row, len(read.keys))
	for i, key := range read.keys {
		rows[i] = r.rows[fmt.Sprint(key.Table(), " ", rowName(key))]
	}
	read.then(r.now, rows)
	r.step()
	r.commit()
}

func TestATaskThatWaitsForItsRetryDoesNotCountForItsKey(t *testing.T) {
	r := keyRig(t, 1, nil)
	r.many("a", 0, 2)
	r.answer(r.one(), 0, retry(time.Second))
	l := r.one()
	if got := string(l.Tasks[0].Payload); got != "a1" {
		t.Fatalf("%s runs", got)
	}
	r.pass(5 * time.Second) // a0 is due, and its key has no room
	if len(r.sent) != 0 {
		t.Fatal("both run")
	}
	r.finish(l)
	if l := r.one(); string(l.Tasks[0].Payload) != "a0" || l.Tasks[0].Attempt != 2 {
		t.Errorf("%s, attempt %d", l.Tasks[0].Payload, l.Tasks[0].Attempt)
	}
}

func TestAHotKeyLeavesTheWindowToOthers(t *testing.T) {
	const window, hot, cold = 256, 100_000, 300
	r := keyRig(t, 3, func(cfg *coreConfig) { cfg.Window, cfg.Page = broker.Limit{Tasks: window, Bytes: 1 << 20}, 16 })
	var stuck []*task.Lease // what runs of the hot key does not end for now
	delivered, done := 0, 0
	flow := func() {
		for _, l := range r.take() {
			if strings.HasPrefix(string(l.Tasks[0].Payload), "hot") {
				stuck = append(stuck, l)
				continue
			}
			done += len(l.Tasks)
			r.finish(l)
		}
	}
	for delivered < hot {
		held := r.c.queues["loose"].bands[rankNormal].held.Tasks
		if n := min(window-held, 64, hot-delivered); n > 0 {
			r.many("hot", delivered, n)
			delivered += n
		} else {
			r.pass(lookInterval)
		}
		flow()
		r.commit()
	}
	for i := range cold {
		if held := r.c.queues["loose"].bands[rankNormal].held.Tasks; held >= window {
			t.Fatalf("the window is full: %d", held)
		}
		r.many(fmt.Sprint("cold", i, "-"), 0, 1)
		flow()
		r.commit()
	}
	if n := r.running("hot"); done != cold || n != 3 {
		t.Fatalf("%d of %d others are done while %d of the hot key run", done, cold, n)
	}
	if n := len(r.c.tasks); n > window {
		t.Errorf("%d tasks are in memory", n)
	}
	if n := r.c.queues["loose"].stats.Parked; n < hot-window {
		t.Errorf("%d tasks are parked", n)
	}
	// From the rows they go on, as many at a time as may.
	for _, l := range stuck {
		r.finish(l)
	}
	for range 100 {
		for len(r.parked) > 0 {
			r.page(16)
		}
		for _, l := range r.take() {
			done += len(l.Tasks)
			r.finish(l)
		}
	}
	if done < cold+100 {
		t.Errorf("only %d of the hot key went on", done-cold)
	}
}

func TestManyHotKeysAllGoOn(t *testing.T) {
	r := keyRig(t, 1, func(cfg *coreConfig) { cfg.Window, cfg.Page = broker.Limit{Tasks: 64, Bytes: 1 << 20}, 8 })
	const keys, each = 40, 12
	seen := map[string]int{}
	for i := range keys * each {
		for r.c.queues["loose"].bands[rankNormal].held.Tasks >= 64 {
			r.pass(lookInterval)
			if r.now.Sub(rigStart) > 20*time.Second {
				t.Fatalf("the window does not move: %s", leftOf(r.c.queues["loose"]))
			}
		}
		r.many(fmt.Sprint("k", i%keys, "-"), i/keys, 1)
		r.commit()
	}
	running := r.take()
	for range 10_000 {
		for len(r.parked) > 0 {
			r.page(8)
		}
		r.commit()
		running = append(running, r.take()...)
		if len(running) == 0 {
			break
		}
		l := running[0]
		running = running[1:]
		for i := range l.Tasks {
			seen[l.Tasks[i].Key]++
		}
		r.finish(l)
	}
	for i := range keys {
		if key := fmt.Sprint("k", i, "-"); seen[key] != each {
			t.Errorf("key %s ran %d times, want %d", key, seen[key], each)
		}
	}
	r.wantEmpty()
}

func TestAChangeOfTheLimitTakesEffectAtOnce(t *testing.T) {
	for _, parked := range []bool{false, true} {
		for _, steps := range [][]int{{1, 4, 2, 0}, {0, 2, 5}, {3, 0, 3}, {2, 1, 3}, {0, 1, 0}} {
			t.Run(fmt.Sprint(parked, steps), func(t *testing.T) {
				r := keyRig(t, steps[0], func(cfg *coreConfig) { cfg.Window.Tasks, cfg.Page = 16, 4 })
				r.slots = 6
				r.many("a", 0, 12)
				r.commit()
				if parked {
					r.setAsideAll()
				}
				running := r.take()
				for at, n := range steps {
					r.limitKeys(n)
					for len(r.parked) > 0 {
						r.page(4)
					}
					r.commit()
					running = append(running, r.take()...)
					before, want := r.running("a"), n
					if n == 0 || n > 6 {
						want = min(6, 12)
					}
					if before < want {
						t.Fatalf("%d run with %d at step %d, want %d", before, n, at, want)
					}
				}
				for len(running) > 0 {
					for _, l := range running {
						r.finish(l)
					}
					r.capacity("loose", "")
					for len(r.parked) > 0 {
						r.page(4)
					}
					r.commit()
					running = r.take()
				}
				r.wantEmpty()
			})
		}
	}
}

// setAsideAll puts all that waits for its key into the store.
func (r *rig) setAsideAll() {
	for _, w := range r.c.queues["loose"].waits {
		r.c.evict(r.now, w, 0)
	}
	r.step()
	r.commit()
}

func TestTasksInTheStoreWaitForTheirKeyAfterARestart(t *testing.T) {
	for name, change := range map[string]func(*task.Queue){
		"as it was":      func(q *task.Queue) { q.KeyConcurrency = 2 },
		"without limit":  func(q *task.Queue) { q.KeyConcurrency = 0 },
		"another number": func(q *task.Queue) { q.KeyConcurrency = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			small := func(cfg *coreConfig) { cfg.Window.Tasks, cfg.Page = 16, 4 }
			r := keyRig(t, 2, small)
			r.many("a", 0, 9)
			r.batchOf(placed("loose", "a", "gpu", gpu), placed("loose", "a", "gpu2", gpu))
			r.setAsideAll()
			running := tasksOf(r.take())
			r.fence.Epoch++
			r.slots, r.assigned = 100, map[uint64]int{}
			r.claim(small)
			r.begin()
			r.settings("loose", change)
			r.restore()
			r.join(5, gpuLabels())
			r.capacity("loose", gpu)
			for i, name := range running { // the broker gives them again
				x := newTask("loose", "a", name)
				x.CreatedAt = task.TimestampAt(rigStart) + task.Timestamp(i)
				r.deliver(x)
			}
			for range 100 {
				r.goOn(4)
				r.pass(time.Second)
			}
			for i := range 9 {
				if name := fmt.Sprint("a", i); r.state(name) != task.StateDone {
					t.Errorf("%s is %v", name, r.state(name))
				}
			}
			if r.state("gpu") != task.StateDone || r.state("gpu2") != task.StateDone {
				t.Errorf("what asks for a worker is %v and %v", r.state("gpu"), r.state("gpu2"))
			}
			r.wantEmpty()
		})
	}
}

func TestTasksThatWaitForTheirKeyCanBeTakenOut(t *testing.T) {
	for _, parked := range []bool{false, true} {
		t.Run(fmt.Sprint("cancel, parked ", parked), func(t *testing.T) {
			r := keyRig(t, 1, func(cfg *coreConfig) { cfg.Page = 4 })
			r.many("a", 0, 8)
			if parked {
				r.setAsideAll()
			}
			r.cancelled("a1", "a2", "a5", "a7")
			l := r.one()
			r.finish(l)
			if got := r.goOn(4); fmt.Sprint(got) != "[a3 a4 a6]" {
				t.Errorf("%s ran", got)
			}
			if r.state("a5") != task.StateCancelled {
				t.Errorf("a5 is %v", r.state("a5"))
			}
			r.wantEmpty()
		})
	}
	t.Run("purge", func(t *testing.T) {
		r := keyRig(t, 1, nil)
		r.many("a", 0, 8)
		l := r.one()
		q := r.c.queues["loose"]
		r.c.purge(r.now, q, &purging{Purge: Purge{Queue: "loose", Queued: true, Before: task.TimestampAt(r.now.Add(time.Hour))}})
		q.purge = nil
		r.step()
		r.finish(l)
		if n := len(r.take()); n != 0 || r.state("a7") != task.StateCancelled {
			t.Errorf("%d leases, a7 is %v", n, r.state("a7"))
		}
		r.wantEmpty()
	})
	t.Run("expiry", func(t *testing.T) {
		r := keyRig(t, 1, nil)
		r.many("a", 0, 1)
		x := newTask("loose", "a", "x")
		x.ExpiresAt = r.now.Add(time.Second)
		y := newTask("loose", "a", "y")
		r.batchOf(x, y)
		l := r.one()
		r.pass(2 * time.Second)
		r.finish(l)
		if got := r.goOn(9); fmt.Sprint(got) != "[y]" || r.state("x") != task.StateExpired {
			t.Errorf("%s ran, x is %v", got, r.state("x"))
		}
		r.wantEmpty()
	})
}

func TestOneOfAKeyThatIsTakenOutOfTheLineLetsAnotherOneIn(t *testing.T) {
	r := keyRig(t, 1, nil)
	r.many("a", 0, 4)
	l := r.one()
	r.slots = -1
	r.finish(l) // and a1 is in the line, where no worker takes it
	r.slots = 0
	r.cancelled("a1", "a2")
	r.slots = 5
	r.capacity("loose", "")
	if got := r.goOn(9); fmt.Sprint(got) != "[a3]" {
		t.Errorf("%s ran", got)
	}
	r.wantEmpty()
}

func TestAPausedQueueKeepsWhatWaitsForItsKey(t *testing.T) {
	r := keyRig(t, 1, nil)
	r.many("a", 0, 3)
	l := r.one()
	r.settings("loose", func(q *task.Queue) { q.Paused = true })
	r.finish(l)
	if n := len(r.take()); n != 0 {
		t.Fatalf("%d leases of a paused queue", n)
	}
	r.settings("loose", func(q *task.Queue) { q.Paused = false })
	if got := r.goOn(9); fmt.Sprint(got) != "[a1 a2]" {
		t.Errorf("%s ran", got)
	}
	r.wantEmpty()
}

func TestWhatNoWorkerTakesDoesNotUseUpItsKey(t *testing.T) {
	r := keyRig(t, 1, func(cfg *coreConfig) { cfg.Window.Tasks, cfg.Page = 8, 4 })
	for i := range 5 {
		r.batchOf(placed("loose", "a", fmt.Sprint("gpu", i), gpu))
	}
	r.many("a", 0, 3)
	if got := r.goOn(4); fmt.Sprint(got) != "[a0 a1 a2]" {
		t.Fatalf("%s ran", got)
	}
	r.pass(time.Minute) // they are set aside, or not
	r.many("b", 0, 8)
	r.pass(time.Minute)
	r.goOn(4)
	r.join(3, gpuLabels())
	r.capacity("loose", gpu)
	got := r.goOn(4)
	slices.Sort(got)
	if fmt.Sprint(got) != "[gpu0 gpu1 gpu2 gpu3 gpu4]" {
		t.Errorf("%s ran", got)
	}
	r.wantEmpty()
}

func TestExplainSaysHowManyOfAKeyRun(t *testing.T) {
	r := keyRig(t, 2, nil)
	r.many("a", 0, 5)
	r.take()
	x := r.c.explainItem(r.now, r.c.tasks[task.DeriveID("a4")])
	if x.Reason != ReasonKeyConcurrency || x.KeyRunning != 2 || x.KeyMost != 2 {
		t.Errorf("explanation %+v", x)
	}
	r.setAsideAll()
	if x, found := r.c.explainParkedKey("loose", "a"); !found || x.Reason != ReasonKeyConcurrency {
		t.Errorf("explanation %+v of one in the store", x)
	}
	if s := r.c.stats("loose"); s.Parked != 3 || s.Running != 2 || s.Ready != 0 {
		t.Errorf("stats %+v", s)
	}
	r.settings("loose", func(q *task.Queue) { q.Paused = true })
	if x, found := r.c.explainParkedKey("loose", "a"); found {
		t.Errorf("explanation %+v of a paused queue", x)
	}
}
