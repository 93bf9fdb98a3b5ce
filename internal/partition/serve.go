package partition

import (
	"math"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// serve hands ready lanes to workers until there is no room. The queues take
// turns, a lease each, and so do the classes of a queue; its bands by weight.
func (c *core) serve(now time.Time) {
	for served := true; served; {
		served = false
		for _, q := range c.order {
			if q.waiting() && !q.throttled && !q.Paused && c.led.Bytes() <= maxBatchBytes {
				c.serveNext(now, q)
				served = true
			}
		}
	}
	c.endOffers()
}

// serveNext offers the first lane of the class whose turn it is.
func (c *core) serveNext(now time.Time, q *queue) {
	if q.limited {
		if !c.permit(q) {
			return
		}
		defer c.useNot(q)
	}
	cl := q.next()
	if !cl.starved && cl.ready.len() > 0 {
		c.serveLane(now, q, cl, cl.ready.popFront())
	}
	cl.serving = false
	q.enlist(cl)
	if !cl.serving && !cl.starved && cl.refused+cl.aside.len() == 0 {
		cl.since = time.Time{}
	}
}

// serveLane offers one lane. If it was refused before, and is not again by who
// refused it then, those who wait behind it follow.
func (c *core) serveLane(now time.Time, q *queue, cl *class, l *lane) {
	from := l.probes
	l.probes = nil
	by, ok := c.offer(now, l)
	if !ok {
		q.refuse(now, cl, l, by, from)
	}
	if from == nil {
		return
	}
	if from.probing = false; ok || by != from.session {
		cl.probe(from)
	}
}

// refuse makes a lane wait that a session has no room for, or, with 0, none. from
// is the line out of which it comes, or nil.
func (q *queue) refuse(now time.Time, cl *class, l *lane, by uint64, from *refusals) {
	if cl.since.IsZero() {
		cl.since = now
	}
	if q.Balance.Policy == task.BalanceConsistentHash && q.Balance.Overflow == "wait" {
		cl.refusedBy(by, l, from)
		return
	}
	cl.ready.pushFront(l)
	cl.starved = true
}

// offer leases the lane's next tasks to a worker. If none has room that may have
// them, ok is false, and by is the session that must have some; 0: any will do.
func (c *core) offer(now time.Time, l *lane) (by uint64, ok bool) {
	cl := l.class
	c.dropExpired(now, l)
	if l.items.len() == 0 || l.ordered && (l.q.classOf(&l.items.at(0).Task) != cl || l.items.at(0).notBefore.After(now)) {
		l.status = laneIdle
		c.wake(now, l)
		return 0, true
	}
	if l.ordered && c.waits(now, l) {
		return 0, true
	}
	if l.settling > 0 {
		c.stay(now, l)
		return 0, true
	}
	want := 1
	if !l.ordered {
		most := c.startable(now, l, l.q.turnOf(cl))
		if most == 0 {
			l.status = laneIdle
			c.wake(now, l)
			return 0, true
		}
		want = c.batchOf(now, l, most)
		if l.q.limited {
			want = c.permitMore(l.q, want, false)
		}
	}
	w, slots, ok := c.env.Assign(c.cfg.Part, &l.q.Queue, cl.place, l.key, want)
	if !ok {
		l.ask = 0
		return w.Session, false
	}
	l.q.took(now, cl)
	l.run = 0
	n := slots
	if l.ordered {
		n = c.nextOf(now, l, &w)
	}
	l.q.use(slots, n)
	c.grant(now, l, w, n)
	return 0, true
}

// nextOf is how many of a key's next tasks go out in one lease, in which they run
// one after another.
func (c *core) nextOf(now time.Time, l *lane, w *WorkerRef) int {
	n := c.batchOf(now, l, w.most(&l.q.Queue))
	if l.q.limited {
		n = c.permitMore(l.q, n, true)
	}
	return n
}

// dropExpired finishes tasks at the head of the lane that must not start any more.
func (c *core) dropExpired(now time.Time, l *lane) {
	for l.items.len() > 0 {
		it := l.items.at(0)
		if !it.expired(now) {
			return
		}
		l.popFront()
		c.expire(now, it)
	}
}

// batchOf is how many of the lane's next tasks go out together: they ask the same
// of their worker, and none of them waits for its next attempt. A task that was handed out often without an answer goes alone:
// it may be killing its workers.
func (c *core) batchOf(now time.Time, l *lane, most int) int {
	most = min(most, l.items.len())
	first := l.items.at(0).Placement
	size := 0
	for i := range most {
		it := l.items.at(i)
		size += it.size
		if i > 0 && (size > maxLeaseBytes || it.deliveries >= suspectAfter || it.expired(now) || it.notBefore.After(now) || it.Placement != first) {
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
	l.q.charge(l.class, n)
	ls := &lease{
		ref:     task.LeaseRef{Partition: c.cfg.Part, Epoch: c.led.Epoch(), Token: c.token},
		lane:    l,
		worker:  w,
		items:   make([]*item, n),
		open:    n,
		since:   now,
		heard:   now,
		timeout: l.q.Timeout,
	}
	out := &task.Lease{LeaseRef: ls.ref, Queue: l.q.Name, Timeout: l.q.Timeout, Ordered: l.ordered, Tasks: make([]task.Leased, n)}
	shortest := time.Duration(math.MaxInt64)
	for i := range n {
		it := l.popFront()
		it.state = task.StateRunning
		it.deliveries++
		it.deciding = false // Its transaction under an earlier lease is given up.
		ls.items[i] = it
		out.Tasks[i] = task.Leased{Task: it.Task, Attempt: it.attempts + 1, Delivery: it.deliveries}
		shortest = min(shortest, c.timeoutOf(it))
		l.q.metrics.started(now, it)
		c.starts(it)
	}
	if l.ordered {
		if l.run == 0 {
			l.run, l.runs = c.token, now
		}
		if ls.run = l.run; ls.run != c.token || c.led.Clean(l.key) {
			out.Records, out.Complete = c.led.Travel(l.key)
		}
		l.waited = false
		shortest = c.timeoutOf(ls.items[0])
		l.status = laneLeased
		l.lease = ls
	} else {
		l.served += n
		l.vetted, l.ask = max(0, l.vetted-n), min(2*l.ask, maxLeaseTasks)
		l.status = laneIdle
		c.wake(now, l)
	}
	ls.deadline = now.Add(shortest + leaseGrace)
	c.leases[c.token] = ls
	c.env.Send(w.Session, out)
}
