package partition

import (
	"math"
	"slices"
	"time"
)

// evict moves all tasks of a lane that stands still into parked rows, in their
// order, and those that are not leased out of memory.
func (c *core) evict(now time.Time, l *lane) {
	if l.items.len() == 0 {
		return
	}
	from := uint64(math.MaxUint64)
	if l.tail {
		from = l.lastRow
	}
	cl := l.q.classOf(&l.items.at(0).Task)
	c.parkAll(now, l)
	for l.items.len() > 0 {
		it := l.popBack()
		from = min(from, it.seq-1)
		c.forget(it)
	}
	if l.ordered {
		l.join(cl)
	}
	l.lastRow = from
	l.tail = true
}

// crowded reports whether a queue's window is nearly full, or lanes wait for room
// to read their rows.
func (c *core) crowded() bool { return slices.ContainsFunc(c.order, c.tight) }

func (c *core) tight(q *queue) bool {
	return q.held.Tasks > c.cfg.Window.Tasks*3/4 || q.held.Bytes > c.cfg.Window.Bytes*3/4 || q.wanting() && q.stored.Tasks > 0
}

// makeRoom moves what stands still out of memory, so that the window moves on.
func (c *core) makeRoom(now time.Time) {
	for _, q := range c.order {
		for _, l := range q.lanesWhere(func(l *lane) bool { return l.items.len() > 0 && l.stuck(now) }) {
			c.evict(now, l)
		}
		if c.draining || !c.tight(q) || !c.roomAside(q) {
			continue
		}
		for _, cl := range q.classes {
			if cl.stuck(now) && c.othersMove(now, q) {
				c.setAside(now, cl)
			}
		}
	}
}

// closed reports whether tasks that arrive are parked, so that they stay behind
// those that are: always where there is order, else while all wait for a worker.
func (c *core) closed(l *lane) bool {
	return l.tail && (l.ordered || l.class.starved && l.items.len() == 0 && c.roomAside(l.q))
}

// roomAside reports whether more tasks may be set aside: of a queue as many as its
// backlog may have, which does not count them. Beyond, they wait in the broker,
// which refuses new ones in the end.
func (c *core) roomAside(q *queue) bool {
	return q.stats.Parked < q.MaxBacklogTasks/int64(c.cfg.Partitions)
}

// othersMove reports whether room in the window would help the queue: somebody
// takes its tasks, or would take those that ask for nothing. Where nobody does, as
// without any worker, the broker keeps them as well as the store, and bounds them.
func (c *core) othersMove(now time.Time, q *queue) bool {
	if now.Sub(q.granted) <= parkAfter {
		return true
	}
	if q.plain.starved {
		return false
	}
	w, slots, ok := c.env.Assign(c.cfg.Part, &q.Queue, q.plain.place, "", 1)
	if ok {
		c.env.Release(w.Session, q.Name, Use{Slots: slots})
	}
	return ok
}

// setAside moves the tasks of a class that no worker takes into parked rows. Lanes
// that were read back a short while ago keep their place: the worker that they were
// read for may come.
func (c *core) setAside(now time.Time, cl *class) {
	refused := cl.refused
	cl.refused = nil
	for _, l := range refused {
		if !c.leaveReady(now, cl, l) {
			cl.refused = append(cl.refused, l)
		}
	}
	for n := cl.ready.len(); cl.starved && n > 0; n-- {
		if l := cl.ready.popFront(); !c.leaveReady(now, cl, l) {
			cl.ready.pushBack(l)
		}
	}
}

// leaveReady sets one lane aside, or reports false where it keeps its place.
func (c *core) leaveReady(now time.Time, cl *class, l *lane) bool {
	if age := now.Sub(l.readAt); age >= 0 && age <= parkAfter {
		return false
	}
	c.evict(now, l)
	l.status = laneIdle
	if !l.fetching {
		l.fetching = true
		cl.aside.pushBack(l)
	}
	return true
}
