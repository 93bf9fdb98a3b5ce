package mysql

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	// lookEvery is how often a database is asked that nothing was heard of meanwhile.
	lookEvery = time.Second
	// lookTimeout is how long its answer may take.
	lookTimeout = 5 * time.Second
)

// health knows whether a database answers. It tells the first failure of an outage
// at once, and its end.
type health struct {
	mu    sync.Mutex
	away  error // why it does not answer; nil: it does
	since time.Time
	heard bool // something was answered since the last look
}

// answered notes that the database carried something out.
func (s *shard) answered() {
	h := &s.health
	h.mu.Lock()
	defer h.mu.Unlock()
	h.heard = true
	if h.away == nil {
		return
	}
	h.away = nil
	s.log.Info("database is back", "after", s.clock.Now().Sub(h.since).Round(time.Millisecond))
	s.tell(nil)
}

// failed notes that the database did not answer an operation. ctx is the caller's: if
// that has ended, the caller was in a hurry, and nothing is known of the database.
func (s *shard) failed(ctx context.Context, operation string, err error) {
	h := &s.health
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.away != nil || ctx.Err() != nil {
		return
	}
	h.away, h.since = s.on(operation, err), s.clock.Now()
	s.log.Warn("database does not answer, trying again", "operation", operation, "error", err)
	s.tell(h.away)
}

// tell is called with the lock held, so that what is told comes in order.
func (s *shard) tell(problem error) {
	if s.away != nil {
		s.away(s.number, problem)
	}
}

// look asks the database now and then whether it is there, until ctx ends: an idle
// node notices as well that one went away, and that it is back.
func (s *shard) look(ctx context.Context) {
	for s.wait(ctx, lookEvery) == nil {
		s.health.mu.Lock()
		heard := s.health.heard
		s.health.heard = false
		s.health.mu.Unlock()
		if heard {
			continue
		}
		asking, cancel := context.WithTimeout(ctx, min(lookTimeout, s.timeout))
		err := s.db.PingContext(asking)
		cancel()
		if err != nil {
			s.failed(ctx, "ask", fmt.Errorf("ping: %w", err))
			continue
		}
		s.answered()
	}
}
