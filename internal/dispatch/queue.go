package dispatch

import (
	"slices"

	"github.com/fenfa/fenfa/internal/balance"
	"github.com/fenfa/fenfa/internal/task"
)

// queue is the pool of one queue: who serves it, how it picks, and which
// partitions wait for room in it. All of it is under Dispatcher.mu.
type queue struct {
	name     string
	settings task.Balance
	picker   balance.Picker
	pool     balance.Pool
	members  []*Session // members[i] is the pool's worker i

	places   []place // by partition
	waiting  []int   // partitions that wait, first come first
	targeted int     // how many of them wait for a certain worker
}

// place is what a partition is to a queue.
type place struct {
	state placeState
	// session is the one that is waited for (nil: any), or whose slot is held for the
	// woken partition.
	session *Session
	round   uint64 // of the detector, when it was woken
}

type placeState uint8

const (
	idle placeState = iota
	waiting
	woken
)

// queueOf finds or makes the pool of a queue. The caller holds mu.
func (d *Dispatcher) queueOf(name string) *queue {
	q := d.queues[name]
	if q == nil {
		q = &queue{name: name}
		q.use(task.DefaultQueue(name).Balance)
		d.queues[name] = q
	}
	return q
}

// use switches to the policy of the settings, and reports whether it did. What
// is in flight stays as it is. Settings that name no policy change nothing.
func (q *queue) use(b task.Balance) bool {
	if q.settings == b {
		return false
	}
	picker, err := balance.New(b, balance.HashID(q.name))
	if err != nil {
		return false
	}
	q.settings, q.picker = b, picker
	return true
}

// place returns the partition's place, which stays valid until the next call.
func (q *queue) place(part int) *place {
	if part >= len(q.places) {
		q.places = append(q.places, make([]place, part+1-len(q.places))...)
	}
	return &q.places[part]
}

// wait puts the partition at the end of those that wait for the member at
// index i, or for any with i = -1. One that waits already keeps its turn.
func (q *queue) wait(part, i int) {
	p := q.place(part)
	var target *Session
	if i >= 0 {
		target = q.members[i]
	}
	if p.state != waiting {
		q.waiting = append(q.waiting, part)
	} else if p.session != nil {
		q.targeted--
	}
	if target != nil {
		q.targeted++
	}
	*p = place{state: waiting, session: target}
}

// forget takes the partition out of those that wait.
func (q *queue) forget(part int) {
	p := q.place(part)
	if p.state != waiting {
		return
	}
	i := slices.Index(q.waiting, part)
	q.waiting = slices.Delete(q.waiting, i, i+1)
	q.leaveQueue(p)
}

// next takes out the first partition that waits for the session or for any.
func (q *queue) next(s *Session) (part int, ok bool) {
	for i, part := range q.waiting {
		p := q.place(part)
		if p.session == nil || p.session == s {
			q.waiting = slices.Delete(q.waiting, i, i+1)
			q.leaveQueue(p)
			return part, true
		}
	}
	return 0, false
}

func (q *queue) leaveQueue(p *place) {
	if p.session != nil {
		q.targeted--
	}
	*p = place{}
}

// hold keeps a slot of the session for the partition.
func (q *queue) hold(part int, s *Session, round uint64) {
	*q.place(part) = place{state: woken, session: s, round: round}
	s.held++
	s.refresh()
}

// unhold gives back the slot that is held for the partition, and returns its
// session, or nil when there is none.
func (q *queue) unhold(part int) *Session {
	p := q.place(part)
	if p.state != woken {
		return nil
	}
	s := p.session
	*p = place{}
	s.held--
	s.refresh()
	return s
}

// forgetAll drops everybody who waits and every slot that is held.
func (q *queue) forgetAll() {
	for part := range q.places {
		q.unhold(part)
		q.places[part] = place{}
	}
	q.waiting, q.targeted = nil, 0
}

// reconsider lets those that wait for a certain worker wait for any, because the
// ranking of workers has changed. It reports whether there were any.
func (q *queue) reconsider() bool {
	if q.targeted == 0 {
		return false
	}
	for _, part := range q.waiting {
		q.place(part).session = nil
	}
	q.targeted = 0
	return true
}

// remove takes the session out of the pool and gives back what it held.
func (q *queue) remove(s *Session) {
	if i := slices.Index(q.members, s); i >= 0 {
		q.members = slices.Delete(q.members, i, i+1)
		q.pool.Remove(i)
	}
	for part := range q.places {
		if p := &q.places[part]; p.state == woken && p.session == s {
			q.unhold(part)
		}
	}
}
