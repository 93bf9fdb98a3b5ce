package partition

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/clock"
	"github.com/fenfa/fenfa/internal/limit"
	"github.com/fenfa/fenfa/internal/task"
)

// hall is rigs that are partitions of one node, with limits over all of them.
type hall struct {
	t      *testing.T
	rigs   []*rig
	limits *limit.Limiter
	now    time.Time
	timers []*hallTimer
	woken  []func()
	starts []time.Time // of tasks
	filled int
}

type hallTimer struct {
	at time.Time
	f  func()
}

// newHall returns so many partitions whose queues all have the limits.
func newHall(t *testing.T, partitions int, change func(*task.Queue)) *hall {
	t.Helper()
	h := &hall{t: t, now: rigStart}
	var err error
	h.limits, err = limit.New(limit.Config{Clock: h, Wake: func(part int, queue string) {
		h.woken = append(h.woken, func() { h.rigs[part].c.permitted(h.now, queue) })
	}})
	if err != nil {
		t.Fatal(err)
	}
	for part := range partitions {
		r := newRig(t, func(cfg *coreConfig) { cfg.Part, cfg.Partitions = part, partitions })
		r.limiter = h.limits
		h.rigs = append(h.rigs, r)
	}
	h.set(change)
	return h
}

func (h *hall) Now() time.Time { return h.now }

func (h *hall) AfterFunc(d time.Duration, f func()) clock.Timer {
	timer := &hallTimer{h.now.Add(d), f}
	h.timers = append(h.timers, timer)
	return timer
}

func (t *hallTimer) Stop() bool {
	t.f = func() {}
	return true
}

// set changes the settings of both queues.
func (h *hall) set(change func(*task.Queue)) {
	for _, name := range []string{"keyed", "loose"} {
		for part, r := range h.rigs {
			q := r.c.queues[name].Queue
			change(&q)
			if part == 0 {
				h.limits.Configure(&q)
			}
			r.settings(name, func(to *task.Queue) { *to = q })
		}
	}
	h.settle()
}

// settle carries everything on that can go on now.
func (h *hall) settle() {
	for n := 0; ; n++ {
		if n > 10_000 {
			h.t.Fatal("partitions wake each other without end")
		}
		woken := h.woken
		h.woken = nil
		for _, f := range woken {
			f()
		}
		for _, r := range h.rigs {
			r.now = h.now
			r.step()
			r.commit()
		}
		if len(h.woken) == 0 && !slices.ContainsFunc(h.rigs, func(r *rig) bool { return r.batch != nil }) {
			return
		}
	}
}

// pass lets time pass to the next timer, at most so long.
func (h *hall) pass(d time.Duration) {
	next := h.now.Add(d)
	for _, timer := range h.timers {
		if timer.at.Before(next) {
			next = timer.at
		}
	}
	h.now = next
	due := h.timers
	h.timers = nil
	for _, timer := range due {
		if timer.at.After(h.now) {
			h.timers = append(h.timers, timer)
			continue
		}
		timer.f()
	}
	h.settle()
}

// fill delivers tasks to every partition.
func (h *hall) fill(queue string, keys, each int) {
	for part, r := range h.rigs {
		for i := range keys * each {
			r.deliver(newTask(queue, fmt.Sprintf("%d-%d", part, i%keys), fmt.Sprint(h.filled)))
			h.filled++
		}
	}
	h.settle()
}

// leases takes the leases that were sent, by partition.
func (h *hall) leases() (all [][]*task.Lease) {
	for _, r := range h.rigs {
		sent := r.take()
		for _, l := range sent {
			for range l.Tasks {
				h.starts = append(h.starts, h.now)
			}
		}
		all = append(all, sent)
	}
	return all
}

// running counts what runs, as limits count.
func (h *hall) running(queue string) (n int) {
	for _, r := range h.rigs {
		n += r.c.runningOf(r.c.queues[queue])
	}
	return n
}

func TestAQueueRunsNoMoreAtATimeThanItsConcurrencyOverAllPartitions(t *testing.T) {
	for _, queue := range []string{"keyed", "loose"} {
		t.Run(queue, func(t *testing.T) {
			h := newHall(t, 4, func(q *task.Queue) { q.Concurrency, q.Batch = 6, 3 })
			h.fill(queue, 5, 8)
			ended := 0
			for range 1000 {
				all := h.leases()
				if n := h.running(queue); n > 6 || n < 6 && ended < 160-40 {
					t.Fatalf("%d run at a time after %d tasks, want 6", n, ended)
				}
				for part, leases := range all {
					for _, l := range leases {
						h.rigs[part].answer(l, 0, make([]task.Outcome, len(l.Tasks))...)
						ended += len(l.Tasks)
						h.settle()
					}
				}
			}
			if ended != 160 {
				t.Errorf("%d tasks ended, want 160", ended)
			}
			for _, r := range h.rigs {
				r.wantEmpty()
			}
			if n := h.limits.Take(0, queue, 1000, false); n != 6 {
				t.Errorf("%d permits are left at the end, want 6", n)
			}
		})
	}
}

func TestALeaseAheadOfDurabilityTakesPermitsLikeAnyOther(t *testing.T) {
	h := newHall(t, 1, func(q *task.Queue) {
		q.Concurrency, q.Batch, q.Rate = 1, 4, task.Rate{PerSecond: 400, Burst: 4}
	})
	r := h.rigs[0]
	r.deliver(newTask("keyed", "k", "1"))
	r.answer(r.one(), 0, task.Outcome{})
	r.deliver(newTask("keyed", "k", "2"), newTask("keyed", "k", "3"), newTask("keyed", "other", "4"))
	ahead := r.one() // Its batch was not committed.
	if got := names([]*task.Lease{ahead}); got != "[[2 3]]" {
		t.Fatalf("leases %s", got)
	}
	if n := h.limits.Take(0, "keyed", 1, false); n != 0 {
		t.Errorf("there are %d permits beside the one that may run", n)
	}
	r.answer(ahead, 0, task.Outcome{}, task.Outcome{})
	h.settle()
	if got := names(r.take()); got != "[[4]]" {
		t.Errorf("leases %s after the key went ahead", got)
	}
	if n := h.limits.Take(0, "keyed", 1, false); n != 0 {
		t.Errorf("%d tasks more may start than the rate allows", n)
	}
}

func TestTasksStartAtTheRateOfTheirQueueAndOthersDoNotWait(t *testing.T) {
	rate := task.Rate{PerSecond: 200, Burst: 5}
	h := newHall(t, 3, func(q *task.Queue) {
		if q.Name == "keyed" {
			q.Rate, q.Batch = rate, 4
		}
	})
	h.fill("keyed", 4, 60)
	first := 0
	for range 5000 {
		for part, leases := range h.leases() {
			for _, l := range leases {
				h.rigs[part].answer(l, 0, make([]task.Outcome, len(l.Tasks))...)
			}
		}
		h.settle()
		if first == 0 {
			first = len(h.starts)
			h.rigs[1].deliver(newTask("loose", "", "other"))
			h.settle()
			l := h.rigs[1].one()
			if l.Queue != "loose" {
				t.Fatalf("a lease of %s", l.Queue)
			}
			h.rigs[1].finish(l)
		}
		h.pass(time.Second)
	}
	if first != rate.Burst || len(h.starts) != 720 {
		t.Fatalf("%d tasks started at once and %d at all, want %d and 720", first, len(h.starts), rate.Burst)
	}
	for i := range h.starts {
		for j := i; j < len(h.starts); j++ {
			if span := h.starts[j].Sub(h.starts[i]); float64(j-i+1) > float64(rate.Burst)+rate.PerSecond*span.Seconds()+1e-6 {
				t.Fatalf("%d tasks started within %v", j-i+1, span)
			}
		}
	}
	if span := h.starts[719].Sub(h.starts[0]); span > 3700*time.Millisecond {
		t.Errorf("720 tasks took %v, want hardly more than 3.6 s", span)
	}
}

func TestALimitThatIsLoweredBelowWhatRunsStartsNothingNew(t *testing.T) {
	h := newHall(t, 2, func(*task.Queue) {})
	h.fill("loose", 1, 10)
	all := h.leases()
	if n := h.running("loose"); n != 20 {
		t.Fatalf("%d run, want 20", n)
	}
	h.set(func(q *task.Queue) { q.Concurrency = 3 }) // what ran before counts
	h.fill("loose", 1, 5)
	for part, leases := range all {
		for _, l := range leases {
			for i := range l.Tasks {
				h.rigs[part].answer(l, i, did())
				h.settle()
				if n := h.running("loose"); n > 3 && len(slices.Concat(h.leases()...)) > 0 {
					t.Fatalf("%d run, and one more began", n)
				}
			}
		}
	}
	if n := h.running("loose"); n != 3 {
		t.Errorf("%d run at the end, want 3", n)
	}
	h.set(func(q *task.Queue) { q.Concurrency = 0 })
	if n := h.running("loose"); n != 10 {
		t.Errorf("%d run without a limit, want all 10", n)
	}
}

func TestAPartitionWhoseTasksHaveNoWorkerLeavesItsPermitsToOthers(t *testing.T) {
	h := newHall(t, 3, func(q *task.Queue) { q.Concurrency = 2 })
	for _, r := range h.rigs[:2] {
		r.slots = 0
	}
	h.fill("keyed", 3, 1)
	if n := len(h.rigs[2].take()); n != 2 {
		t.Fatalf("%d leases where there is a worker, want 2", n)
	}
}

func TestTasksThatWereNotBegunGiveTheirTokensBack(t *testing.T) {
	for name, give := range map[string]func(r *rig, l *task.Lease){
		"after a failure": func(r *rig, l *task.Lease) { r.answer(l, 0, retry(time.Hour)) },
		"given back":      func(r *rig, l *task.Lease) { r.answer(l, 0, did(), returned()) },
		"the worker finished": func(r *rig, l *task.Lease) {
			r.answer(l, 0, did())
			r.c.workerGone(r.now, 1, true)
			r.slots = 0
			r.step()
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHall(t, 1, func(q *task.Queue) { q.Rate = task.Rate{PerSecond: 1000, Burst: 10} })
			r := h.rigs[0]
			r.slots = 0
			for i := range 5 {
				r.deliver(newTask("keyed", "k", fmt.Sprint(i)))
			}
			r.slots = 1
			r.capacity("keyed", "")
			l := r.one()
			if len(l.Tasks) != 5 {
				t.Fatalf("%d tasks, want 5", len(l.Tasks))
			}
			r.slots = -1
			give(r, l)
			r.commit()
			if n := h.limits.Take(0, "keyed", 100, true) + h.limits.More(0, "keyed", 100, true); n != 9 {
				t.Errorf("%d tokens are left of 10 after one task, want 9", n)
			}
		})
	}
}

func TestAPartitionThatDrainsTakesNoTurn(t *testing.T) {
	h := newHall(t, 2, func(q *task.Queue) { q.Concurrency = 1 })
	h.fill("keyed", 2, 1)
	first := h.rigs[0].one()
	drainCore(h.rigs[1].c, h.now)
	h.rigs[0].answer(first, 0, did())
	h.settle()
	if len(h.rigs[0].take()) != 1 || len(h.rigs[1].take()) != 0 {
		t.Error("the permit did not go past the partition that drains")
	}
}

func TestLimitsCountWhatRunsByKeyAsOne(t *testing.T) {
	h := newHall(t, 1, func(q *task.Queue) { q.Concurrency = 1 })
	r := h.rigs[0]
	r.slots = 0
	for i := range 4 {
		r.deliver(newTask("keyed", fmt.Sprint(i%2), fmt.Sprint(i)))
	}
	r.slots = 9
	r.capacity("keyed", "")
	if l := r.one(); len(l.Tasks) != 2 || h.running("keyed") != 1 {
		t.Errorf("%d tasks, %d run, want both of a key as one", len(l.Tasks), h.running("keyed"))
	}
}

func TestAKeyThatGoesAheadWithItsWorkerKeepsToTheLimits(t *testing.T) {
	h := newHall(t, 1, func(q *task.Queue) { q.Concurrency, q.Batch = 1, 1 })
	r := h.rigs[0]
	h.fill("keyed", 1, 4)
	for i := range 4 {
		l := r.one()
		if n := h.running("keyed"); n != 1 {
			t.Fatalf("%d run", n)
		}
		r.deliver(newTask("keyed", "other", fmt.Sprint("other ", i)))
		if n := len(r.sent); n != 0 {
			t.Fatalf("%d more leases while one runs", n)
		}
		r.answer(l, 0, did()) // Nothing of it is durable yet.
		if n := len(r.sent); n > 1 {
			t.Fatalf("%d leases after one ended", n)
		}
		h.settle()
	}
	for range 4 {
		r.answer(r.one(), 0, did())
		h.settle()
	}
	if n := h.limits.Take(0, "keyed", 9, false); n != 1 {
		t.Errorf("%d permits are left at the end, want 1", n)
	}
}
