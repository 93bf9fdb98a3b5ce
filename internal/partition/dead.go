package partition

import (
	"errors"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// errHaltsKey says why retention leaves a dead letter alone.
var errHaltsKey = errors.New("its key waits for a decision about it")

// letter is a dead letter that was read, and is to be changed.
type letter struct {
	row  *store.Dead
	task task.Task
	body []byte       // of the task as it goes back
	mark *store.Dedup // its mark, or nil
}

// ownMark reports whether the mark that was read is the dead letter's.
func (d *letter) ownMark() bool {
	return d.mark != nil && d.mark.State == task.StateDead && d.mark.Ref == d.row.Seq && d.mark.CreatedAt == d.task.CreatedAt
}

// ran reports whether the task was handed out here. Else it is a follow-up task that
// the broker refused, which may belong to another partition.
func (d *letter) ran() bool { return d.row.Deliveries > 0 || d.row.Attempts > 0 || d.mark != nil }

// requeue takes a dead letter back into its queue with the gathering batch. The row
// is there: it was read since the only one who removes such rows began.
//
// A key that waits for a person begins with its dead letters, in their order, and
// goes on once the one that it waits for is back. Otherwise the task comes after
// those that the partition has read.
func (c *core) requeue(now time.Time, d *letter) error {
	q := c.queues[d.row.Queue]
	if q == nil {
		return task.Errorf(task.CodeNotFound, "there is no queue %q any more", d.row.Queue)
	}
	if err := c.claimable(d); err != nil {
		return err
	}
	if !d.ran() {
		c.emitAgain(now, q, d)
		return nil
	}
	it := newItem(d.task, d.body)
	it.origin, it.seq, it.state = inDead, d.row.Seq, task.StateReady
	it.tries, it.requeues, it.attempted = d.row.Tries, d.row.Requeues+1, true
	l := q.laneOf(&it.Task)
	it.lane = l
	l.members++
	c.tasks[it.ID] = &it
	if l.halt != nil {
		c.parkFront(now, &it)
	} else {
		if l.ordered && !l.tail {
			c.parkAll(now, l)
		}
		c.park(now, &it)
	}
	c.led.Put(it.attemptRow())
	c.forget(&it)
	q.metrics.requeued.Inc()
	if l.halt == nil {
		c.wake(now, l)
	}
	return nil
}

// claimable reports why a dead letter's task may not come back under its ID.
func (c *core) claimable(d *letter) error {
	_, changed := c.marked[d.task.ID]
	if c.tasks[d.task.ID] != nil || changed || d.mark != nil && !d.ownMark() {
		return task.Errorf(task.CodeConflict, "another task has the id %s by now: delete the dead letter, or submit its payload under a new id", d.task.ID)
	}
	return nil
}

// parkFront parks a dead letter's task before all others of its key, and ends the
// halt if it is the one that the key waits for.
func (c *core) parkFront(now time.Time, it *item) {
	l, seq := it.lane, it.seq
	c.evict(now, l, 0)
	row := l.name().row(seq - frontShift)
	row.Body = it.body
	c.led.Put(row)
	c.putMark(c.waitingMark(it, task.StateQueued, row.Seq, time.Time{}))
	l.q.stats.Parked++
	c.leaveFor(it, inParked, row.Seq)
	c.indexExpiry(it)
	l.tail, l.lastRow = true, 0
	l.outdate(c.led.Number())
	if l.halt.seq == seq {
		c.endHalt(l)
	}
}

// endHalt ends a halt that is durable. The core may not have heard of that yet: then
// its key still settles, and goes on when the end of the halt is durable, too.
func (c *core) endHalt(l *lane) {
	if l.halt != nil {
		l.q.metrics.resumed.Inc()
		c.unhalt(l)
	}
}

// emitAgain gives a follow-up task to the broker that it refused once.
func (c *core) emitAgain(now time.Time, q *queue, d *letter) {
	row := &store.Outbox{Seq: uint64(c.led.Stamp(now)), Body: d.body}
	c.led.Put(row)
	c.gathering.outbox = append(c.gathering.outbox, row)
	c.press()
	c.led.Delete(&store.Dead{Queue: d.row.Queue, Seq: d.row.Seq})
	q.stats.Dead--
	q.metrics.requeued.Inc()
}

// discard removes a dead letter with the gathering batch; a key that waits for a
// decision about it goes on. Retention is no decision.
func (c *core) discard(d *letter, retention bool) error {
	q := c.queues[d.row.Queue]
	if q != nil {
		l := q.lanes[d.task.Key]
		if l != nil && l.halt != nil && l.halt.seq == d.row.Seq {
			if retention {
				return errHaltsKey
			}
			c.endHalt(l)
		}
		q.stats.Dead--
		if retention {
			q.metrics.retired.Inc()
		} else {
			q.metrics.deleted.Inc()
		}
	}
	c.led.Delete(&store.Dead{Queue: d.row.Queue, Seq: d.row.Seq})
	if _, changed := c.marked[d.task.ID]; d.ownMark() && !changed && c.tasks[d.task.ID] == nil {
		mark := *d.mark
		mark.Ref = 0 // from now on it goes when it expires
		c.putMark(&mark)
	}
	return nil
}
