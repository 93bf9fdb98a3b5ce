package fenfa

import "time"

// begins reports whether a handler may begin. It may not while the session drains,
// nor where no heartbeat was sent for so long that the node has declared the worker
// dead, or is about to: the process was frozen, and the end of the session has not
// come through yet.
func (s *session) begins(now time.Time) bool {
	return !s.silent(now) && !s.draining.Load()
}

// silent reports whether no heartbeat was sent for so long that the node has
// declared the worker dead, or is about to.
func (s *session) silent(now time.Time) bool {
	return s.silence > 0 && now.Sub(s.pool.base)-time.Duration(s.beaten.Load()) > s.silence
}

// beat notes a heartbeat.
func (s *session) beat(now time.Time) { s.beaten.Store(int64(now.Sub(s.pool.base))) }

// giveBack ends a job that has not begun, so that the node hands its tasks to
// somebody else at once. The lock is held.
func (s *session) giveBack(j job) {
	l := j.lease
	l.running, l.again = false, nil
	if l.lost.Load() {
		return
	}
	if l.ordered { // One outcome gives back its task and all that follow.
		l.outcomes[l.finished] = s.unbegun
		l.finished++
		l.end = l.finished
	} else {
		for i := j.from; i < j.to; i++ {
			l.outcomes[i] = s.unbegun
			l.fresh = append(l.fresh, i)
			delete(l.redo, i)
		}
	}
	s.mark(l)
}

// recall takes from the pool what has not begun, of the session's leases that are
// to be recalled, and gives it back. The lock is held.
func (s *session) recall(which func(*lease) bool) {
	for _, j := range s.pool.recall(func(l *lease) bool { return l.session == s && which(l) }) {
		s.giveBack(j)
	}
}

// tend is called with every heartbeat. It gives back what has waited for too long,
// as it does when handlers have become slow, and lets the sender say what is new.
func (s *session) tend(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.dead {
		s.recall(func(l *lease) bool { return now.Sub(l.arrived) > l.patience() })
		s.nudge()
	}
}

// freed counts slots that the lease does not take at the node any more, since the
// given moment. The lock is held.
func (s *session) freed(l *lease, slots int, at time.Time) {
	l.slots -= slots
	s.prefetch.release(at, slots)
}

// retake counts slots that outcomes had freed and a conflict takes again. The lock
// is held.
func (s *session) retake(l *lease, slots int) {
	l.slots += slots
	s.prefetch.withdraw(slots)
}

// frees returns how many slots the outcomes that were just taken to be sent free, as
// many as given. The lock is held.
func (l *lease) frees(outcomes int) int {
	switch {
	case !l.ordered:
		return outcomes
	case l.sent == l.end:
		return l.slots
	}
	return 0
}
