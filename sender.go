package fenfa

import (
	"io"
	"runtime"
	"time"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// maxSend is what a message of outcomes is filled up to, in bytes. A single
// outcome may be larger.
const maxSend = 1 << 20

// collect makes a message of what waits to be sent, or nil.
func (s *session) collect() *fenfav1.WorkRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	req := s.wishes()
	if outcomes := s.outcomes(); len(outcomes) > 0 {
		if req == nil {
			req = &fenfav1.WorkRequest{}
		}
		req.Outcomes = outcomes
	}
	return req
}

// wishes makes a message of what the node should know of the worker, or nil where
// nothing is new. The lock is held.
func (s *session) wishes() *fenfav1.WorkRequest {
	prefetch, retuned := 0, false
	if now := time.Now(); s.prefetch.due(now) {
		prefetch, retuned = s.prefetch.tune(now, s.pool.taken(now))
	}
	quiet := s.worker.quiet.Load()
	if !retuned && quiet == s.toldQuiet && !s.sayDrain {
		return nil
	}
	req := &fenfav1.WorkRequest{Drain: s.sayDrain}
	if retuned {
		req.Prefetch = new(clampUint32(prefetch))
	}
	if quiet != s.toldQuiet {
		req.Quiet = new(quiet)
	}
	s.toldQuiet, s.sayDrain = quiet, false
	return req
}

// outcomes takes those that wait to be sent, as many as fit into a message. The
// lock is held.
func (s *session) outcomes() []*fenfav1.LeaseOutcomes {
	var outcomes []*fenfav1.LeaseOutcomes
	room := maxSend
	for len(s.list) > 0 {
		l := s.list[0]
		first, run, bytes, more := l.nextRun(room, len(outcomes) == 0)
		if len(run) > 0 && !l.lost.Load() {
			room -= bytes
			outcomes = append(outcomes, &fenfav1.LeaseOutcomes{Lease: l.wire.GetRef(), First: clampUint32(first), Outcomes: run, Run: l.heard + 1})
			s.freed(l, l.frees(len(run)), s.listed)
		}
		if more && len(run) == 0 {
			break // The message is full.
		}
		if !more {
			l.listed = false
			s.list[0] = nil
			s.list = s.list[1:]
		}
	}
	return outcomes
}

func (s *session) send(req *fenfav1.WorkRequest) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	if s.said { // It would break the stream instead of ending it.
		return io.EOF
	}
	return s.stream.Send(req)
}

// sayGoodbye half-closes the stream: nothing is sent any more. It says once more
// that the worker drains, because the sender of a worker that has nothing to finish
// may not have come to it; the node counts what it last sent as begun otherwise.
func (s *session) sayGoodbye() error {
	s.sending.Lock()
	defer s.sending.Unlock()
	s.said = true
	if err := s.stream.Send(&fenfav1.WorkRequest{Drain: true}); err != nil {
		return err
	}
	return s.stream.CloseSend()
}

// sender sends outcomes: everything that finished while the message before was
// on its way out goes into one.
func (s *session) sender() {
	for {
		select {
		case <-s.wake:
			// Handlers that are about to finish, like all whose timers have just fired
			// together, get their turn first: one message is cheaper than several.
			runtime.Gosched()
		case <-s.broken:
			return
		}
		for req := s.collect(); req != nil; req = s.collect() {
			if err := s.send(req); err != nil {
				return // The receiver knows why.
			}
		}
	}
}

// heart sends heartbeats, whatever handlers and the sender do, and looks after what
// has waited for too long.
func (s *session) heart(every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if s.silent(time.Now()) {
				// A heartbeat now would say that all is well, and what is still to be read
				// would begin.
				s.end(errorf(CodeUnavailable, "the worker's process stood still for longer than the node waits for it"))
				return
			}
			if err := s.send(&fenfav1.WorkRequest{Heartbeat: true, News: s.news()}); err != nil {
				return // The receiver knows why.
			}
			now := time.Now()
			s.beat(now)
			s.tend(now)
		case <-s.broken:
			return
		}
	}
}
