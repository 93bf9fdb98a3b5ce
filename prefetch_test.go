package fenfa

import (
	"context"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// run plays a saturated worker for a while of virtual time: jobs that take job each,
// and a lease that takes a freed slot a gap later. It returns the share of the slots
// that were busy in the second half, and the prefetch at the end.
func run(p *prefetcher, job, gap, length time.Duration) (busy float64, prefetch int) {
	type event struct {
		at   time.Time
		done bool // else: a lease comes
	}
	const tick = 50 * time.Microsecond
	start := time.Unix(1000, 0)
	var events []event // in any order; there are few
	waiting, running, granted := 0, 0, 0
	var worked time.Duration
	for now := start; now.Sub(start) < length; now = now.Add(tick) {
		var later []event
		for _, e := range events {
			switch {
			case e.at.After(now):
				later = append(later, e)
			case e.done:
				running--
				granted--
				p.release(now, 1)
			default:
				waiting++
				p.fill(now, 1)
			}
		}
		events = later
		for ; granted < p.slots+p.asked; granted++ {
			events = append(events, event{at: now.Add(gap)})
		}
		for ; waiting > 0 && running < p.slots; running++ {
			waiting--
			events = append(events, event{at: now.Add(job), done: true})
		}
		if p.due(now) {
			p.tune(now, job)
		}
		if now.Sub(start) > length/2 {
			worked += time.Duration(running) * tick
		}
	}
	return float64(worked) / float64(length/2) / float64(p.slots), p.asked
}

func TestPrefetchKeepsSlotsBusyOverARoundTrip(t *testing.T) {
	for _, c := range []struct {
		name          string
		slots         int
		job, gap      time.Duration
		least         float64
		fewest, most  int
		withoutAtMost float64 // busy without any prefetch: what there is to gain
	}{
		{"short handlers", 10, time.Millisecond, time.Millisecond, 0.97, 10, 10, 0.52},
		{"a handler of the length of five gaps", 10, 5 * time.Millisecond, time.Millisecond, 0.97, 2, 6, 0.84},
		{"one slot", 1, 2 * time.Millisecond, time.Millisecond, 0.97, 1, 1, 0.68},
		{"a gap that no prefetch hides", 4, time.Millisecond, 8 * time.Millisecond, 0.2, 4, 4, 0.12},
		{"long handlers", 10, 100 * time.Millisecond, time.Millisecond, 0.97, 0, 0, 1},
		{"a slot that must not keep a lease for so long", 1, 50 * time.Millisecond, 5 * time.Millisecond, 0.85, 0, 0, 1},
		{"many slots of long handlers", 100, 200 * time.Millisecond, 10 * time.Millisecond, 0.96, 8, 11, 0.96},
	} {
		t.Run(c.name, func(t *testing.T) {
			none := newPrefetcher(c.slots, 0)
			if busy, n := run(&none, c.job, c.gap, time.Second); busy > c.withoutAtMost || n != 0 {
				t.Errorf("without prefetch slots are %.0f%% busy and %d are prefetched: the case shows nothing", busy*100, n)
			}
			p := newPrefetcher(c.slots, maxConcurrency)
			if busy, n := run(&p, c.job, c.gap, time.Second); busy < c.least || n < c.fewest || n > c.most {
				t.Errorf("slots are %.0f%% busy with a prefetch of %d, want %.0f%% and %d to %d", busy*100, n, c.least*100, c.fewest, c.most)
			}
		})
	}
}

func TestPrefetchFallsBackWhenHandlersGetSlow(t *testing.T) {
	p := newPrefetcher(10, maxConcurrency)
	run(&p, time.Millisecond, time.Millisecond, time.Second)
	if p.asked != 10 {
		t.Fatalf("the prefetch is %d, want 10", p.asked)
	}
	now := p.tuned.Add(tuneEvery)
	if n, changed := p.tune(now, 10*time.Second); n != 0 || !changed {
		t.Errorf("the prefetch is %d, changed: %v", n, changed)
	}
}

func TestPrefetchChangesSeldom(t *testing.T) {
	p := newPrefetcher(1000, maxConcurrency)
	now := time.Unix(1000, 0)
	p.gap = 10 * time.Millisecond
	if n, changed := p.tune(now, 50*time.Millisecond); n != 400 || !changed || p.due(now.Add(tuneEvery-1)) || !p.due(now.Add(tuneEvery)) {
		t.Fatalf("the prefetch is %d, changed: %v", n, changed)
	}
	for _, gap := range []time.Duration{9 * time.Millisecond, 11 * time.Millisecond, 10 * time.Millisecond} {
		p.gap = gap
		if n, changed := p.tune(now, 50*time.Millisecond); n != 400 || changed {
			t.Errorf("a gap of %v made it %d", gap, n)
		}
	}
}

func TestAGapIsMeasuredOnlyWhileThereIsWork(t *testing.T) {
	p := newPrefetcher(2, maxConcurrency)
	now := time.Unix(1000, 0)
	p.fill(now, 2)
	if p.gap != 0 {
		t.Errorf("the first leases after the beginning make a gap of %v", p.gap)
	}
	p.release(now, 1)
	p.fill(now.Add(longestGap), 1)
	if p.gap != 0 {
		t.Errorf("a slot that was free for long makes a gap of %v", p.gap)
	}
	p.release(now, 2)
	p.fill(now.Add(3*time.Millisecond), 1)
	p.fill(now.Add(3*time.Millisecond), 1)
	if p.gap != 3*time.Millisecond {
		t.Errorf("the gap is %v", p.gap)
	}
}

// count returns how many slots the prefetcher counts as free.
func (p *prefetcher) count() (free int) {
	for _, f := range p.free[p.head:] {
		free += f.slots
	}
	return free
}

func TestThePrefetcherCountsEverySlotOnce(t *testing.T) {
	p := newPrefetcher(4, maxConcurrency)
	now := time.Unix(1000, 0)
	p.gap = time.Millisecond
	p.tune(now, time.Millisecond)
	if p.asked != 4 || p.count() != 8 {
		t.Fatalf("prefetch %d, %d slots free", p.asked, p.count())
	}
	p.fill(now, 7)
	p.tune(now, time.Hour) // Three of the four are filled, and owed.
	if p.asked != 0 || p.count() != 0 || p.owed != 3 {
		t.Fatalf("prefetch %d, %d slots free, %d owed", p.asked, p.count(), p.owed)
	}
	p.release(now, 2)
	p.release(now, 2)
	if p.count() != 1 || p.owed != 0 {
		t.Errorf("%d slots free, %d owed", p.count(), p.owed)
	}
	p.release(now, 3)
	if p.count() != 4 {
		t.Errorf("%d slots free", p.count())
	}
	p.fill(now, 100) // Nonsense of the node must do no harm.
	if p.count() != 0 {
		t.Errorf("%d slots free", p.count())
	}
}

func TestAWorkerPrefetchesOverASlowRoundTripAndKeepsToItsSlots(t *testing.T) {
	for _, order := range []string{"key", "none"} {
		t.Run(order, func(t *testing.T) {
			n := startFake(t)
			n.knobs.trip, n.knobs.mostLease = 3*time.Millisecond, 1
			n.with(func() { n.queues["q"] = &fenfav1.Queue{Order: order} })
			c := dial(t, n)
			const slots = 4
			var inside, most atomic.Int32
			w := c.Worker(Concurrency(slots))
			w.Handle("q", func(ctx context.Context, _ *Task) error {
				now := inside.Add(1)
				defer inside.Add(-1)
				for m := most.Load(); now > m; m = most.Load() {
					if most.CompareAndSwap(m, now) {
						break
					}
				}
				timer := time.NewTimer(time.Millisecond)
				defer timer.Stop()
				select {
				case <-timer.C:
				case <-ctx.Done():
				}
				return nil
			})
			tasks := make([]*Task, 400)
			for i := range tasks {
				tasks[i] = NewTask("q", i, Key(strconv.Itoa(i%100)))
			}
			submit(t, c, tasks...)
			stop := work(t, w)
			n.await("the worker prefetches", func() bool {
				for s := range n.sessions {
					return s.most > 0 && s.used > slots
				}
				return false
			})
			n.await("all are done", func() bool { return n.countDone() == len(tasks) })
			if err := stop(); err != nil {
				t.Error(err)
			}
			if most.Load() > slots {
				t.Errorf("%d handlers ran at the same time, want at most %d", most.Load(), slots)
			}
			settled(t, n, tasks, len(tasks))
		})
	}
}

func TestAWorkerWithoutPrefetchAsksForNone(t *testing.T) {
	n := startFake(t)
	n.knobs.trip, n.knobs.mostLease = time.Millisecond, 1
	c := dial(t, n)
	w := c.Worker(Concurrency(2), MaxPrefetch(0))
	w.Handle("q", func(context.Context, *Task) error { return nil })
	tasks := make([]*Task, 200)
	for i := range tasks {
		tasks[i] = NewTask("q", i, Key(strconv.Itoa(i)))
	}
	submit(t, c, tasks...)
	stop := work(t, w)
	n.await("all are done", func() bool { return n.countDone() == len(tasks) })
	n.with(func() {
		for s := range n.sessions {
			if s.most != 0 {
				t.Errorf("it asked for %d", s.most)
			}
		}
	})
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestThePoolKnowsThatHandlersHaveBecomeSlow(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	s := bareSession(t, 2, func(_ context.Context, task *Task) error {
		if task.Attempt() > 0 {
			begun <- struct{}{}
			<-release
		}
		return nil
	})
	if got := s.pool.taken(time.Now()); got != 0 {
		t.Errorf("a pool that did nothing is taken for %v", got)
	}
	s.take([]*fenfav1.Lease{wireLease(1, true, 1)})
	for s.pool.taken(time.Now()) == 0 {
		runtime.Gosched()
	}
	quick := s.pool.taken(time.Now())
	slow := wireLease(2, true, 1)
	slow.Tasks[0].Attempt = 1
	s.take([]*fenfav1.Lease{slow})
	<-begun
	if got := s.pool.taken(time.Now().Add(time.Hour)); got < time.Hour-time.Minute || quick > time.Minute {
		t.Errorf("after an hour in a handler it is taken for %v, before for %v", got, quick)
	}
	close(release)
}
