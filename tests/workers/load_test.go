package workers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	fenfa "github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/task"
	"github.com/fenfa/fenfa/tests/harness"
)

// submission is what its submitter knows of one job.
type submission struct {
	client     string // the submitter
	id         fenfa.ID
	queue, key string
	n          int
	start, end time.Time
	confirmed  bool          // else nobody told
	require    task.Selector // what it asks of workers
}

// load submits jobs: one submitter a key, each waiting for the confirm of one job
// before it submits the next, so that the order of confirms of a key is the order
// of its numbers.
type load struct {
	fleet *fleet
	queue string                         // default jobs
	keys  int                            // default 32
	name  string                         // in front of the keys; default sku
	every time.Duration                  // a submitter's pace at most; default 40 ms
	work  time.Duration                  // what a handler takes at most; shorter by turns
	loose bool                           // each job has a key of its own
	opts  func(n int) []fenfa.TaskOption // of a submitter's n-th job

	mu          sync.Mutex
	submissions []submission
}

// start begins to submit. The returned function ends it and waits until what was
// begun is carried through: a submit without an answer is repeated until there
// is one.
func (l *load) start() (stop func()) {
	setDefault(&l.queue, jobs)
	setDefault(&l.keys, 32)
	setDefault(&l.name, "sku")
	setDefault(&l.every, 40*time.Millisecond)
	ctx, cancel := context.WithCancel(l.fleet.t.Context())
	var submitters sync.WaitGroup
	for i := range l.keys {
		submitters.Go(func() { l.submitter(ctx, fmt.Sprintf("%s-%03d", l.name, i)) })
	}
	stop = func() {
		cancel()
		submitters.Wait()
	}
	l.fleet.t.Cleanup(stop)
	return stop
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (l *load) submitter(ctx context.Context, key string) {
	pace := time.NewTicker(l.every)
	defer pace.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-pace.C:
		}
		var opts []fenfa.TaskOption
		if l.opts != nil {
			opts = l.opts(n)
		}
		j, at := job{N: n, Work: l.work * time.Duration(n%5) / 4}, key
		if l.loose {
			j.N, at = 1, fmt.Sprintf("%s/%d", key, n)
		}
		s := l.fleet.submit(l.queue, at, j, opts...) //nolint:contextcheck // What was begun is carried through after ctx ends; the test bounds it.
		l.mu.Lock()
		l.submissions = append(l.submissions, s)
		l.mu.Unlock()
		if !s.confirmed {
			return
		}
	}
}

// submitAll submits jobs 1 to n of a key.
func (f *fleet) submitAll(queue, key string, n int, j job, opts ...fenfa.TaskOption) []submission {
	f.t.Helper()
	all := make([]submission, 0, n)
	for j.N = 1; j.N <= n; j.N++ {
		all = append(all, f.submit(queue, key, j, opts...))
		j.Hold = "" // Only the first one is held.
	}
	return all
}

// submit submits a job until somebody says yes, or the test ends. Only what may
// pass is repeated.
func (f *fleet) submit(queue, key string, j job, opts ...fenfa.TaskOption) submission {
	f.t.Helper()
	opts = append([]fenfa.TaskOption{fenfa.Key(key)}, opts...)
	work := fenfa.NewTask(queue, j, opts...)
	s := submission{client: queue + "/" + key, id: work.ID(), queue: queue, key: key, n: j.N, start: time.Now()}
	var last error
	if s.require, last = task.NewSelector(work.Placement().Require...); last != nil {
		f.t.Errorf("read what job %d of %s asks: %v", j.N, key, last)
	}
	err := harness.Eventually(f.t.Context(), "somebody confirms "+work.ID().String(), func(ctx context.Context) bool {
		_, last = f.client.Submit(ctx, work)
		return last == nil || !passing(last)
	})
	if err == nil {
		err = last
	}
	if err != nil && f.t.Context().Err() == nil {
		f.t.Errorf("submit: %v (last answer: %v)", err, last)
	}
	s.end, s.confirmed = time.Now(), err == nil
	return s
}

// passing reports whether a submit that failed so may succeed when it is
// repeated.
func passing(err error) bool {
	return errors.Is(err, fenfa.ErrUnknownOutcome) || errors.Is(err, fenfa.ErrUnavailable) || errors.Is(err, fenfa.ErrResourceExhausted)
}
