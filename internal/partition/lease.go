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
	lane     *lane
	worker   WorkerRef
	items    []*item // nil where the outcome is in
	open     int     // tasks without outcome
	next     int     // ordered: the task whose outcome comes next
	since    time.Time
	deadline time.Time
	stash    []stashed // ordered: outcomes that wait for records to be loaded
	waiting  bool
}

// stashed is one message of outcomes.
type stashed struct {
	first    int
	outcomes []task.Outcome
}

// serve hands the queue's ready lanes to workers until there is no room.
func (c *core) serve(now time.Time, q *queue) {
	if q.starved || len(q.ready) == 0 || c.led.Bytes() > maxBatchBytes {
		return
	}
	var refused []*lane // a worker of their own is full, others may have room
	turns := len(q.ready)
	for turns > 0 && len(q.ready) > 0 {
		turns--
		l := q.ready[0]
		q.ready = q.ready[1:]
		if !c.offer(now, l) {
			refused = append(refused, l)
			if q.Balance.Policy != task.BalanceConsistentHash || q.Balance.Overflow != "wait" {
				break
			}
		}
	}
	if len(refused) > 0 {
		q.starved = true
		q.ready = append(refused, q.ready...)
	}
}

// offer leases the lane's next tasks to a worker, and reports false if none has
// room.
func (c *core) offer(now time.Time, l *lane) bool {
	c.dropExpired(now, l)
	if l.items.len() == 0 {
		l.status = laneIdle
		c.wake(now, l)
		return true
	}
	if l.ordered && c.untidy(l) {
		return true
	}
	want := 1
	if !l.ordered {
		want = c.batchOf(now, l, maxLeaseTasks)
	}
	w, slots, ok := c.env.Assign(c.cfg.Part, &l.q.Queue, l.q.Placement, l.key, want)
	if !ok {
		return false
	}
	n := slots
	if l.ordered {
		n = c.batchOf(now, l, l.q.Batch)
	}
	c.grant(now, l, w, n)
	return true
}

// dropExpired finishes tasks at the head of the lane that must not start any more.
func (c *core) dropExpired(now time.Time, l *lane) {
	for l.items.len() > 0 {
		it := l.items.at(0)
		if !it.expired(now) {
			return
		}
		l.popFront()
		c.finish(now, it, ending{state: task.StateExpired, err: "expired at " + it.ExpiresAt.Format(time.RFC3339Nano) + " before it could start"})
	}
}

// batchOf is how many of the lane's next tasks go out together. A task that was
// handed out often without an answer goes alone: it may be killing its workers.
func (c *core) batchOf(now time.Time, l *lane, most int) int {
	most = min(most, l.items.len())
	size := 0
	for i := range most {
		it := l.items.at(i)
		size += it.size
		if i > 0 && (size > maxLeaseBytes || it.deliveries >= suspectAfter || it.expired(now)) {
			return i
		}
		if it.deliveries >= suspectAfter {
			return 1
		}
	}
	return most
}

// grant forms a lease of the lane's next n tasks and sends it.
func (c *core) grant(now time.Time, l *lane, w WorkerRef, n int) {
	c.token++
	ls := &lease{
		ref:    task.LeaseRef{Partition: c.cfg.Part, Epoch: c.led.Epoch(), Token: c.token},
		lane:   l,
		worker: w,
		items:  make([]*item, n),
		open:   n,
		since:  now,
	}
	out := &task.Lease{LeaseRef: ls.ref, Queue: l.q.Name, Timeout: l.q.Timeout, Ordered: l.ordered, Tasks: make([]task.Leased, n)}
	longest := time.Duration(0)
	for i := range n {
		it := l.popFront()
		it.state = task.StateRunning
		it.deliveries++
		ls.items[i] = it
		out.Tasks[i] = task.Leased{Task: it.Task, Attempt: it.attempts + 1, Delivery: it.deliveries}
		longest = max(longest, c.timeoutOf(it))
		l.q.metrics.started(now, it)
	}
	if l.ordered {
		if c.led.Clean(l.key) {
			out.Records, out.Complete = c.led.Travel(l.key)
		}
		l.waited = false
		longest = c.timeoutOf(ls.items[0])
		l.status = laneLeased
		l.lease = ls
	} else {
		l.status = laneIdle
		c.wake(now, l)
	}
	ls.deadline = now.Add(longest + leaseGrace)
	c.leases[c.token] = ls
	c.env.Send(w.Session, out)
}

func (c *core) timeoutOf(it *item) time.Duration {
	if it.Timeout > 0 {
		return it.Timeout
	}
	return it.lane.q.Timeout
}

// close ends a lease: its token is worth nothing from now on. Tasks without an
// outcome go back to the head of their lane, in order.
func (c *core) close(ls *lease) {
	delete(c.leases, ls.ref.Token)
	slots := 1
	if !ls.lane.ordered {
		slots = ls.open
	}
	if slots > 0 {
		c.env.Release(ls.worker.Session, ls.lane.q.Name, Use{Slots: slots})
	}
	for _, it := range slices.Backward(ls.items) {
		if it != nil {
			it.state = task.StateReady
			ls.lane.pushFront(it)
		}
	}
	if ls.lane.ordered {
		ls.lane.lease = nil
		ls.lane.status = laneSettling
		c.gathering.lanes = append(c.gathering.lanes, ls.lane)
		if ls.lane.items.len() > 0 || ls.lane.tail {
			c.press()
		}
	} else {
		c.woken = append(c.woken, ls.lane)
	}
}

// workerGone ends the leases of a session that was lost. That is not a failure
// of its tasks, but it is counted: a task that kills every worker must not take
// them all.
func (c *core) workerGone(now time.Time, session uint64) {
	for _, ls := range c.leasesOf(session) {
		for i, it := range ls.items {
			if it == nil {
				continue
			}
			if it.deliveries >= it.lane.q.MaxDeliveries && (i == ls.next || !ls.lane.ordered) {
				ls.items[i] = nil
				c.bury(now, it, ls.worker, fmt.Sprintf("its workers were lost %d times while they had it", it.deliveries))
				continue
			}
			it.attempted = true
			c.led.Put(it.attemptRow())
		}
		c.close(ls)
	}
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
		late := ls.items
		if ls.lane.ordered {
			late = ls.items[ls.next : ls.next+1]
		}
		failed := make([]*item, 0, len(late))
		for i, it := range late {
			if it != nil {
				failed = append(failed, it)
				late[i] = nil
			}
		}
		c.close(ls)
		for _, it := range failed {
			c.fail(now, it, ls.worker, fmt.Sprintf("the attempt took longer than %v", c.timeoutOf(it)), -1)
		}
	}
}
