package dispatch

// offer holds the session's free slots for partitions that wait, one each. The
// caller holds mu and delivers the calls.
func (d *Dispatcher) offer(s *Session, c *calls) {
	for d.lines > 0 && s.worker.Free > 0 {
		seat, w := s.nextWaiter()
		if w == nil {
			return
		}
		m := seat.member
		s.turn = max(s.turn, m.turn)
		m.turn = s.turn + 1/m.queue.share
		c.wake(wake{w.part, w.pool, w.hold(seat)})
	}
}

// nextWaiter returns who is to have the session's next slot, or nil: of the
// queues that wait for it, the one that has the fewest of its slots for its
// share, and of equal ones that whose turn it is by share; within the queue, who
// came first. The seat is the session's in that waiter's pool.
func (s *Session) nextWaiter() (due *seat, first *waiter) {
	for _, m := range s.members {
		if m.queue.lines == 0 {
			continue
		}
		if seat, w := m.firstInLine(); w != nil && (due == nil || m.before(due.member)) {
			due, first = seat, w
		}
	}
	return due, first
}

// before reports whether m is due for a slot before n, which is of the same
// session.
func (m *member) before(n *member) bool {
	mine, others := float64(m.inFlight+m.held)*n.queue.share, float64(n.inFlight+n.held)*m.queue.share
	if mine != others {
		return mine < others
	}
	now := m.session.turn
	return max(m.turn, now) < max(n.turn, now)
}

// firstInLine returns the queue's first waiter who takes a slot of the worker, and
// the worker's seat in that pool.
func (m *member) firstInLine() (at *seat, first *waiter) {
	for _, s := range m.seats {
		if s.at < 0 || s.pool.line.first == nil {
			continue
		}
		if w := s.pool.firstFor(s); w != nil && (first == nil || w.turn < first.turn) {
			at, first = s, w
		}
	}
	return at, first
}

// forgetWaiters drops everybody who waits, and every slot that is held. The
// caller holds mu.
func (d *Dispatcher) forgetWaiters() {
	for _, q := range d.queues {
		for _, p := range q.pools {
			for _, l := range []*line{&p.line, &p.woken} {
				for l.first != nil {
					if l.first.held != nil {
						l.first.held.held--
						l.first.held.session.held--
					}
					l.first.forget()
				}
			}
		}
	}
}

// offerAll offers the free slots of everybody who serves the queue.
func (d *Dispatcher) offerAll(q *queue, c *calls) {
	q.unsettled = false
	for _, m := range q.members {
		d.offer(m.session, c)
	}
}
