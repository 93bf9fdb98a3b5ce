package partition

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

func TestEveryLatencyIsNearTheMiddleOfItsBucket(t *testing.T) {
	last := -1
	for d := time.Duration(0); d < 90*24*time.Hour; d += 1 + d/97 {
		b := bucketOf(d)
		if b < last || b > last+1 || b >= latencyBuckets {
			t.Fatalf("%v is in bucket %d, the one before in %d", d, b, last)
		}
		last = b
		if off := (middleOf(b) - d).Abs(); off > max(d/32, 1<<latencyUnit/2) {
			t.Fatalf("%v is %v away from the middle of its bucket", d, off)
		}
	}
	if bucketOf(-time.Second) != 0 || bucketOf(math.MaxInt64) != latencyBuckets-1 {
		t.Errorf("out of range: %d and %d", bucketOf(-time.Second), bucketOf(math.MaxInt64))
	}
}

func TestQuantilesAreWithinFivePercent(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for name, draw := range map[string]func() float64{
		"all the same":         func() float64 { return 7e6 },
		"even, to 2 s":         func() float64 { return rng.Float64() * 2e9 },
		"long tail":            func() float64 { return 1e6 * math.Exp(2*rng.NormFloat64()) },
		"two kinds":            func() float64 { return []float64{3e5, 4e5, 9e9}[rng.IntN(3)] },
		"hours":                func() float64 { return 3.6e12 * (1 + 40*rng.Float64()) },
		"a few 10 microsecond": func() float64 { return 1e4 * (1 + rng.Float64()) },
	} {
		for _, n := range []int{1, 2, 3, 99, 100, 101, 20_000} {
			t.Run(fmt.Sprint(name, " ", n), func(t *testing.T) {
				s := &startLatency{}
				all := make([]time.Duration, n)
				for i := range all {
					all[i] = time.Duration(draw())
					s.add(rigStart, all[i])
				}
				slices.Sort(all)
				p50, p99 := s.quantiles(rigStart)
				for _, c := range []struct{ got, want time.Duration }{
					{p50, all[(n*50+99)/100-1]},
					{p99, all[(n*99+99)/100-1]},
				} {
					if off := math.Abs(float64(c.got-c.want)) / float64(c.want); off > 0.05 {
						t.Errorf("got %v, want %v: %.1f%% off", c.got, c.want, 100*off)
					}
				}
			})
		}
	}
}

func TestOldLatenciesAreForgotten(t *testing.T) {
	s := &startLatency{}
	start := time.Unix(0, 0).Add(100 * latencySpan)
	if p50, p99 := s.quantiles(start); p50 != 0 || p99 != 0 {
		t.Fatalf("nothing was handed out, but p50 is %v and p99 %v", p50, p99)
	}
	s.add(start, time.Second)
	for _, c := range []struct {
		after time.Duration
		seen  bool
	}{{0, true}, {latencySpan, true}, {2*latencySpan - 1, true}, {2 * latencySpan, false}, {time.Hour, false}} {
		if p50, _ := s.quantiles(start.Add(c.after)); (p50 != 0) != c.seen {
			t.Errorf("after %v p50 is %v", c.after, p50)
		}
	}
	s.add(start.Add(2*latencySpan), time.Millisecond)
	if _, p99 := s.quantiles(start.Add(2 * latencySpan)); p99 > 2*time.Millisecond {
		t.Errorf("p99 is %v: the generation was not begun anew", p99)
	}
	// A clock that was set back must not freeze what is seen.
	back := start.Add(-time.Hour)
	s.add(back, time.Minute)
	if p50, _ := s.quantiles(back); p50 < 50*time.Second {
		t.Errorf("after the clock went back p50 is %v", p50)
	}
}

func TestPartitionsCountTogether(t *testing.T) {
	s := &startLatency{}
	s.add(rigStart, 0) // Whoever begins the generation may lose what others count meanwhile.
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 1000 {
				s.add(rigStart, time.Duration(i))
				s.quantiles(rigStart)
			}
		})
	}
	all.Wait()
	var sum uint32
	for i := range s.generations {
		for j := range s.generations[i].buckets {
			sum += s.generations[i].buckets[j].Load()
		}
	}
	if sum != 8001 {
		t.Errorf("%d of 8001 were counted", sum)
	}
}

func TestCountingALatencyAllocatesNothing(t *testing.T) {
	s := &startLatency{}
	now := rigStart
	if n := testing.AllocsPerRun(100, func() {
		now = now.Add(latencySpan / 3)
		s.add(now, time.Second)
		s.quantiles(now)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// wantLongest holds that the longest start latency of a queue lately is about that.
func (r *rig) wantLongest(queue string, want time.Duration) {
	r.t.Helper()
	if _, p99 := r.c.counts.startLatency(queue).quantiles(r.now); p99 < want*95/100 || p99 > want*105/100 {
		r.t.Errorf("the longest start latency of %s is %v, want %v", queue, p99, want)
	}
}

// withhold keeps the slot that the next answer gives back from being used.
func (r *rig) withhold() { r.slots = -1 }

// offer gives one slot after a while in which there was none.
func (r *rig) offer(queue string, after time.Duration) *task.Lease {
	r.t.Helper()
	r.pass(after)
	if len(r.take()) != 0 {
		r.t.Fatal("a lease without a worker")
	}
	r.slots = 1
	r.c.capacity(queue, task.Placement{}, 0)
	r.step()
	return r.one()
}

func TestStartLatencyCountsFromWhenATaskCouldStart(t *testing.T) {
	for name, c := range map[string]struct {
		queue string
		run   func(r *rig)
	}{
		"it waits for a worker": {"loose", func(r *rig) {
			r.slots = 0
			r.deliver(newTask("loose", "", "1"))
		}},
		"it waited for its time": {"keyed", func(r *rig) {
			r.slots = 0
			r.deliver(later("1", r, 10*time.Second))
			r.commit()
			r.pass(10 * time.Second)
		}},
		"it waited for its own retry": {"loose", func(r *rig) {
			r.slots = 1
			r.deliver(newTask("loose", "", "1"))
			lease := r.one()
			r.withhold()
			r.answer(lease, 0, task.Outcome{Kind: task.OutcomeRetry, RetryAfter: 5 * time.Second})
			r.pass(5 * time.Second)
		}},
		"it waited for its key": {"keyed", func(r *rig) {
			r.settings("keyed", func(q *task.Queue) { q.Batch = 1 })
			r.slots = 1
			r.deliver(newTask("keyed", "k", "1"), newTask("keyed", "k", "2"))
			lease := r.one()
			r.pass(1500 * time.Millisecond)
			r.withhold()
			r.finish(lease)
		}},
		"it waited for a retry of its key": {"keyed", func(r *rig) {
			r.slots = 1
			r.deliver(newTask("keyed", "k", "1"), newTask("keyed", "k", "2"))
			lease := r.one()
			r.withhold()
			r.answer(lease, 0, retry(time.Second))
			r.commit()
			r.pass(time.Second)
		}},
		"it waited for a person": {"keyed", func(r *rig) {
			r.settings("keyed", func(q *task.Queue) { q.Batch, q.OnDead = 1, task.OnDeadHalt })
			r.slots = 1
			r.deliver(newTask("keyed", "k", "1"), newTask("keyed", "k", "2"))
			lease := r.one()
			r.withhold()
			r.answer(lease, 0, reject())
			r.pass(time.Second)
			r.settings("keyed", func(q *task.Queue) { q.OnDead = task.OnDeadSkip })
			r.commit()
			r.page(10)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil).begin()
			c.run(r)
			r.offer(c.queue, 1700*time.Millisecond)
			r.wantLongest(c.queue, 1700*time.Millisecond)
		})
	}
}

func TestALostWorkerDoesNotCountAsWaiting(t *testing.T) {
	r := newRig(t, nil)
	r.deliver(newTask("loose", "", "1"))
	r.one()
	r.pass(15 * time.Second)
	r.c.workerGone(r.now, r.worker.Session, false)
	r.step()
	r.one()
	if _, p99 := r.c.counts.startLatency("loose").quantiles(r.now); p99 > time.Second {
		t.Errorf("p99 is %v: the time at the lost worker counts", p99)
	}
}

func BenchmarkStartLatency(b *testing.B) {
	s := &startLatency{}
	b.RunParallel(func(pb *testing.PB) {
		for took := time.Duration(0); pb.Next(); took += 12345 {
			s.add(rigStart, took)
		}
	})
}

func TestQueueStatsTellTheStartLatencyOfAllPartitions(t *testing.T) {
	inBubble(t, 4, func(r *engineRig) {
		t := r.t
		r.w.setClosed(true)
		for i := range 100 {
			r.submit(newTask("keyed", fmt.Sprint("k", i), fmt.Sprint("n", i)))
		}
		stats, err := r.e.QueueStats(t.Context(), "keyed")
		if err != nil || stats.StartP50 != 0 || stats.StartP99 != 0 {
			t.Errorf("before anything was handed out: %+v, %v", stats, err)
		}
		r.rest(3 * time.Second)
		r.work(done)
		stats, err = r.e.QueueStats(t.Context(), "keyed")
		if err != nil || (stats.StartP50-3*time.Second).Abs() > 150*time.Millisecond || (stats.StartP99-3*time.Second).Abs() > 150*time.Millisecond {
			t.Errorf("p50 %v, p99 %v, %v; want 3 s", stats.StartP50, stats.StartP99, err)
		}
	})
}
