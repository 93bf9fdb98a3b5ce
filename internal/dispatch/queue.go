package dispatch

import (
	"slices"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// keptPools is how many pools a queue may have without anybody looking for those
// that are not in use before their time.
const keptPools = 64

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
	// tidyAt is how many pools there are when those that are not in use are looked for
	// before another one is made.
	tidyAt int
	lines  int // waiters who stand in line

	// unsettled says that there are waiters in line who may take slots that are free.
	unsettled bool
}

// queueOf finds or makes a queue. The caller holds mu.
func (d *Dispatcher) queueOf(name string) *queue {
	if d.latest != nil && d.latest.name == name {
		return d.latest
	}
	q := d.byName[name]
	if q == nil {
		q = &queue{d: d, name: name, balance: task.DefaultQueue(name).Balance, share: 1, tidyAt: keptPools, index: map[task.Placement]*pool{}}
		d.byName[name] = q
		d.queues = append(d.queues, q)
	}
	d.latest = q
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
		if len(q.pools) >= q.tidyAt {
			q.tidy(1)
			q.tidyAt = max(keptPools, 2*len(q.pools))
		}
		p = newPool(q, place)
		q.index[place] = p
		q.pools = append(q.pools, p)
	}
	q.last = p
	return p
}

// tidy drops the pools in which nobody waits and of which nobody asked for that
// many rounds of the detector.
func (q *queue) tidy(rounds uint64) {
	q.pools = slices.DeleteFunc(q.pools, func(p *pool) bool {
		if !p.sweep(rounds) || q.d.round-p.used < rounds {
			return false
		}
		p.dissolve()
		delete(q.index, p.place)
		if q.last == p {
			q.last = nil
		}
		return true
	})
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
