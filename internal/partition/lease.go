package partition

import (
	"fmt"
	"slices"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// lease is a batch of tasks in the hands of one worker.
type lease struct {
	ref      task.LeaseRef
	run      uint64 // ordered: the token of the first of those that its worker has one after another
	lane     *lane
	worker   WorkerRef
	items    []*item // nil where the outcome is in
	open     int     // tasks without outcome
	next     int     // ordered: the task whose outcome comes next
	since    time.Time
	skipped  time.Duration // by which the clock was put forward since then
	heard    time.Time     // ordered: when the latest outcome came, or since
	use      Use           // what was seen of the worker and not reported yet
	timeout  time.Duration // of tasks that have none of their own
	deadline time.Time     // ordered: of the next task; else none is overdue before
	stash    []stashed     // ordered: outcomes that wait for records to be loaded
	waiting  bool
	said     map[int]said     // by handlers that run, by index; nil: nothing
	late     map[int]struct{} // without order: tasks whose attempts took too long, by index
	crossed  bool             // ordered: an outcome took effect together with other partitions

	conflicts uint32 // ordered: how often the worker was asked to run tasks again
}

// stashed is one message of outcomes.
type stashed struct {
	first    int
	outcomes []task.Outcome
}

func (c *core) timeoutOf(it *item) time.Duration {
	if it.Timeout > 0 {
		return it.Timeout
	}
	return it.lane.q.Timeout
}

// saw notes outcomes of a lease; failed of them say that the worker did not get
// them done.
func (ls *lease) saw(now time.Time, outcomes, failed int) {
	ls.use.Tasks += outcomes
	ls.use.Failed += failed
	if !ls.lane.ordered {
		ls.use.Took += time.Duration(outcomes) * max(now.Sub(ls.since), 0)
	}
}

// report gives slots of a lease back, and tells what was seen of its worker since
// the last time.
func (c *core) report(now time.Time, ls *lease, slots int) {
	use := ls.use
	use.Slots = slots
	if use.Slots == 0 && use.Tasks == 0 {
		return
	}
	if ls.lane.ordered && use.Tasks > 0 {
		use.Took = max(now.Sub(ls.heard), 0)
		ls.heard = now
	}
	ls.use = Use{}
	if slots > 0 && ls.lane.q.limited {
		c.env.Give(c.cfg.Part, ls.lane.q.Name, slots, 0)
	}
	c.env.Release(ls.worker.Session, ls.lane.q.Name, use)
}

// close ends a lease: its token is worth nothing from now on. Tasks without an
// outcome go back to the head of their lane, in order.
func (c *core) close(now time.Time, ls *lease) {
	delete(c.leases, ls.ref.Token)
	slots := 1
	if !ls.lane.ordered {
		slots = ls.open
	}
	c.report(now, ls, slots)
	for _, it := range slices.Backward(ls.items) {
		switch {
		case it == nil:
		case it.stop != "":
			c.stops(it)
			c.finishStopped(now, it)
		default:
			c.stops(it)
			it.state = task.StateReady
			c.watchExpiry(it)
			ls.lane.pushFront(it)
		}
	}
	if ls.lane.ordered {
		ls.lane.lease, ls.lane.last = nil, WorkerRef{}
		c.settles(ls.lane)
		if ls.lane.items.len() > 0 || ls.lane.tail {
			c.press()
		}
	} else {
		c.woken = append(c.woken, ls.lane)
	}
}

// workerGone ends the leases of a session that has ended. Of a worker that said
// goodbye, having finished what it began, the rest is as if it was never handed
// out. One that was lost may have begun. That is not a failure
// of its tasks, but it is counted: a task that kills every worker must not take
// them all.
func (c *core) workerGone(now time.Time, session uint64, finished bool) {
	for _, ls := range c.leasesOf(session) {
		if finished {
			c.refund(ls.lane.q, ls.open)
		}
		for i, it := range ls.items {
			if it == nil {
				continue
			}
			if finished {
				it.deliveries--
				it.returns++
				continue
			}
			if it.deliveries >= it.lane.q.MaxDeliveries && (i == ls.next || !ls.lane.ordered) {
				ls.items[i] = nil
				c.stops(it)
				c.bury(now, it, ls.worker, fmt.Sprintf("its workers were lost %d times while they had it", it.deliveries))
				continue
			}
			it.attempted = true
			c.led.Put(it.attemptRow())
		}
		c.close(now, ls)
	}
	c.desert(session)
}

func (c *core) leasesOf(session uint64) (found []*lease) {
	for token := range c.leases {
		if ls := c.leases[token]; ls.worker.Session == session {
			found = append(found, ls)
		}
	}
	sortLeases(found)
	return found
}

// endOverdue fails the tasks whose attempts took too long.
func (c *core) endOverdue(now time.Time) {
	var overdue []*lease
	for _, ls := range c.leases {
		if now.After(ls.deadline) && !ls.waiting {
			overdue = append(overdue, ls)
		}
	}
	sortLeases(overdue)
	for _, ls := range overdue {
		if ls.lane.ordered {
			c.endLate(now, ls)
		} else {
			c.endLateOnes(now, ls)
		}
	}
}

// endLate fails the next task of an ordered lease, which ends with it.
func (c *core) endLate(now time.Time, ls *lease) {
	it := ls.items[ls.next]
	ls.items[ls.next] = nil
	ls.saw(now, 1, 1)
	by := ls.tried(now, ls.next)
	c.close(now, ls)
	c.failLate(now, it, by)
}

// endLateOnes fails those tasks of a lease without order that are overdue; it goes on
// with the others. An outcome that waits for a transaction ends by itself.
func (c *core) endLateOnes(now time.Time, ls *lease) {
	var failed []*item
	ls.deadline = time.Time{}
	for i, it := range ls.items {
		if it == nil {
			continue
		}
		if at := ls.deadlineOf(i); it.deciding || !now.After(at) {
			if ls.deadline.IsZero() || at.Before(ls.deadline) {
				ls.deadline = at
			}
			continue
		}
		if ls.late == nil {
			ls.late = make(map[int]struct{})
		}
		failed, ls.items[i], ls.late[i] = append(failed, it), nil, struct{}{}
		c.stops(it)
	}
	if len(failed) == 0 {
		return
	}
	ls.open -= len(failed)
	ls.saw(now, len(failed), len(failed))
	by := ls.tried(now, 0)
	c.freedOf(now, ls, len(failed))
	for _, it := range failed {
		c.failLate(now, it, by)
	}
}

func (c *core) failLate(now time.Time, it *item, by tried) {
	c.fail(now, it, by, fmt.Sprintf("the attempt took longer than %v", c.timeoutOf(it)), -1)
}
