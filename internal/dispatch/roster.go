package dispatch

import "time"

// enlist makes a new session's part in its queues, and puts it into their pools.
// old is the session that it replaced, or nil. The caller holds mu.
func (d *Dispatcher) enlist(s, old *Session) {
	now := d.now()
	s.record = d.records[s.ref.ID]
	if now-d.opened > youth {
		s.slowUntil = d.slowStart(now)
	}
	members := make([]member, len(s.hello.Queues))
	for i, name := range s.hello.Queues {
		q := d.queueOf(name)
		q.known++
		members[i] = member{session: s, queue: q}
		s.members = append(s.members, &members[i])
	}
	if old != nil && !old.draining {
		s.inherit(old)
	}
	for _, m := range s.members {
		d.slow(m, now)
	}
	d.place(s)
	if s.record != nil && !d.cfg.NoEjection {
		d.pause(s, now)
	}
}

// inherit takes over where the worker stood before its stream broke: most likely
// it is the same process, as warm as it was and as good.
func (s *Session) inherit(old *Session) {
	s.slowUntil = old.slowUntil
	for _, m := range s.members {
		if was := old.member(m.queue.name); was != nil {
			m.slowUntil, m.outcomes, m.ejection = was.slowUntil, was.outcomes, was.ejection
		}
	}
}

// pause keeps a worker whose sessions broke again and again from its queues for a
// while, where others are left.
func (d *Dispatcher) pause(s *Session, now time.Duration) {
	pause := s.record.pause(now)
	if pause == 0 || !s.serving {
		return
	}
	queues := 0
	for _, m := range s.members {
		switch e := &m.ejection; {
		case m.ejected():
			e.until, e.reason = max(e.until, now+pause), EjectedForFlapping
		case m.queue.spares():
			m.queue.eject(m, EjectedForFlapping, now+pause)
		default:
			continue
		}
		queues++
	}
	if queues > 0 {
		d.cfg.Logger.Warn("worker ejected", "worker", s.ref.ID, "reason", EjectedForFlapping, "queues", queues, "breaks", s.record.breaks, "for", pause)
	}
}

// place puts the session into the pools of its queues or takes it out, so that it
// is in them exactly while it may get something new. The caller holds mu.
func (d *Dispatcher) place(s *Session) {
	if serving := !s.ended && !s.draining && !s.isQuiet(); serving != s.serving {
		s.serving = serving
		s.refresh()
		now := d.now()
		for _, m := range s.members {
			if serving {
				m.queue.join(m, now)
			} else {
				m.queue.leave(m)
			}
		}
	}
	s.refresh()
}

// rebalance follows any change of who is in the pools: it holds the cap of
// ejections, and offers what is free to those who may take it now. The caller
// holds mu and delivers the calls.
func (d *Dispatcher) rebalance(c *calls) {
	for _, q := range d.queues {
		if q.ejected > 0 {
			q.cap(d.now())
		}
	}
	for _, q := range d.queues {
		if q.unsettled {
			d.offerAll(q, c)
		}
	}
}

// tidy drops pools and queues that nobody uses. The caller holds mu.
func (d *Dispatcher) tidy() {
	kept := d.queues[:0]
	for _, q := range d.queues {
		q.tidy(unusedRounds)
		if q.known == 0 && len(q.pools) == 0 {
			delete(d.byName, q.name)
			d.latest = nil
			continue
		}
		kept = append(kept, q)
	}
	clear(d.queues[len(kept):])
	d.queues = kept
}
