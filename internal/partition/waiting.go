package partition

import (
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// reschedule moves a task into a schedule row and out of memory. One that expires
// before it may start comes back for that.
func (c *core) reschedule(now time.Time, it *item, due time.Time) {
	q := it.lane.q
	if it.expires() && it.ExpiresAt.Before(due) {
		due = it.ExpiresAt
	}
	due = due.Truncate(time.Microsecond)
	seq := uint64(c.led.Stamp(now))
	c.led.Put(&store.Schedule{Due: due, Seq: seq, Body: it.body})
	c.putMark(c.waitingMark(it, task.StateScheduled, seq, due))
	if it.attempted {
		c.led.Put(it.attemptRow())
	}
	q.scheduled(1)
	c.leaveFor(it, inSchedule, seq)
	c.forget(it)
	if at := (moment{due, seq}); c.sched.holds(at) {
		if soon, err := it.again(at); err == nil { // else it is found to be corrupt when it is read
			c.sched.hold(soon)
		}
	}
}

// scheduled counts tasks on the schedule.
func (q *queue) scheduled(n int64) {
	q.stats.Scheduled += n
	q.metrics.scheduled.Add(float64(n))
}

// unschedule removes the schedule row of a task.
func (c *core) unschedule(it *item) {
	c.led.Delete(&store.Schedule{Due: it.due, Seq: it.seq})
	c.sched.remove(it.moment())
	it.lane.q.scheduled(-1)
}

// comeDue takes in what waited on the schedule until now.
func (c *core) comeDue(now time.Time) {
	for it := c.sched.take(now); it != nil; it = c.sched.take(now) {
		q := c.queues[it.Queue]
		if q == nil || c.tasks[it.ID] != nil {
			continue
		}
		it.origin, it.rank = inSchedule, q.memoryRank(&it.Task)
		q.metrics.late.Observe(now.Sub(it.due).Seconds())
		q.store(it)
		c.admit(now, q, it)
	}
}

// waitingMark is the mark of a task that waits in the store: a repeat from the
// broker must not make two of it.
func (c *core) waitingMark(it *item, state task.State, ref uint64, due time.Time) *store.Dedup {
	if it.stop != "" {
		state = task.StateRunning
	}
	return &store.Dedup{
		ID: it.ID, State: state, Queue: it.lane.q.Name, Key: it.Key, Ref: ref, Due: due, CreatedAt: it.CreatedAt,
		Attempts: it.attempts, Deliveries: it.deliveries, Error: it.stop,
	}
}

// leaveFor removes a task from where it is kept, with the batch that keeps it
// elsewhere from now on.
func (c *core) leaveFor(it *item, to origin, seq uint64) {
	q := it.lane.q
	switch it.origin {
	case inBroker:
		c.settle(q, it)
		c.unhold(it, q)
		q.store(it)
		c.recent.add(it.ID)
	case inSchedule:
		c.unschedule(it)
	case inParked:
		c.unpark(it)
		q.stats.Parked--
	case inDead:
		c.led.Delete(&store.Dead{Queue: q.Name, Seq: it.seq})
		q.stats.Dead--
		q.store(it)
	}
	it.origin, it.seq = to, seq
}

// park moves a task into a parked row of its lane.
func (c *core) park(now time.Time, it *item) {
	l := it.lane
	if it.origin == inParked && it.byKey == (l.wait != nil) {
		return
	}
	seq := uint64(c.led.Stamp(now))
	row := l.name().row(seq)
	row.Body = it.body
	c.led.Put(row)
	c.putMark(c.waitingMark(it, task.StateQueued, seq, time.Time{}))
	l.q.stats.Parked++
	c.leaveFor(it, inParked, seq)
	it.byKey = l.wait != nil
	c.indexExpiry(it)
	l.tail = true
	l.parkedSeq = seq
	l.parkedIn = c.led.Number()
}

// unpark removes the parked row of a task in memory. Without order, rows that were
// set aside may stand before it: then it is among those that are read again.
func (c *core) unpark(it *item) {
	l, name := it.rowLane()
	c.led.Delete(name.row(it.seq))
	c.unindexExpiry(it)
	if l != nil && it.seq > l.lastRow {
		l.outdate(c.led.Number())
	}
}

// parkAll gives every task of a lane a parked row, in their order, also those
// that are leased: what is parked next comes after them.
func (c *core) parkAll(now time.Time, l *lane) {
	if l.lease != nil {
		for _, it := range l.lease.items {
			if it != nil {
				c.park(now, it)
				l.lastRow = it.seq
			}
		}
	}
	for i := range l.items.len() {
		it := l.items.at(i)
		c.park(now, it)
		l.lastRow = it.seq
	}
}

// lacks reports whether parked rows of a lane that has tasks in memory should be
// read. Without order new tasks come before the rows: every other page is one of
// rows, so that none waits for ever.
func (c *core) lacks(l *lane) bool {
	return l.tail && (l.items.len() <= c.cfg.Page/4 || !l.ordered && l.served >= c.cfg.Page)
}

// fetch reads the next parked rows of a lane, once there is room for them and
// perhaps a worker.
func (c *core) fetch(l *lane) {
	if l.fetching {
		return
	}
	if cl := l.class; cl != nil && cl.starved {
		if l.items.len() == 0 { // else it is looked at again when they are handed out
			l.fetching = true
			cl.aside.pushBack(l)
		}
		return
	}
	l.fetching = true
	if b := l.band(); !c.mayRead(b) {
		b.hungry.pushBack(l)
		return
	}
	c.read(l)
}

// read asks for the next parked rows of a lane, as soon as they are durable.
func (c *core) read(l *lane) {
	l.band().fetches++
	l.fetchSeq = l.parkedSeq
	c.readAfter(l, max(l.parkedIn, l.changedIn))
}

// readAfter reads after a batch, and after those that changed rows meanwhile.
func (c *core) readAfter(l *lane, batch uint64) {
	if c.led.Durable(batch) {
		l.fetchFrom = l.lastRow
		c.env.LoadParked(l.name(), l.lastRow, c.pageOf(l))
		return
	}
	c.gathering.answers = append(c.gathering.answers, func() { c.readAfter(l, l.changedIn) })
	c.press()
}

// parkedLoaded takes a page of a lane's parked rows; more says that others follow.
func (c *core) parkedLoaded(now time.Time, at laneName, arrivals []arrival, more bool) {
	q := c.queues[at.queue]
	l := q.find(at)
	b := l.band()
	b.fetches--
	l.fetching = false
	l.readAt, l.served = now, 0
	if l.fetchFrom != l.lastRow || l.status == laneHalted {
		// The lane gave its memory back meanwhile, or a task ended whose row may be among
		// these: the page does not follow what the lane holds, or would be held for a lane
		// that waits for a person.
		c.wake(now, l)
		return
	}
	if l.ordered && l.items.len() == 0 {
		l.join(nil)
	}
	for i := range arrivals {
		it := &arrivals[i].item
		if it.seq <= l.lastRow {
			continue
		}
		l.lastRow = it.seq
		if arrivals[i].corrupt || c.tasks[it.ID] != nil {
			continue
		}
		it.origin, it.byKey, it.rank, it.lane = inParked, l.wait != nil, b.rank, l
		if mark := c.cancelledMark(&arrivals[i]); mark != nil {
			c.endCancelled(now, q, it, mark)
			continue
		}
		l.members++
		q.store(it)
		c.tasks[it.ID] = it
		c.enqueue(now, it)
	}
	if !more && l.parkedSeq == l.fetchSeq {
		l.tail = false
	}
	c.wake(now, l)
}

// feed reads rows from the store while there is room for their tasks.
func (c *core) feed() {
	for _, q := range c.order {
		for _, b := range q.bands {
			for c.readNext(b) {
				b.pages++
			}
		}
	}
	if c.sched.wants() {
		from := c.sched.fetch()
		c.afterDurable(func() { c.env.LoadSchedule(from.due, from.seq) })
	}
	if c.parkedExpiries.wants() {
		from := c.parkedExpiries.fetch()
		c.afterDurable(func() { c.env.LoadExpiries(from.due, from.seq) })
	}
}

// readNext looks after one of the lanes whose rows are to be read, and reports
// whether there was one: those that wait for room and those that are aside take
// turns.
func (c *core) readNext(b *band) bool {
	if b.pages%2 == 0 {
		return c.readHungry(b) || c.readAside(b)
	}
	return c.readAside(b) || c.readHungry(b)
}

// mayRead reports whether there is room for another page of rows.
func (c *core) mayRead(b *band) bool { return b.fetches < maxFetches && !c.full(b) }

func (c *core) readHungry(b *band) bool {
	if b.hungry.len() == 0 || !c.mayRead(b) {
		return false
	}
	l := b.hungry.popFront()
	l.fetching = false
	c.fetch(l)
	return true
}

func (c *core) readAside(b *band) bool {
	for range b.readers.len() {
		cl := b.readers.popFront()
		if !cl.reads() {
			cl.reading = false
			continue
		}
		b.readers.pushBack(cl)
		if !c.mayRead(cl.aside.at(0).band()) {
			continue
		}
		cl.due = max(cl.due-1, 0)
		c.read(cl.aside.popFront())
		return true
	}
	return false
}

// scheduleLoaded takes the next schedule rows, in the order of their times; more says
// that others may follow.
func (c *core) scheduleLoaded(now time.Time, arrivals []arrival, more bool) {
	for i := range arrivals {
		it := &arrivals[i].item
		mark, q := c.cancelledMark(&arrivals[i]), c.queues[it.Queue]
		if arrivals[i].corrupt || q == nil || mark == nil || c.tasks[it.ID] != nil {
			continue
		}
		it.origin = inSchedule
		c.endCancelled(now, q, it, mark)
	}
	c.sched.fetched(arrivals, more)
	c.comeDue(now)
}
