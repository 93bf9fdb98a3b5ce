package dispatch

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/fenfa/fenfa/internal/balance"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

// Reasons for which a session ends, as Next returns them.
var (
	ErrLeft     = errors.New("the worker left")
	ErrReplaced = errors.New("a newer session of the same worker replaced this one")
	ErrSilent   = errors.New("the worker was silent for too long")
	ErrAway     = errors.New("the worker's stream broke and it did not come back")
	ErrStopped  = errors.New("the node stopped")
)

// Session is one worker's time with this node. Methods may be called
// concurrently, except Next, which belongs to one goroutine.
type Session struct {
	d     *Dispatcher
	ref   partition.WorkerRef
	hello Hello
	since time.Time
	out   *outgoing

	// heard is when the worker was last heard, in nanoseconds of the detector's time.
	// suspect says that it gets nothing new because of silence; it is written under
	// mu and read without.
	heard   atomic.Int64
	suspect atomic.Bool
	done    atomic.Int64
	failed  atomic.Int64

	// Under Dispatcher.mu:
	worker    balance.Worker
	sitting   []*seat     // in all pools of all of them
	members   []*member   // its part in each of its queues, by name
	serving   bool        // its members are in their queues' pools
	held      int         // slots that are held for woken partitions
	turn      float64     // of the last slot that was offered
	prefetch  int         // slots beyond the worker's own
	wanted    int         // of one that pulls: tasks that it waits for
	reserved  map[int]int // likewise, by partition: set aside for the lease that it is about to send
	slowUntil time.Duration
	record    *record       // what is known of the worker, or nil
	lostAt    time.Duration // when the stream broke, in the detector's time; 0: it did not
	quiet     bool          // the worker wants nothing new
	draining  bool
	choked    bool // too many bytes wait for the worker
	ended     bool
}

// Register begins a session. A session that the same worker has already ends
// first, and its leases with it; that of another owner stays, unless it is silent.
func (d *Dispatcher) Register(h Hello) (*Session, error) {
	if err := h.normalize(); err != nil {
		return nil, err
	}
	s := &Session{d: d, hello: h, quiet: h.Quiet, out: newOutgoing(d.cfg.MaxBuffered), since: d.cfg.Clock.Now()}
	s.worker.Hash = balance.HashID(h.WorkerID)
	s.heard.Store(int64(d.awake()))

	var calls calls
	d.mu.Lock()
	if !d.running || d.draining || d.closed {
		d.mu.Unlock()
		return nil, task.Errorf(task.CodeUnavailable, "this node takes no workers now: it is starting or draining").WithRetryAfter(time.Second)
	}
	old := d.byWorker[h.WorkerID]
	if old != nil && old.hello.Owner != h.Owner && !old.suspect.Load() {
		d.mu.Unlock()
		return nil, task.Errorf(task.CodeAlreadyExists, "the worker %q is connected, and belongs to another token: use another worker_id", h.WorkerID).WithField("hello.worker_id")
	}
	if old != nil {
		d.end(old, fmt.Errorf("%w, from %s", ErrReplaced, h.Address), &calls)
	}
	d.last++
	s.ref = partition.WorkerRef{Session: d.last, ID: h.WorkerID, Batch: h.Batch}
	d.byWorker[h.WorkerID] = s
	d.addLive(s)
	d.enlist(s, old)
	d.rebalance(&calls)
	d.mu.Unlock()

	d.cfg.Logger.Info("worker connected", "worker", h.WorkerID, "session", s.ref.Session, "slots", h.Slots, "queues", h.Queues, "address", h.Address)
	d.deliver(&calls)
	return s, nil
}

// Ref names the session.
func (s *Session) Ref() partition.WorkerRef { return s.ref }

// Heard counts any message of the worker as a sign of life.
func (s *Session) Heard() {
	s.heard.Store(int64(s.d.awake()))
	if s.suspect.Load() {
		s.d.change(s, func() {
			if s.lostAt == 0 {
				s.suspect.Store(false)
			}
		})
	}
}

// Outcomes hands the worker's outcomes to the engine, which owns the slice from
// now on. Those of a session that has ended change nothing.
func (s *Session) Outcomes(ref task.LeaseRef, first int, outcomes []task.Outcome) {
	done, failed := 0, 0
	for i := range outcomes {
		switch outcomes[i].Kind {
		case task.OutcomeDone:
			done++
		case task.OutcomeRetry, task.OutcomeDead:
			failed++
		case task.OutcomeReturned:
		}
	}
	s.done.Add(int64(done))
	s.failed.Add(int64(failed))
	if s.d.session(s.ref.Session) != s {
		return
	}
	s.d.engine.Outcomes(s.ref, ref, first, outcomes)
}

// Next waits for something to send to the worker and puts it into b, whose
// former contents it drops. It fails when the session has ended, or with ctx.
func (s *Session) Next(ctx context.Context, b *Batch) error {
	wasFull, err := s.out.next(ctx, b)
	if wasFull {
		s.d.change(s, func() { s.choked = s.out.full() })
	}
	return err
}

// Drain takes the worker out of all queues: it gets nothing new, and may finish
// what it has.
func (s *Session) Drain() {
	s.d.change(s, func() { s.draining = true })
}

// Prefetch says how many leases beyond its slots the worker wants to hold, so
// that a slot that comes free has its next task at once. It is bounded by the
// number of slots; before the first call it is 0.
func (s *Session) Prefetch(n int) {
	s.d.change(s, func() { s.prefetch = min(max(0, n), s.hello.Slots) })
}

// Quiet says whether the worker wants nothing new. It keeps its session, and
// finishes what it has. A quiet that was set with SetQuiet stays.
func (s *Session) Quiet(on bool) {
	s.d.change(s, func() { s.quiet = on })
}

// Leave ends the session at the worker's own wish.
func (s *Session) Leave() {
	var calls calls
	s.d.mu.Lock()
	s.d.end(s, ErrLeft, &calls)
	s.d.rebalance(&calls)
	s.d.mu.Unlock()
	s.d.deliver(&calls)
}

// Lost says that the worker's stream broke. It gets nothing new, and its session
// ends unless the worker registers again within a moment.
func (s *Session) Lost() {
	s.d.change(s, func() {
		s.suspect.Store(true)
		s.lostAt = max(1, s.d.awake())
	})
}

// change applies f to a live session and gives out what became free by it.
func (d *Dispatcher) change(s *Session, f func()) {
	var calls calls
	d.mu.Lock()
	if !s.ended {
		f()
		d.place(s)
		d.offer(s, &calls)
		d.rebalance(&calls)
	}
	d.mu.Unlock()
	d.deliver(&calls)
}

// refresh computes how many slots may be taken now. The caller holds mu.
func (s *Session) refresh() {
	s.worker.Free, s.worker.Ahead = 0, 0
	if s.serving && !s.choked && !s.suspect.Load() {
		s.worker.Free = max(0, s.hello.Slots+s.prefetch-s.worker.InFlight-s.held)
		if s.hello.Pull {
			s.worker.Free = min(s.worker.Free, max(0, s.wanted-s.held))
		}
		s.worker.Ahead = min(s.worker.Free, s.prefetch)
	}
}

// isQuiet reports whether anybody wants the worker to get nothing new.
func (s *Session) isQuiet() bool { return s.quiet || s.record != nil && s.record.quiet }

// end ends the session, once. The caller holds mu, rebalances, and delivers the
// calls.
func (d *Dispatcher) end(s *Session, reason error, c *calls) {
	if s.ended {
		return
	}
	s.ended = true
	d.place(s)
	for _, m := range s.members {
		m.queue.known--
	}
	d.dropLive(s)
	if d.byWorker[s.ref.ID] == s {
		delete(d.byWorker, s.ref.ID)
	}
	now := d.now()
	if !s.draining && (errors.Is(reason, ErrAway) || errors.Is(reason, ErrSilent) || errors.Is(reason, ErrReplaced)) {
		d.recordOf(s.ref.ID).broke(now)
	}
	if r := d.records[s.ref.ID]; r != nil {
		r.seen = now
	}
	s.out.close(reason)
	c.gone = append(c.gone, parting{s.ref.Session, s.draining && errors.Is(reason, ErrLeft)})
	d.metrics.ended(reason)
	d.cfg.Logger.Info("worker gone", "worker", s.ref.ID, "session", s.ref.Session, "reason", reason.Error(), "in_flight", s.worker.InFlight)
}
