package partition

import (
	"container/heap"
	"fmt"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// expiries are the tasks in memory that expire unless they start, the next one
// first. One that runs leaves them at its time, and is back as soon as it waits.
type expiries []*item

func (e expiries) Len() int           { return len(e) }
func (e expiries) Less(i, j int) bool { return e[i].ExpiresAt.Before(e[j].ExpiresAt) }
func (e expiries) Swap(i, j int) {
	e[i], e[j] = e[j], e[i]
	e[i].expiry, e[j].expiry = i+1, j+1
}

func (e *expiries) Push(x any) {
	it, _ := x.(*item) // Nothing else is pushed.
	*e = append(*e, it)
	it.expiry = len(*e)
}

func (e *expiries) Pop() any {
	last := len(*e) - 1
	it := (*e)[last]
	(*e)[last] = nil
	*e = (*e)[:last]
	it.expiry = 0
	return it
}

// expires reports whether the task must not start after some moment.
func (it *item) expires() bool { return !it.ExpiresAt.IsZero() }

// expired reports whether the task must not start any more.
func (it *item) expired(now time.Time) bool { return it.expires() && !now.Before(it.ExpiresAt) }

// watchExpiry makes a task in memory end at its time, unless it runs by then.
func (c *core) watchExpiry(it *item) {
	if it.expires() && it.expiry == 0 {
		heap.Push(&c.expiries, it)
	}
}

func (c *core) unwatchExpiry(it *item) {
	if it.expiry > 0 {
		heap.Remove(&c.expiries, it.expiry-1)
	}
}

// nextExpiry is when the next task expires that is known; zero: none is.
func (c *core) nextExpiry() time.Time {
	at := c.parkedExpiries.next()
	if len(c.expiries) > 0 && (at.IsZero() || c.expiries[0].ExpiresAt.Before(at)) {
		at = c.expiries[0].ExpiresAt
	}
	return at
}

// expireDue ends the tasks that wait, wherever that is, and whose time is over. When a
// batch is full the others follow with the next one.
func (c *core) expireDue(now time.Time) {
	for len(c.expiries) > 0 && c.expiries[0].expired(now) && c.led.Bytes() <= maxBatchBytes {
		it := c.expiries[0]
		heap.Pop(&c.expiries)
		if it.state != task.StateRunning {
			c.takeOut(it)
			c.expire(now, it)
		}
	}
	c.expireParked(now)
}

// expire ends a task whose time is over, and that is in no lane.
func (c *core) expire(now time.Time, it *item) { c.finish(now, it, it.expiration()) }

// expiration says how a task ends that did not start in time.
func (it *item) expiration() ending {
	text := fmt.Sprintf("expired at %s before it could start", it.ExpiresAt.Format(time.RFC3339Nano))
	if it.attempts > 0 {
		text = fmt.Sprintf("expired at %s before attempt %d could start", it.ExpiresAt.Format(time.RFC3339Nano), it.attempts+1)
	}
	if n := len(it.tries); n > 0 {
		text += "; the last one failed: " + it.tries[n-1].Error
	}
	return ending{state: task.StateExpired, err: clipError(text)}
}
