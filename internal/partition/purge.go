package partition

import (
	"cmp"
	"slices"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/task"
)

// headPurge is the header of messages that mark how far a purge goes in the log.
// Nobody else can set it, and such a message is never handed out.
const headPurge = task.ReservedPrefix + "purge"

// purging is a purge of one queue in this partition, while it goes on.
type purging struct {
	Purge
	markers map[task.ID]struct{} // messages to come, behind everything that it is to take out of each log
	reached func()               // called when all of that is durable

	removed Purged // how many tasks, of what was in memory or came from the log
}

// takes reports whether the purge is to take a waiting task out.
func (p *Purge) takes(it *item, scheduled bool) bool {
	return it.CreatedAt < p.Before && (scheduled && p.Scheduled || !scheduled && p.Queued) && p.Only.match(&it.Task)
}

// count counts a task that was taken out.
func (n *Purged) count(scheduled bool) {
	if scheduled {
		n.Scheduled++
	} else {
		n.Queued++
	}
}

// purge takes what waits in memory out of a queue, and from now on what comes from
// the broker, until the purge ends.
func (c *core) purge(now time.Time, q *queue, p *purging) {
	q.purge = p
	var waiting []*item
	for _, it := range c.tasks {
		if it.lane.q == q && it.state != task.StateRunning && p.takes(it, it.notBefore.After(now)) {
			waiting = append(waiting, it)
		}
	}
	slices.SortFunc(waiting, func(a, b *item) int {
		return cmp.Or(cmp.Compare(a.CreatedAt, b.CreatedAt), slices.Compare(a.ID[:], b.ID[:]))
	})
	for _, it := range waiting {
		p.removed.count(it.notBefore.After(now))
		c.takeOut(it)
		c.finish(now, it, ending{state: task.StateCancelled, err: p.Reason})
	}
}

// purged takes a task out that comes from the broker, and reports false where it
// stays.
func (c *core) purged(now time.Time, q *queue, it *item) bool {
	p, scheduled := q.purge, it.RunAt.After(now)
	if !p.takes(it, scheduled) {
		return false
	}
	p.removed.count(scheduled)
	c.endMarked(now, q, it, ending{state: task.StateCancelled, err: p.Reason})
	return true
}

// isMarker reports whether a message only says how far a purge goes.
func isMarker(t *task.Task) bool { return t.Headers[0].Name == headPurge }

// purgedUpTo takes the message behind everything that a purge is to take out of the
// log. One of an earlier owner says nothing.
func (c *core) purgedUpTo(q *queue, it *item) {
	c.settle(q, it)
	c.unhold(it, q)
	p := q.purge
	if p == nil {
		return
	}
	if _, ours := p.markers[it.ID]; !ours {
		return
	}
	if delete(p.markers, it.ID); len(p.markers) == 0 {
		c.afterDurable(p.reached)
	}
}

// holdRoom keeps the room that a batch from the broker has given back until all that
// was done with it is durable: else one that ends at once what it reads, such as a
// purge, would read faster than it can write.
func (c *core) holdRoom(b *band, before broker.Limit) {
	room := broker.Limit{Tasks: b.freed.Tasks - before.Tasks, Bytes: b.freed.Bytes - before.Bytes}
	if room.Tasks == 0 {
		return
	}
	b.freed = before
	c.afterDurable(func() {
		b.freed.Tasks += room.Tasks
		b.freed.Bytes += room.Bytes
	})
}

// preview counts what a purge would take out, but for what nobody has read from the
// broker: the tasks of the queue in this partition beyond those.
func (c *core) preview(now time.Time, name string) (queued, scheduled int64) {
	q := c.queues[name]
	if q == nil {
		return 0, 0
	}
	queued, scheduled = q.stats.Parked, q.stats.Scheduled
	for _, it := range c.tasks {
		if it.lane.q != q {
			continue
		}
		waits := it.notBefore.After(now)
		switch {
		case it.state == task.StateRunning && it.origin == inSchedule:
			scheduled--
		case it.state == task.StateRunning:
			queued--
		case waits && it.origin != inSchedule:
			queued, scheduled = queued-1, scheduled+1
		case !waits && it.origin == inSchedule:
			queued, scheduled = queued+1, scheduled-1
		}
	}
	// Of a key only the first task waits for its next attempt.
	for _, l := range q.lanes {
		if l.status == laneBlocked && l.items.len() == 0 && l.until.After(now) {
			queued, scheduled = queued-1, scheduled+1
		}
	}
	return queued, scheduled
}
