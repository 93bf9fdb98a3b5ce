package fenfa

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// defaultTimeout bounds an attempt where the node names no limit.
const defaultTimeout = 30 * time.Second

// maxConflicts is how often a task runs again at once because a version had
// changed; after that the attempt fails and waits for its retry.
const maxConflicts = 50

var errLeaseLost = errors.New("the lease was lost: the node has given the task to somebody else, or will")

// deadlineSlack is how much later than a task's timeout after the lease came a
// handler's deadline may be. The node adds a second to the timeout, from when it sent
// the lease: this leaves half of it for both ways.
const deadlineSlack = 500 * time.Millisecond

// lease is a batch of tasks in this worker's hands.
//
// An ordered lease is run by one goroutine at a time, task by task over one view
// of the records. Its outcomes [sent, finished) wait to be sent. A conflict sets
// again, and the runner goes back to that task; what was sent behind it counts
// for nothing at the node. Tasks of an unordered lease run at the same time, each
// over a view of its own; the indexes in fresh wait to be sent.
//
// Fields below the blank line belong to the session's lock.
type lease struct {
	session *session
	wire    *fenfav1.Lease
	ordered bool
	handler HandlerFunc
	timeout time.Duration
	arrived time.Time
	first   []execution // of each task's first run here
	view    *view       // ordered: belongs to the goroutine that runs the lease
	rewound int         // ordered: the task that it went back to last; the runner's too
	lost    atomic.Bool
	clashed atomic.Bool // there was a conflict
	stopped atomic.Bool // a task of it was cancelled
	ending  ending

	outcomes  []*fenfav1.Outcome // by index; nil: not finished
	slots     int                // that it takes at the node
	settled   int                // tasks with a final verdict
	listed    bool               // in the session's list of leases with something to send
	conflicts map[int]int        // by index: how often

	finished int              // ordered: outcomes that are there
	sent     int              // ordered: outcomes that are sent
	end      int              // ordered: tasks that will have an outcome
	running  bool             // ordered: a goroutine of the pool has it, or will
	again    *fenfav1.Verdict // ordered: the conflict to go back to, for the runner
	heard    uint32           // ordered: conflicts
	fresh    []int            // unordered: finished and not sent
	why      string           // of the latest conflict
	redo     map[int]*view    // unordered: records to run again over

	cancelled map[int]struct{}   // by index: tasks that were cancelled
	reruns    map[int]*execution // by index: the latest run after a conflict
}

// ending is the context that ends with the lease. It is made when a handler asks.
type ending struct {
	mu     sync.Mutex
	ctx    context.Context //nolint:containedctx // Handlers' contexts descend from it.
	cancel context.CancelCauseFunc
}

func newLease(s *session, w *fenfav1.Lease, now time.Time) *lease {
	n := len(w.GetTasks())
	l := &lease{
		session:  s,
		wire:     w,
		ordered:  w.GetOrdered(),
		handler:  s.worker.handler(w.GetQueue()),
		timeout:  defaultTimeout,
		arrived:  now,
		first:    make([]execution, n),
		outcomes: make([]*fenfav1.Outcome, n),
		slots:    n,
		end:      n,
		rewound:  -1,
	}
	if w.GetTimeout() != nil {
		l.timeout = w.GetTimeout().AsDuration()
	}
	if l.ordered {
		l.view = newView(s.worker.client, w.GetTasks()[0].GetKey(), w.GetRecords(), w.GetRecordsComplete())
		l.running = true
		l.slots = 1
	}
	return l
}

// job is what the pool is to do for a lease that just came.
func (l *lease) job() job { return job{lease: l, to: len(l.first)} }

// context returns the context that ends with the lease.
func (l *lease) context() context.Context {
	l.ending.mu.Lock()
	defer l.ending.mu.Unlock()
	if l.ending.ctx == nil {
		l.ending.ctx, l.ending.cancel = context.WithCancelCause(l.session.ctx) //nolint:fatcontext // Made once.
		if l.lost.Load() {
			l.ending.cancel(errLeaseLost)
		}
	}
	return l.ending.ctx
}

// lose ends the lease without its outcomes: handlers see their context end.
func (l *lease) lose() {
	l.lost.Store(true)
	l.release(errLeaseLost)
}

// release frees the lease's context.
func (l *lease) release(cause error) {
	l.ending.mu.Lock()
	defer l.ending.mu.Unlock()
	if l.ending.cancel != nil {
		l.ending.cancel(cause)
	}
}

// run is called by a goroutine of the pool: for a task of an unordered lease, or
// once for an ordered one.
func (l *lease) run(index int, now time.Time) {
	switch {
	case l.ordered:
		l.runOrdered(now)
	case l.lost.Load():
	case !l.session.begins(now) || l.tooLate(index, now):
		l.session.finishUnordered(l, index, l.session.unbegun)
	default:
		l.session.finishUnordered(l, index, l.attempt(index, now))
	}
}

// runOrdered runs tasks until the lease ends, or has nothing to run until the
// node answers.
func (l *lease) runOrdered(now time.Time) {
	for i := l.session.resume(l, now); i >= 0; {
		o := l.attempt(i, now)
		if o.GetKind() == fenfav1.OutcomeKind_OUTCOME_KIND_DONE && len(o.GetWrites()) > 0 {
			l.view.merge(o.GetWrites())
		}
		now = time.Now()
		i = l.session.finishOrdered(l, i, o, now)
	}
}

// timeoutOf returns how long an attempt at the i-th task may take.
func (l *lease) timeoutOf(i int) time.Duration {
	if own := l.wire.GetTasks()[i].GetTimeout(); own != nil {
		return own.AsDuration()
	}
	return l.timeout
}

// tooLate reports whether the i-th task has waited here for so long that not even
// half of its time would be left. A task that is run over again has begun.
func (l *lease) tooLate(i int, now time.Time) bool {
	return l.first[i].lease == nil && now.Sub(l.arrived) > deadlineSlack+l.timeoutOf(i)/2
}

// patience is how long the lease may wait here before it is better off elsewhere.
func (l *lease) patience() time.Duration {
	const most, part = time.Second, 4
	return min(most, deadlineSlack+l.timeoutOf(0)/part)
}

// deadline returns when an attempt at the i-th task that begins now must have
// ended: the node's own clock for it began when the lease was sent, or, in an
// ordered lease, when the outcome before came. A run after a conflict has what its
// first run left.
func (l *lease) deadline(i int, now time.Time) time.Time {
	timeout := l.timeoutOf(i)
	deadline := now.Add(timeout)
	again := l.first[i].lease != nil && (!l.ordered || i == l.rewound)
	first, _ := l.first[i].ctx.Deadline()
	switch latest := l.arrived.Add(timeout + deadlineSlack); {
	case again && (first.Before(deadline) || l.first[i].ctx.isExtended()):
		return first
	case (i == 0 || !l.ordered) && latest.Before(deadline):
		return latest
	}
	return deadline
}

// attempt runs the handler for one task and returns the outcome.
func (l *lease) attempt(i int, now time.Time) *fenfav1.Outcome {
	deadline := l.deadline(i, now)
	e, v, again := &l.first[i], l.view, false
	if l.clashed.Load() {
		conflicts, redo := l.session.afterConflict(l, i)
		if conflicts > maxConflicts {
			return failedOutcome(errorf(CodeConflict, "conflict: the records that the task uses changed each of %d times that it ran; the last time: %s", conflicts, l.session.clash(l)))
		}
		again = conflicts > 0
		if redo != nil {
			v = redo
		}
	}
	if e.lease != nil {
		e = l.session.rerun(l, i) // The first one may still be in a handler's hands.
	} else if l.stopped.Load() && l.session.isCancelled(l, i) {
		return failedOutcome(ErrCancelled)
	}
	e.begin(l, i, v, deadline)
	e.again = again
	o, err := e.work(l.handler)
	if l.session.worker.cfg.onEvent != nil {
		l.session.worker.emit(Event{Kind: EventFinished, Node: l.session.node, Queue: l.wire.GetQueue(), TaskID: e.task.ID(), Err: err})
	}
	return o
}

// abort takes the outcome of a handler that ended its goroutine, which can do no
// more than this.
func (l *lease) abort(i int, o *fenfav1.Outcome) {
	if !l.ordered {
		l.session.finishUnordered(l, i, o)
	} else if l.session.finishOrdered(l, i, o, time.Now()) >= 0 {
		l.session.pool.push(l.job())
	}
}

// rewind makes the view what it is for the task of the conflict. What earlier
// tasks of the lease wrote is durable by then, so the node's records have it.
func (l *lease) rewind(v *fenfav1.Verdict) {
	l.view = newView(l.view.client, l.view.key, v.GetRecords(), v.GetRecordsComplete())
}

// nextRun takes contiguous outcomes that wait to be sent from first on, as many as
// fit into the given bytes, but with atLeastOne one even if it does not. more says
// that others are left. The session's lock is held.
func (l *lease) nextRun(room int, atLeastOne bool) (first int, run []*fenfav1.Outcome, bytes int, more bool) {
	end := l.finished
	if first = l.sent; !l.ordered {
		if len(l.fresh) == 0 {
			return 0, nil, 0, false
		}
		slices.Sort(l.fresh)
		first = l.fresh[0]
		for end = first + 1; end-first < len(l.fresh) && l.fresh[end-first] == end; {
			end++
		}
	}
	i := first
	for ; i < end; i++ {
		size := outcomeSize(l.outcomes[i])
		if bytes+size > room && (!atLeastOne || i > first) {
			break
		}
		bytes += size
	}
	if l.ordered {
		l.sent = i
		return first, l.outcomes[first:i], bytes, i < end
	}
	l.fresh = l.fresh[i-first:]
	return first, l.outcomes[first:i], bytes, len(l.fresh) > 0
}

// outcomeSize estimates an outcome's bytes on the wire.
func outcomeSize(o *fenfav1.Outcome) int {
	n := 8 + len(o.GetError()) + len(o.GetResult())
	for _, w := range o.GetWrites() {
		n += 16 + len(w.GetName()) + len(w.GetValue())
	}
	for _, e := range o.GetEmits() {
		n += sizeOf(e)
	}
	return n + 16*len(o.GetReads())
}
