package balance

import (
	"math"
	"slices"
	"time"
)

// memory is the time in which a slow task is forgotten to 1/e.
const memory = 10 * time.Second

// recent is how many tasks of each worker make what is typical.
const recent = 16

// latencies estimates how long a task takes at each worker by a peak EWMA: the
// estimate rises to a slower task at once, falls towards faster ones with the
// time constant memory, and drifts towards what is typical of the pool while
// there are no tasks. So a worker of which nothing is known counts as a typical
// one, which neither floods nor starves it, and one that was slow is tried again.
//
// Estimates are kept with forward decay (Cormode, Shkapenyuk, Srivastava and Xu,
// 2009): instead of all of them shrinking with time, new samples grow. They can
// then be compared, and most can be left as they are, without an exponential.
type latencies struct {
	samples []sample
	growth  float64       // of new samples: e^((now-base)/memory); 0 means 1
	base    time.Duration // when growth was 1
	ticked  bool
	// typical is the mean of the estimates after recent tasks, in nanoseconds: what a
	// task meets that goes to a worker which does many.
	typical float64
	tasks   int
}

// sample is what is known of one worker.
type sample struct {
	level float64 // estimate in nanoseconds, times the growth now
	seen  float64 // growth at the last task; 0: there was none
}

// now is the growth of samples that arrive now.
func (l *latencies) now() float64 { return max(1, l.growth) }

func (l *latencies) add() { l.samples = append(l.samples, sample{}) }

func (l *latencies) remove(i int) { l.samples = slices.Delete(l.samples, i, i+1) }

// Observe says that a task of this pool took so long at the worker at index i.
func (p *Pool) Observe(i int, took time.Duration) {
	l := &p.latency
	s, t, growth := &l.samples[i], float64(max(1, took)), l.now()
	// The task itself is the greater one exactly when it took longer than the estimate
	// was after the last task: the peak. Otherwise it is their average by time.
	s.level = max(t*growth, s.level+t*(growth-s.seen))
	s.seen = growth
	l.tasks = min(l.tasks+1, recent*len(l.samples))
	l.typical += (s.level/growth - l.typical) / float64(l.tasks)
}

// Tick says how late it is, on any clock that does not go back; Observe uses the
// time of the last tick. Ten ticks a second are enough.
func (p *Pool) Tick(now time.Duration) {
	l := &p.latency
	if !l.ticked {
		l.ticked, l.base = true, now
		return
	}
	// The bound keeps growth finite after hours without a tick: by then everything
	// is forgotten anyway.
	l.growth = math.Exp(min(600, float64(now-l.base)/float64(memory)))
	if l.growth > 1<<40 {
		l.rebase(now)
	}
}

// rebase lets growth begin anew, long before numbers get too big.
func (l *latencies) rebase(now time.Duration) {
	for i := range l.samples {
		l.samples[i].level /= l.growth
		l.samples[i].seen /= l.growth
	}
	l.growth, l.base = 1, now
}

// estimate is how long a task will take at the worker, in nanoseconds times the
// growth now. Before the pool's first task it is the same for all.
func (l *latencies) estimate(i int) float64 {
	s := &l.samples[i]
	return s.level + max(1, l.typical)*(l.now()-s.seen)
}

// Latency is how long a task will probably take at the worker at index i: the
// estimate that p2c compares. It is 0 before the worker's first task.
func (p *Pool) Latency(i int) time.Duration {
	l := &p.latency
	if l.samples[i].seen == 0 {
		return 0
	}
	return time.Duration(l.estimate(i) / l.now())
}
