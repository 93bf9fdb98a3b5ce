package dispatch

import (
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

var _ partition.Dispatcher = (*Dispatcher)(nil)

// Assign implements partition.Dispatcher. One call takes no more than an even
// share of what is wanted from one worker, so that a big batch without order
// spreads over all of them.
func (d *Dispatcher) Assign(part int, settings *task.Queue, _ task.Placement, key string, want int) (w partition.WorkerRef, slots int, ok bool) {
	var calls calls
	d.mu.Lock()
	q := d.queueOf(settings.Name)
	if q.use(settings.Balance) && q.reconsider() {
		d.offerAll(q, &calls)
	}
	was := q.unhold(part)
	i, ok := q.picker.Pick(&q.pool, key)
	switch {
	case ok:
		s := q.members[i]
		share := (want + len(q.members) - 1) / len(q.members)
		slots = max(1, min(want, share, s.worker.Free))
		s.take(slots)
		q.forget(part)
		w = s.ref
	case !d.draining:
		q.wait(part, i)
	}
	if was != nil {
		d.offer(was, &calls)
	}
	d.mu.Unlock()
	d.deliver(&calls)
	return w, slots, ok
}

// Release implements partition.Dispatcher.
func (d *Dispatcher) Release(session uint64, _ string, use partition.Use) {
	s := d.session(session)
	if s == nil {
		return
	}
	var calls calls
	d.mu.Lock()
	if !s.ended {
		s.give(use.Slots)
		d.offer(s, &calls)
	}
	d.mu.Unlock()
	d.deliver(&calls)
}

// Send implements partition.Dispatcher.
func (d *Dispatcher) Send(session uint64, lease *task.Lease) {
	if s := d.session(session); s != nil && s.out.addLease(lease) {
		d.choke(s)
	}
}

// Answer implements partition.Dispatcher.
func (d *Dispatcher) Answer(session uint64, v task.Verdict) {
	if s := d.session(session); s != nil && s.out.addVerdict(v) {
		d.choke(s)
	}
}

// choke gives the worker nothing new until its buffer was taken.
func (d *Dispatcher) choke(s *Session) {
	d.mu.Lock()
	s.choked = s.out.full()
	s.refresh()
	d.mu.Unlock()
}

// take moves free slots to those in flight. The caller holds mu.
func (s *Session) take(n int) {
	s.worker.InFlight += n
	s.refresh()
	for _, q := range s.queues {
		q.pool.Adjust(n)
	}
}

// give moves slots in flight back to the free ones. The caller holds mu.
func (s *Session) give(n int) {
	n = min(n, s.worker.InFlight)
	s.worker.InFlight -= n
	for _, q := range s.queues {
		q.pool.Adjust(-n)
	}
	s.refresh()
}

// offer holds the session's free slots for partitions that wait, one each, the
// queues in turns. The caller holds mu and delivers the calls.
func (d *Dispatcher) offer(s *Session, c *calls) {
	for s.worker.Free > 0 {
		q, part := s.nextWaiting()
		if q == nil {
			return
		}
		q.hold(part, s, d.round)
		c.capacity = append(c.capacity, wake{part: part, queue: q.name})
	}
}

// offerAll offers the free slots of everybody who serves the queue.
func (d *Dispatcher) offerAll(q *queue, c *calls) {
	for _, s := range q.members {
		d.offer(s, c)
	}
}

// nextWaiting takes out the next partition that one of the session's slots may
// go to, or returns nil.
func (s *Session) nextWaiting() (*queue, int) {
	for range s.queues {
		q := s.queues[s.turn%len(s.queues)]
		s.turn = (s.turn + 1) % len(s.queues)
		if part, ok := q.next(s); ok {
			return q, part
		}
	}
	return nil, 0
}

// joinPools puts a new session into the pools of its queues. The caller holds mu.
func (d *Dispatcher) joinPools(s *Session, c *calls) {
	for _, name := range s.hello.Queues {
		q := d.queueOf(name)
		q.members = append(q.members, s)
		q.pool.Add(&s.worker, s.hello.Weight)
		s.queues = append(s.queues, q)
		if q.reconsider() {
			d.offerAll(q, c)
		}
	}
	d.offer(s, c)
}

// leavePools takes the session out of the pools, so that nothing new goes to it.
// The caller holds mu.
func (d *Dispatcher) leavePools(s *Session, c *calls) {
	queues := s.queues
	s.queues = nil
	for _, q := range queues {
		q.remove(s)
		if q.reconsider() {
			d.offerAll(q, c)
		}
	}
}
