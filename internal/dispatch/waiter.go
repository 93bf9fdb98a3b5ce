package dispatch

import "slices"

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
	targets []uint64 // and for those of certain workers: a set of places in the home tier
	anew    bool     // it waits for any, to ask anew for all that was refused
	version uint64   // of the pool, as of which it was refused what it waits for

	held  *member // whose slot is held for it; nil: it stands in line
	aimed bool    // that slot is one of a certain worker that it waited for
	round uint64  // of the detector, when it was woken or forgotten

	list       *line // in which it stands
	prev, next *waiter
}

// wants reports whether the waiter takes a slot of the one who sits there.
func (w *waiter) wants(s *seat) bool { return w.any || w.anew || w.awaits(s) }

// awaits reports whether the waiter waits for the one who sits there, and not just
// for any.
func (w *waiter) awaits(s *seat) bool {
	return s.tier == w.pool.home() && s.at/64 < len(w.targets) && w.targets[s.at/64]>>(s.at%64)&1 == 1
}

// waits reports whether the waiter waits for anything.
func (w *waiter) waits() bool {
	return w.any || w.anew || slices.ContainsFunc(w.targets, func(set uint64) bool { return set != 0 })
}

// renew lets the waiter ask anew for everything.
func (w *waiter) renew() { w.anew, w.any, w.targets = true, false, w.targets[:0] }

// await adds the worker that the waiter waits for, or any with nil. What it was
// refused before, and perhaps still waits for, may have another worker by now.
func (w *waiter) await(s *seat) {
	if w.version != w.pool.version {
		w.renew()
	}
	if w.anew {
		return
	}
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
	w.pool, w.part, w.version = p, part, p.version
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
	if w.anew {
		w.pool.queue.unsettled = true
	}
}

// forget lets the waiter wait for nothing. It stays for a while, because it will
// probably wait again.
func (w *waiter) forget() {
	w.stepOut()
	w.held, w.any, w.anew, w.targets = nil, false, false, w.targets[:0]
	w.round = w.pool.queue.d.round
}

// sweep removes those who waited for nothing for that many rounds of the detector,
// and reports whether nobody is left. Before, their partition may not have heard
// yet of the slot that was held for it, and then waits with an old version.
func (p *pool) sweep(rounds uint64) (empty bool) {
	for part, w := range p.waiters {
		if w.list == nil && p.queue.d.round-w.round >= rounds {
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

// hold keeps a slot of the one who sits there for the waiter, who waits only for
// other workers from now on. It returns the session, or 0 if all that was refused
// is to be asked anew.
func (w *waiter) hold(s *seat) (session uint64) {
	w.stepOut()
	if w.aimed = w.awaits(s); w.aimed {
		w.targets[s.at/64] &^= 1 << (s.at % 64)
	}
	session = s.member.session.ref.Session
	if w.anew {
		session, w.version = 0, w.pool.version
	}
	w.any, w.anew = false, false
	w.round = w.pool.queue.d.round
	w.rehold(s.member)
	return session
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

// rehold holds a slot of the member, as before if nobody has taken it meanwhile.
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
	if !w.waits() {
		w.forget()
		return
	}
	if w.version != w.pool.version {
		w.renew()
	}
	w.lineUp()
	w.pool.queue.unsettled = true
}
