package dispatch

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

// line is a list of waiters, first come first. A waiter stands in one at most.
type line struct {
	first, last *waiter
	count       int
}

func (l *line) push(w *waiter) {
	w.list, w.prev, w.next = l, l.last, nil
	if l.last == nil {
		l.first = w
	} else {
		l.last.next = w
	}
	l.last = w
	l.count++
}

// leave takes the waiter out of its line, if it stands in one.
func (w *waiter) leave() {
	l := w.list
	if l == nil {
		return
	}
	if w.prev == nil {
		l.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		l.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	l.count--
	w.list, w.prev, w.next = nil, nil, nil
}
