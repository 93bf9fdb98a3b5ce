package fenfa

import (
	"context"
	"time"
)

// goodbye is how long a worker that leaves waits for the node to end the stream.
const goodbye = time.Second

// leave drains and says goodbye, so that the node sees the end of the stream
// instead of a broken one.
func (s *session) leave(ctx context.Context) error {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), s.worker.cfg.drainTimeout)
	defer stop()
	if err := s.drain(ctx); err != nil {
		return err
	}
	if err := s.sayGoodbye(); err != nil {
		return nil // Everything is confirmed; only the goodbye failed.
	}
	timer := time.NewTimer(goodbye)
	defer timer.Stop()
	select {
	case <-s.broken:
	case <-timer.C:
	}
	return nil
}

// drain begins nothing any more, gives back what has not begun, and waits until
// everything leased is confirmed, at most until ctx ends.
func (s *session) drain(ctx context.Context) error {
	s.mu.Lock()
	s.draining.Store(true)
	s.sayDrain = true
	s.recall(func(*lease) bool { return true })
	s.checkEmpty()
	s.nudge()
	s.mu.Unlock()
	s.worker.emit(Event{Kind: EventDraining, Node: s.node}) // It is true from here on.
	select {
	case <-s.empty:
	case <-s.broken:
		return s.unfinished("the connection was lost")
	case <-ctx.Done():
		return s.unfinished("the drain timeout was over")
	}
	return nil
}

func (s *session) unfinished(why string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	tasks := 0
	for _, l := range s.leases {
		tasks += l.end - l.settled
	}
	if tasks == 0 {
		return nil
	}
	return errorf(CodeUnavailable, "drain worker %s: %s with %d tasks unconfirmed; the node hands them to others", s.worker.cfg.id, why, tasks)
}

// checkEmpty notices that a draining session has nothing left. The lock is held.
func (s *session) checkEmpty() {
	if s.draining.Load() && !s.gone && len(s.leases) == 0 {
		s.gone = true
		close(s.empty)
	}
}
