package partition

import (
	"slices"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// What workers may give back unbegun. A task that is given back is handed out
// again at once, as long as that does not go on and on: after freeReturns times
// in a row without an attempt it pauses, twice as long each time.
const (
	freeReturns    = 3
	returnPause    = 10 * time.Millisecond
	maxReturnPause = time.Second
)

// takeBack ends an ordered lease that its worker does not want to go on with: the
// next task and all after it were not begun.
func (c *core) takeBack(now time.Time, ls *lease) {
	c.gathering.committed(ls.worker.Session, ls.ref, ls.next)
	unbegun := ls.items[ls.next:]
	for _, it := range unbegun {
		it.deliveries--
	}
	unbegun[0].pause(now)
	c.refund(ls.lane.q, len(unbegun))
	c.close(now, ls)
}

// restart puts tasks without order that were given back at the head of their lane,
// in their order.
func (c *core) restart(now time.Time, l *lane, unbegun []*item) {
	c.refund(l.q, len(unbegun))
	for _, it := range slices.Backward(unbegun) {
		it.deliveries--
		if it.stop != "" {
			c.finishStopped(now, it)
			continue
		}
		it.pause(now)
		c.watchExpiry(it)
		if it.notBefore.After(now) {
			it.state = task.StateScheduled
			c.alarms.add(alarm{at: it.notBefore, item: it})
			continue
		}
		it.state = task.StateReady
		l.pushFront(it)
	}
	if len(unbegun) > 0 {
		c.woken = append(c.woken, l)
	}
}

// pause counts a return, and makes the task wait when there were too many.
func (it *item) pause(now time.Time) {
	it.returns++
	if n := it.returns - freeReturns; n > 0 {
		it.notBefore = now.Add(min(returnPause<<min(n-1, 10), maxReturnPause))
	}
}
