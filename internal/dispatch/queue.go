package dispatch

import (
	"slices"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// queue is one queue: who serves it, by which policy, and its pools. All of it
// is under Dispatcher.mu.
type queue struct {
	d       *Dispatcher
	name    string
	balance task.Balance
	share   float64
	members []*member // of the sessions that may get something new
	known   int       // sessions that serve the queue, with those that may not
	ejected int       // of members

	pools []*pool
	index map[task.Placement]*pool
	last  *pool // the one that was used last
	lines int   // waiters who stand in line

	// unsettled says that there are waiters in line who may take slots that are free.
	unsettled bool
}

// queueOf finds or makes a queue. The caller holds mu.
func (d *Dispatcher) queueOf(name string) *queue {
	q := d.byName[name]
	if q == nil {
		q = &queue{d: d, name: name, balance: task.DefaultQueue(name).Balance, share: 1, index: map[task.Placement]*pool{}}
		d.byName[name] = q
		d.queues = append(d.queues, q)
	}
	return q
}

// configure takes over what changed in the settings. What is in flight stays as
// it is. Settings that name no valid policy or share change nothing.
func (q *queue) configure(settings *task.Queue) {
	if settings.Share > 0 {
		q.share = settings.Share
	}
	if q.balance == settings.Balance || settings.Balance.Validate() != nil {
		return
	}
	q.balance = settings.Balance
	for _, p := range q.pools {
		p.use(q.balance)
		p.unsettle()
	}
}

// sticky reports whether keys wait for workers of their own.
func (q *queue) sticky() bool {
	return q.balance.Policy == task.BalanceConsistentHash && q.balance.Overflow == "wait"
}

// poolOf finds or makes the pool of a placement.
func (q *queue) poolOf(place task.Placement) *pool {
	if q.last != nil && q.last.place == place {
		return q.last
	}
	p := q.index[place]
	if p == nil {
		p = newPool(q, place)
		q.index[place] = p
		q.pools = append(q.pools, p)
	}
	q.last = p
	return p
}

// remove takes away a pool that nobody waits in.
func (q *queue) remove(p *pool) {
	for _, s := range p.seats {
		s.member.seats = slices.DeleteFunc(s.member.seats, func(of *seat) bool { return of == s })
	}
	delete(q.index, p.place)
	q.pools = slices.DeleteFunc(q.pools, func(of *pool) bool { return of == p })
	if q.last == p {
		q.last = nil
	}
}

// join lets the member get tasks of its queue. The caller rebalances.
func (q *queue) join(m *member, now time.Duration) {
	if m.ejection.until <= now {
		m.ejection.until = 0
	}
	q.members = append(q.members, m)
	if m.ejected() {
		q.ejected++
	}
	for _, p := range q.pools {
		p.add(m)
	}
}

// leave takes the member out of all pools. The caller rebalances.
func (q *queue) leave(m *member) {
	i := slices.Index(q.members, m)
	q.members = slices.Delete(q.members, i, i+1)
	if m.ejected() {
		q.ejected--
	}
	for _, s := range m.seats {
		s.pool.remove(s)
	}
	m.seats = nil
}
