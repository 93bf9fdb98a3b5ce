package partition

import (
	"slices"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
)

// evict moves the tasks of a lane that stands still into parked rows, in their
// order, and those that are not leased out of memory. Without order, so many of
// the first ones may stay.
func (c *core) evict(now time.Time, l *lane, stay int) {
	if l.items.len() <= stay {
		return
	}
	from := uint64(noRow)
	if l.tail {
		from = l.lastRow
	}
	cl := l.q.classOf(&l.items.at(0).Task)
	if l.ordered {
		c.parkAll(now, l)
		l.headRow = l.items.at(0).seq
	}
	for i := stay; i < l.items.len(); i++ {
		c.park(now, l.items.at(i))
	}
	for l.items.len() > stay {
		it := l.popBack()
		from = min(from, it.seq-1)
		c.holdExpiry(it)
		c.forget(it)
	}
	// One that is ready stands in the line of its class, also where its first task would
	// be of another one now.
	if l.ordered && l.status != laneReady {
		l.join(cl)
	}
	l.lastRow, l.tail = from, true
	l.outdate(c.led.Pending())
}

// beheaded takes a key whose first task left the store before it was read. What the
// next one asks of workers is not known: it is read whatever the first one asked.
func (c *core) beheaded(l *lane) {
	if cl := l.class; cl != nil {
		if i := cl.aside.find(func(other *lane) bool { return other == l }); i >= 0 {
			cl.aside.remove(i)
			cl.due = min(cl.due, cl.aside.len())
			l.fetching = false
		}
	}
	l.headRow = 0
	l.join(nil)
}

// crowded reports whether a queue's window is nearly full, or lanes wait for room
// to read their rows.
func (c *core) crowded() bool { return slices.ContainsFunc(c.order, c.tight) }

// tight reports whether one queue needs room; a paused one does not, nobody would
// get what came.
func (c *core) tight(q *queue) bool {
	if q.Paused {
		return false
	}
	wanting := q.wanting()
	return slices.ContainsFunc(q.bands, func(b *band) bool {
		return b.held.Tasks > c.cfg.Window.Tasks*3/4 || b.held.Bytes > c.cfg.Window.Bytes*3/4 || wanting && b.stored.Tasks > 0
	})
}

// makeRoom moves what stands still out of memory, so that the window moves on, and
// of keys that have more tasks than one after another can be done what is beyond
// their share.
func (c *core) makeRoom(now time.Time) {
	for _, q := range c.order {
		if q.Paused {
			continue
		}
		for _, l := range q.lanesWhere(func(l *lane) bool { return l.items.len() > 0 && (l.stuck(now) || c.hogs(l)) }) {
			stay := 0
			if !l.stuck(now) {
				stay = c.cfg.Page // it goes on with these, while others are read
			}
			c.evict(now, l, stay)
		}
	}
}

// hogs reports whether one key has more than a quarter of its queue's window.
func (c *core) hogs(l *lane) bool {
	return l.items.len() > max(c.cfg.Page, c.cfg.Window.Tasks/4) || l.bytes > c.cfg.Window.Bytes/4 && l.items.len() > c.cfg.Page
}

// relieve sets classes aside that have more tasks in memory than their workers
// take, and fill the window that way. Those that move keep a quarter of it.
func (c *core) relieve(now time.Time) {
	for _, q := range c.order {
		if since := now.Sub(q.looked); since >= 0 && since < lookInterval || !c.tight(q) || !c.roomAside(q) {
			continue
		}
		q.looked = now
		c.spread(now, q)
		for _, cl := range q.classes {
			switch {
			case !cl.behind(now):
			case q.moves(now, cl):
				if c.hasRoom(q) {
					c.setAside(now, cl, broker.Limit{Tasks: c.cfg.Window.Tasks / 4, Bytes: c.cfg.Window.Bytes / 4})
				}
			case q.othersMove(now, cl) || c.hasRoom(q):
				c.setAside(now, cl, broker.Limit{})
			}
		}
	}
}

// closed reports whether tasks that arrive are parked, so that they stay behind
// those that are: always where there is order, else while all wait for a worker.
// Behind a dead letter that their key waits for they are parked from the first on.
func (c *core) closed(l *lane) bool {
	return l.status == laneHalted || l.tail && (l.ordered || l.wait != nil && c.roomAside(l.q) || l.class.starved && l.items.len() == 0 && c.roomAside(l.q))
}

// roomAside reports whether more tasks may be set aside: of a queue as many as its
// backlog may have, which does not count them. Beyond, they wait in the broker,
// which refuses new ones in the end.
func (c *core) roomAside(q *queue) bool {
	return q.stats.Parked < q.MaxBacklogTasks/int64(c.cfg.Partitions)
}

// moves reports whether workers take tasks that ask what those of a class ask: its
// own, or of another priority, which have more turns.
func (q *queue) moves(now time.Time, of *class) bool {
	return slices.ContainsFunc(q.classes, func(cl *class) bool { return cl.own == of.own && cl.moves(now) })
}

// othersMove reports whether workers take tasks that ask for something else.
func (q *queue) othersMove(now time.Time, but *class) bool {
	return slices.ContainsFunc(q.classes, func(cl *class) bool { return cl.own != but.own && cl.moves(now) })
}

// hasRoom reports whether a worker would take tasks of the queue that ask for
// nothing, were there any. Where none would, as without any worker, room in the
// window helps nobody, and the broker keeps tasks as well as the store and bounds
// them.
func (c *core) hasRoom(q *queue) bool {
	starved := slices.ContainsFunc(q.bands, func(b *band) bool { return b.plain.starved })
	return !starved && c.env.HasRoom(&q.Queue, q.bands[rankNormal].plain.place)
}

// setAside moves the tasks of a class into parked rows, but for the first ones up
// to a limit, and for lanes that were read back a short while ago: the worker that
// they were read for may come.
func (c *core) setAside(now time.Time, cl *class, keep broker.Limit) {
	for _, l := range cl.takeRefused() {
		if !c.leaveReady(now, cl, l, &keep) {
			cl.refusedBy(l.waitsFor, l, nil)
		}
	}
	for n := cl.ready.len(); cl.starved && n > 0; n-- {
		if l := cl.ready.popFront(); !c.leaveReady(now, cl, l, &keep) {
			cl.ready.pushBack(l)
		}
	}
}

// leaveReady sets one lane aside, or reports false where some of it keeps its
// place.
func (c *core) leaveReady(now time.Time, cl *class, l *lane, keep *broker.Limit) bool {
	if age := now.Sub(l.readAt); age >= 0 && age <= parkAfter {
		return false
	}
	stay, left := 0, *keep
	for stay < l.items.len() && left.Tasks > 0 && l.items.at(stay).size <= left.Bytes {
		left.Tasks--
		left.Bytes -= l.items.at(stay).size
		stay++
	}
	if l.ordered && stay < l.items.len() {
		stay, left = 0, *keep
	}
	*keep = left
	c.evict(now, l, stay)
	if stay > 0 {
		return false
	}
	l.status = laneIdle
	if !l.fetching {
		l.fetching = true
		cl.aside.pushBack(l)
	}
	return true
}
