package dispatch

// calls collects what the engine must be told once the lock is released.
type calls struct {
	gone []parting
	// The first ones who are woken have room here, so that in the usual case nothing
	// is allocated.
	few   [2]wake
	count int // of few
	more  []wake
}

// parting is a session that has ended. finished: after a drain, with a goodbye.
type parting struct {
	session  uint64
	finished bool
}

// wake is a partition for which a slot is held, the pool in which it waited, and
// the session whose slot it is, or 0 if all are to ask anew.
type wake struct {
	part    int
	pool    *pool
	session uint64
}

func (c *calls) wake(w wake) {
	if c.count < len(c.few) {
		c.few[c.count] = w
		c.count++
		return
	}
	c.more = append(c.more, w)
}

// deliver tells the engine. The caller holds no lock.
func (d *Dispatcher) deliver(c *calls) {
	if c.count > 0 || c.gone != nil {
		d.deliverAll(c)
	}
}

func (d *Dispatcher) deliverAll(c *calls) {
	for _, p := range c.gone {
		d.engine.WorkerGone(p.session, p.finished)
	}
	for i := range c.count {
		d.wake(&c.few[i])
	}
	for i := range c.more {
		d.wake(&c.more[i])
	}
}

func (d *Dispatcher) wake(w *wake) {
	d.engine.Capacity(w.part, w.pool.queue.name, w.pool.place, w.session)
}
