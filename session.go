package fenfa

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

const (
	// defaultHeartbeat is for a node that names no interval.
	defaultHeartbeat = 500 * time.Millisecond
	// silentBeats is how many intervals without a heartbeat a node bears, about, and
	// leastSilence what counts as silence at all.
	silentBeats  = 6
	leastSilence = time.Second
)

// leaseKey names a lease.
type leaseKey struct {
	partition uint32
	epoch     uint64
	token     uint64
}

func keyOf(ref *fenfav1.LeaseRef) leaseKey {
	return leaseKey{ref.GetPartition(), ref.GetEpoch(), ref.GetToken()}
}

type workStream = grpc.BidiStreamingClient[fenfav1.WorkRequest, fenfav1.WorkResponse]

// session is a worker's time on one stream, from welcome to its end. A receiver
// takes leases and verdicts, a sender gives outcomes, a third goroutine sends
// heartbeats; the pool's goroutines run handlers. One lock guards what they share:
// the table of leases, what their outcomes are, and what waits to be sent.
type session struct {
	worker  *Worker
	pool    *pool
	node    string
	stream  workStream
	ctx     context.Context //nolint:containedctx // Handlers' contexts descend from it.
	cancel  context.CancelCauseFunc
	nothing *fenfav1.Outcome // of every task that did nothing but succeed
	unbegun *fenfav1.Outcome // of every task that is given back

	sending  sync.Mutex    // a stream takes one message at a time
	said     bool          // goodbye; belongs to sending
	draining atomic.Bool   // nothing is begun any more; set under mu
	silence  time.Duration // without a heartbeat, after which nothing is begun; 0: no bound
	beaten   atomic.Int64  // when the last heartbeat was sent, in nanoseconds since the pool's base

	mu        sync.Mutex
	leases    map[leaseKey]*lease
	list      []*lease  // with something to send
	listed    time.Time // when the first of them was listed
	prefetch  prefetcher
	sayDrain  bool                          // with the next message
	progress  map[newsKey]*fenfav1.Progress // what handlers said since the last heartbeat
	toldQuiet bool                          // what the node knows of Worker.quiet
	useful    bool                          // something was confirmed
	gone      bool                          // drained: nothing is left, and nothing is taken any more
	dead      bool                          // the stream is broken
	err       error

	wake      chan struct{} // something to send
	empty     chan struct{} // closed when draining and nothing is leased
	broken    chan struct{} // closed with dead
	dismissed chan struct{} // closed when the node wants the worker to go elsewhere
	dismiss   sync.Once
	sentAway  atomic.Bool // it wants this worker to leave for good; set before dismissed is closed
}

// newSession makes a session without a stream.
func newSession(ctx context.Context, cancel context.CancelCauseFunc, w *Worker, p *pool) *session {
	return &session{
		worker:    w,
		pool:      p,
		ctx:       ctx,
		cancel:    cancel,
		nothing:   &fenfav1.Outcome{},
		unbegun:   &fenfav1.Outcome{Kind: fenfav1.OutcomeKind_OUTCOME_KIND_RETURNED},
		leases:    make(map[leaseKey]*lease),
		prefetch:  newPrefetcher(w.cfg.concurrency, w.cfg.maxPrefetch),
		wake:      make(chan struct{}, 1),
		empty:     make(chan struct{}),
		broken:    make(chan struct{}),
		dismissed: make(chan struct{}),
	}
}

// take puts leases into the table and hands them to the pool.
func (s *session) take(leases []*fenfav1.Lease) {
	if len(leases) == 0 {
		return
	}
	now := time.Now()
	jobs := make([]job, 0, len(leases))
	for _, w := range leases {
		if len(w.GetTasks()) > 0 {
			jobs = append(jobs, newLease(s, w, now).job())
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead || s.gone {
		return // The node gives them to others when it sees the stream end.
	}
	for _, j := range jobs {
		s.leases[keyOf(j.lease.wire.GetRef())] = j.lease
		s.prefetch.fill(now, j.lease.slots)
	}
	s.enqueue(jobs...)
}

// enqueue hands jobs to the pool, or while the session drains gives them back. The
// lock is held.
func (s *session) enqueue(jobs ...job) {
	if !s.draining.Load() {
		s.pool.push(jobs...)
		return
	}
	for _, j := range jobs {
		s.giveBack(j)
	}
}

// mark puts the lease on the list of those with something to send. The lock is
// held.
func (s *session) mark(l *lease) {
	if l.listed {
		return
	}
	l.listed = true
	s.list = append(s.list, l)
	if len(s.list) == 1 {
		s.listed = time.Now()
		s.nudge()
	}
}

// nudge makes the sender look. It never blocks.
func (s *session) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// resume returns the task that an ordered lease's runner begins with, or -1.
func (s *session) resume(l *lease, now time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.proceed(l, now)
	if i == 0 && l.tooLate(i, now) {
		s.giveBack(job{lease: l})
		return -1
	}
	return i
}

// finishOrdered takes a task's outcome and returns the task to run next, or -1.
func (s *session) finishOrdered(l *lease, i int, o *fenfav1.Outcome, now time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.again == nil && !l.lost.Load() {
		l.outcomes[i] = o
		l.finished = i + 1
		if o.GetKind() != fenfav1.OutcomeKind_OUTCOME_KIND_DONE {
			l.end = l.finished
		}
		s.mark(l)
	}
	return s.proceed(l, now)
}

// proceed is the step between two tasks of an ordered lease.
func (s *session) proceed(l *lease, now time.Time) int {
	if v := l.again; v != nil && !l.lost.Load() {
		l.again, l.rewound = nil, l.finished
		l.rewind(v)
	}
	if l.lost.Load() || l.finished >= l.end {
		l.running = false
		return -1
	}
	if s.begins(now) {
		return l.finished
	}
	s.giveBack(job{lease: l})
	return -1
}

// finishUnordered takes a task's outcome.
func (s *session) finishUnordered(l *lease, i int, o *fenfav1.Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.lost.Load() {
		return
	}
	l.outcomes[i] = o
	l.fresh = append(l.fresh, i)
	s.mark(l)
}

// afterConflict returns how often a task met a conflict, and for a task without
// order the records to run it over again.
func (s *session) afterConflict(l *lease, i int) (conflicts int, redo *view) {
	s.mu.Lock()
	defer s.mu.Unlock()
	redo = l.redo[i]
	delete(l.redo, i)
	return l.conflicts[i], redo
}

// clash says why the latest conflict of a lease was one.
func (s *session) clash(l *lease) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return l.why
}

// receiver takes what the node sends until the stream ends.
func (s *session) receiver(first *fenfav1.WorkResponse) {
	for resp := first; ; {
		for _, v := range resp.GetVerdicts() {
			s.verdict(v)
		}
		s.take(resp.GetLeases())
		s.cancelTasks(resp.GetCancels())
		if resp.GetResumed() {
			s.resumed()
		}
		if resp.GetLeave() {
			s.sentAway.Store(true)
		}
		if resp.GetDrain() || resp.GetLeave() {
			s.dismiss.Do(func() { close(s.dismissed) })
		}
		var err error
		if resp, err = s.stream.Recv(); err != nil {
			s.end(err)
			return
		}
	}
}

// resumed ends the worker's quiet, because a person has ended it at the node.
func (s *session) resumed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.worker.quiet.Store(false)
	s.toldQuiet = false
}

// end takes all leases back: their tasks go to somebody else now.
func (s *session) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead {
		return
	}
	s.dead = true
	s.err = err
	for _, l := range s.leases {
		l.lose()
	}
	s.cancel(errLeaseLost)
	close(s.broken)
}

// run works on the stream until it breaks, the node dismisses the worker, or ctx
// ends. In the latter cases the error is nil when nothing was left unconfirmed.
func (s *session) run(ctx context.Context, first *fenfav1.WorkResponse) error {
	heartbeat := first.GetWelcome().GetHeartbeatInterval().AsDuration()
	if heartbeat <= 0 {
		heartbeat = defaultHeartbeat
	}
	var goroutines sync.WaitGroup
	s.silence = max(silentBeats*heartbeat, leastSilence)
	s.beat(time.Now())
	goroutines.Go(func() { s.receiver(first) })
	goroutines.Go(s.sender)
	goroutines.Go(func() { s.heart(heartbeat) })
	var err error
	select {
	case <-s.broken:
		if err = s.err; ctx.Err() != nil || s.sentAway.Load() {
			err = s.unfinished("the connection was lost")
		}
	case <-ctx.Done():
		err = s.leave(ctx)
	case <-s.dismissed:
		err = s.leave(ctx)
	}
	s.end(errLeaseLost)
	goroutines.Wait()
	return err
}
