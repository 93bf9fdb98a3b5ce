package dispatch

// maxUnused is how many waiters are kept to be used again.
const maxUnused = 4096

// waiterOf finds or makes the partition's waiter. The caller holds mu.
func (p *pool) waiterOf(part int) *waiter {
	w := p.waiters[part]
	if w != nil {
		return w
	}
	d := p.queue.d
	if n := len(d.unused); n > 0 {
		w = d.unused[n-1]
		d.unused = d.unused[:n-1]
	} else {
		w = new(waiter)
	}
	w.pool, w.part = p, part
	p.waiters[part] = w
	return w
}

// stand puts the waiter at the end of its pool's line.
func (w *waiter) stand() {
	d := w.pool.queue.d
	d.turns++
	w.turn = d.turns
	w.pool.line.push(w)
	w.pool.queue.lines++
	d.lines++
}

// forget lets the waiter wait for nothing. It stays for a while, because it will
// probably wait again.
func (w *waiter) forget() {
	w.step()
	w.held, w.any, w.targets = nil, false, w.targets[:0]
}

// sweep removes those who wait for nothing, and reports whether nobody is left.
func (p *pool) sweep() (empty bool) {
	for part, w := range p.waiters {
		if w.list == nil {
			delete(p.waiters, part)
			w.pool = nil
			if d := p.queue.d; len(d.unused) < maxUnused {
				d.unused = append(d.unused, w)
			}
		}
	}
	return len(p.waiters) == 0
}

// step takes the waiter out of the line in which it stands.
func (w *waiter) step() {
	if w.list == &w.pool.line {
		w.pool.queue.lines--
		w.pool.queue.d.lines--
	}
	w.leave()
}

// hold keeps a slot of the member for the waiter, who waits for nothing else
// from now on.
func (w *waiter) hold(m *member) {
	w.step()
	w.aimed = !w.any
	w.any, w.targets = false, w.targets[:0]
	w.pool.woken.push(w)
	w.held, w.round = m, w.pool.queue.d.round
	m.held++
	m.session.held++
	m.session.refresh()
}

// unhold gives the held slot back, and returns whose it was.
func (w *waiter) unhold() *member {
	m := w.held
	w.leave()
	w.held = nil
	m.held--
	m.session.held--
	m.session.refresh()
	return m
}

// rehold takes an unheld slot back, which nobody has taken meanwhile.
func (w *waiter) rehold(m *member) {
	w.pool.woken.push(w)
	w.held = m
	m.held++
	m.session.held++
	m.session.refresh()
}

// drop gives the held slot back, because it is not used. The waiter stays if it
// waits for something else too.
func (w *waiter) drop() *Session {
	s := w.unhold().session
	w.proceed()
	return s
}

// proceed puts a waiter who holds nothing where it belongs.
func (w *waiter) proceed() {
	if !w.any && len(w.targets) == 0 {
		w.forget()
		return
	}
	w.stand()
	w.pool.queue.unsettled = true
}

// offer holds the session's free slots for partitions that wait, one each. The
// caller holds mu and delivers the calls.
func (d *Dispatcher) offer(s *Session, c *calls) {
	for d.lines > 0 && s.worker.Free > 0 {
		m, w := s.nextWaiter()
		if w == nil {
			return
		}
		s.turn = max(s.turn, m.turn)
		m.turn = s.turn + 1/m.queue.share
		w.hold(m)
		c.wake(wake{w.part, w.pool})
	}
}

// nextWaiter returns who is to have the session's next slot, or nil: of the
// queues that wait for it, the one that has the fewest of its slots for its
// share, and of equal ones that whose turn it is by share; within the queue, who
// came first.
func (s *Session) nextWaiter() (*member, *waiter) {
	var due *member
	var first *waiter
	for _, m := range s.members {
		if m.queue.lines == 0 {
			continue
		}
		if w := m.firstInLine(); w != nil && (due == nil || m.before(due)) {
			due, first = m, w
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

// firstInLine returns the queue's first waiter who takes a slot of the worker.
func (m *member) firstInLine() *waiter {
	var first *waiter
	for _, s := range m.seats {
		if s.at < 0 || s.pool.line.first == nil {
			continue
		}
		if w := s.pool.firstFor(s); w != nil && (first == nil || w.turn < first.turn) {
			first = w
		}
	}
	return first
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
