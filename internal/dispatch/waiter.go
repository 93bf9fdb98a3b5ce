package dispatch

// maxUnused is how many waiters are kept to be used again.
const maxUnused = 4096

// waiter is a partition that found no room in a pool, from then until it found
// some. It stands in the pool's line, or is woken: a slot is held for it. After
// that it is kept for a while, in no line.
type waiter struct {
	pool *pool
	part int
	turn uint64 // its place among the waiters of all pools

	any     bool     // it waits for a slot of any worker
	targets []uint64 // else for one of certain workers: a set of places in the home tier

	held  *member // whose slot is held for it; nil: it stands in line
	aimed bool    // that slot is one of a certain worker that it waited for
	round uint64  // of the detector, when it was woken

	list       *line // in which it stands
	prev, next *waiter
}

// wants reports whether the waiter takes a slot of the one who sits there.
func (w *waiter) wants(s *seat) bool {
	return w.any || s.tier == w.pool.home() && s.at/64 < len(w.targets) && w.targets[s.at/64]>>(s.at%64)&1 == 1
}

// await adds the worker that the waiter waits for, or any with nil.
func (w *waiter) await(s *seat) {
	if s == nil {
		w.any = true
		return
	}
	at := s.at
	for len(w.targets) <= at/64 {
		w.targets = append(w.targets, 0)
	}
	w.targets[at/64] |= 1 << (at % 64)
}

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

// lineUp puts the waiter at the end of its pool's line.
func (w *waiter) lineUp() {
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
	w.stepOut()
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

// stepOut takes the waiter out of the line in which it stands.
func (w *waiter) stepOut() {
	if w.list == &w.pool.line {
		w.pool.queue.lines--
		w.pool.queue.d.lines--
	}
	w.unlink()
}

// hold keeps a slot of the member for the waiter, who waits for nothing else
// from now on.
func (w *waiter) hold(m *member) {
	w.stepOut()
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
	w.unlink()
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
	w.lineUp()
	w.pool.queue.unsettled = true
}
