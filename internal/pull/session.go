package pull

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/fenfa/fenfa/internal/dispatch"
	"github.com/fenfa/fenfa/internal/task"
)

// grace is how long beyond its time a task is remembered that nobody answered.
const grace = time.Minute

// place names a task within a session.
type place struct {
	ref   task.LeaseRef
	index int
}

// held is a task that the worker has.
type held struct {
	queue     string
	timeout   time.Duration
	until     time.Time // then nobody answers it any more
	chain     *chain    // nil: it stands for itself
	cancelled bool      // somebody wants the worker to stop

	by   *call // that answers it, or did without a verdict so far; nil: none
	at   int   // which of the call's answers that is
	ends bool  // with it, or before it, the call ends the chain
}

// session is one worker that pulls.
type session struct {
	pool  *Pool
	from  *dispatch.Session
	key   string
	hello dispatch.Hello // as the worker said it

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when one of the following changes
	ready   []Leased      // came, and no call has taken them
	open    map[place]*held
	calls   int   // that wait for tasks
	ended   error // why the session is over
	drained error // why there will be nothing new
}

// pump takes what dispatch sends, until the session ends.
func (s *session) pump(ctx context.Context) {
	var batch dispatch.Batch
	for {
		if err := s.from.Next(ctx, &batch); err != nil {
			s.end(err)
			return
		}
		if batch.Drain {
			s.drain(batch.Leave)
		}
		for i := range batch.Verdicts {
			s.judge(&batch.Verdicts[i])
		}
		for _, l := range batch.Leases {
			s.receive(l)
		}
		for _, c := range batch.Cancels {
			s.cancel(place{c.LeaseRef, c.Index})
		}
		s.leaveIfDone()
	}
}

// receive takes a lease. Each of its tasks stands for itself, unless there are several
// of one key.
func (s *session) receive(l *task.Lease) {
	now := s.pool.cfg.Clock.Now()
	var batch *chain
	if l.Ordered && len(l.Tasks) > 1 {
		batch = &chain{count: len(l.Tasks)}
	}
	s.mu.Lock()
	for i := range l.Tasks {
		t := Leased{Leased: l.Tasks[i], Timeout: l.Timeout, place: place{l.LeaseRef, i}}
		if t.Task.Timeout > 0 {
			t.Timeout = t.Task.Timeout
		}
		t.ID = s.idOf(t.place)
		if batch == nil || i == 0 {
			t.Records, t.Complete = l.Records, l.Complete
		} else {
			t.Follows = s.ready[len(s.ready)-1].ID
		}
		s.open[t.place] = &held{queue: l.Queue, timeout: t.Timeout, until: now.Add(t.Timeout + grace), chain: batch}
		s.ready = append(s.ready, t)
	}
	unwanted := s.unwanted()
	s.tell()
	s.mu.Unlock()
	s.giveBack(unwanted)
}

// unwanted takes what came when nobody waits. The caller holds mu.
func (s *session) unwanted() []Leased {
	if s.calls > 0 {
		return nil
	}
	back := s.ready
	s.ready = nil
	return back
}

// giveBack returns tasks that were not begun. A batch goes back with its first task.
func (s *session) giveBack(tasks []Leased) {
	if len(tasks) == 0 {
		return
	}
	s.mu.Lock()
	for i := range tasks {
		delete(s.open, tasks[i].place)
	}
	s.mu.Unlock()
	for i := range tasks {
		if tasks[i].Follows == "" {
			s.from.Outcomes(tasks[i].place.ref, tasks[i].place.index, []task.Outcome{{Kind: task.OutcomeReturned}})
		}
	}
	s.pool.metrics.returned.Add(float64(len(tasks)))
}

// judge passes a verdict on to the calls that wait for it.
func (s *session) judge(v *task.Verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range v.Count {
		p := place{v.LeaseRef, v.First + i}
		h := s.open[p]
		if h == nil || h.by == nil {
			continue
		}
		h.by.judged(h.at, v, p.index)
		h.by = nil
		if v.Kind == task.VerdictConflict {
			continue
		}
		delete(s.open, p)
		if h.chain != nil {
			s.advance(p, h, v.Kind == task.VerdictCommitted && !h.ends)
		}
	}
}

// cancel remembers that the worker is to stop with a task, until it asks.
func (s *session) cancel(p place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.open[p]; h != nil {
		h.cancelled = true
	}
}

// drain says that the worker gets nothing new: the node stops, or wants it to
// leave.
func (s *session) drain(leave bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drained = errStopping()
	if leave {
		s.drained = task.Errorf(task.CodeFailedPrecondition, "worker %q was told to leave: finish what it has, and call no more", s.hello.WorkerID).WithField("worker_id")
	}
	s.tell()
}

// leaveIfDone ends the session of a worker that drains once it has nothing left.
func (s *session) leaveIfDone() {
	s.mu.Lock()
	done := s.drained != nil && len(s.open) == 0
	s.mu.Unlock()
	if done {
		s.from.Leave()
	}
}

// end lets all calls know that the session is over.
func (s *session) end(reason error) {
	if errors.Is(reason, context.Canceled) {
		reason = dispatch.ErrStopped
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = reason
	for _, h := range s.open {
		if h.by != nil {
			h.by.fail(h.at, task.Errorf(task.CodeUnavailable, "the session of the worker ended before there was an answer, so whether the outcome took effect is unknown: ask for the task's status: %w", reason))
		}
	}
	s.ready, s.open = nil, map[place]*held{}
	s.tell()
}

// tell wakes all who wait. The caller holds mu.
func (s *session) tell() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// over reports whether the session has ended.
func (s *session) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended != nil
}

// idle reports whether the worker has nothing and waits for nothing.
func (s *session) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls == 0 && len(s.open) == 0
}

// tidy forgets tasks whose time was over long ago. The caller holds mu.
func (s *session) tidy(now time.Time) {
	for p, h := range s.open {
		switch {
		case !h.by.ended() || !now.After(h.until):
		case h.chain == nil:
			delete(s.open, p)
		case h.chain.next == p.index:
			delete(s.open, p)
			s.cut(p, h)
		}
	}
}
