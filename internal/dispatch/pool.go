package dispatch

import (
	"slices"
	"time"

	"github.com/fenfa/fenfa/internal/balance"
	"github.com/fenfa/fenfa/internal/task"
)

// pool is those workers of a queue that may get the tasks of one placement, and
// the partitions that wait for them. All of it is under Dispatcher.mu.
type pool struct {
	queue *queue         // which keeps its name, so that both may be read without mu
	place task.Placement // as this
	tiers []tier         // where the placement prefers workers: those, then the others
	seats []*seat
	aside int  // seats of ejected workers
	spare bool // all are ejected, and serve all the same

	version uint64          // of who is the worker of which key
	waiters map[int]*waiter // by partition
	line    line            // who stands in line
	woken   line            // for whom a slot is held
	used    uint64          // round of the detector at the last Assign
}

// tier is what a picker picks from.
type tier struct {
	pool   balance.Pool
	picker balance.Picker
	seats  []*seat // seats[i] is the pool's worker i
}

func newPool(q *queue, place task.Placement) *pool {
	p := &pool{queue: q, place: place, tiers: make([]tier, 1, 2), waiters: map[int]*waiter{}}
	if place.Prefer != "" {
		p.tiers = p.tiers[:2]
	}
	p.use(q.balance)
	for _, m := range q.members {
		p.add(m)
	}
	return p
}

// use gives the tiers pickers of the policy, which is valid. Weights, latencies
// and what is in flight stay as they are.
func (p *pool) use(b task.Balance) {
	for i := range p.tiers {
		picker, err := balance.New(b, balance.HashID(p.queue.name)+uint64(i))
		if err == nil {
			p.tiers[i].picker = picker
		}
	}
}

// add makes a seat for the worker if it meets what the placement requires.
func (p *pool) add(m *member) {
	labels := m.session.hello.Labels
	if !p.place.Require.Matches(labels) {
		return
	}
	s := &seat{member: m, pool: p, tier: &p.tiers[0], at: -1}
	if !p.place.Prefer.Matches(labels) {
		s.tier = &p.tiers[1]
	}
	p.seats = append(p.seats, s)
	s.nth = len(m.seats)
	m.seats = append(m.seats, s)
	if m.ejected() {
		p.aside++
	}
	p.arrange(s)
}

// remove takes the seat away, but not from its member.
func (p *pool) remove(s *seat) {
	s.stepAside()
	i := slices.Index(p.seats, s)
	p.seats = slices.Delete(p.seats, i, i+1)
	if s.member.ejected() {
		p.aside--
	}
	p.arrange(nil)
}

// changed follows an ejection of the seat's worker, or its end.
func (p *pool) changed(s *seat) {
	if s.member.ejected() {
		p.aside++
	} else {
		p.aside--
	}
	p.arrange(s)
}

// arrange lets the worker sit down or stand aside, and all of them when that no
// longer leaves anybody, or does again.
func (p *pool) arrange(s *seat) {
	if spare := p.aside > 0 && p.aside == len(p.seats); spare != p.spare {
		p.spare = spare
		for _, s := range p.seats {
			s.arrange()
		}
	} else if s != nil {
		s.arrange()
	}
}

// unsettle lets those in line ask anew as soon as anybody has room, because keys
// may have other workers now. Those who are woken notice when they next wait.
func (p *pool) unsettle() {
	p.version++
	for w := p.line.first; w != nil; w = w.next {
		if !w.any && !w.anew {
			p.queue.unsettled = true
		}
		w.renew()
	}
}

// home is the tier whose workers keys wait for.
func (p *pool) home() *tier {
	if len(p.tiers) > 1 && len(p.tiers[0].seats) == 0 {
		return &p.tiers[1]
	}
	return &p.tiers[0]
}

// pick returns the seat of a worker with a free slot. When there is none ok is
// false, and s is the only one that the key waits for, or nil when any will do.
func (p *pool) pick(key string) (s *seat, ok bool) {
	first := &p.tiers[0]
	i, ok := first.picker.Pick(&first.pool, key)
	switch {
	case ok:
		s = first.seats[i]
	case i >= 0:
		return first.seats[i], false
	}
	if len(p.tiers) == 1 || ok && (s.member.session.worker.Free > s.member.session.worker.Ahead || key != "" && p.queue.sticky()) {
		return s, ok
	}
	// A real slot of another worker is better than prefetch of a preferred one.
	second := &p.tiers[1]
	j, found := second.picker.Pick(&second.pool, key)
	switch {
	case !found && j >= 0 && !ok:
		return second.seats[j], false
	case !found:
		return s, ok
	}
	other := second.seats[j]
	if w := &other.member.session.worker; ok && w.Free <= w.Ahead {
		return s, true
	}
	return other, true
}

// firstFor returns the first in line who takes a slot of the one who sits there.
func (p *pool) firstFor(s *seat) *waiter {
	for w := p.line.first; w != nil; w = w.next {
		if w.wants(s) {
			return w
		}
	}
	return nil
}

// dissolve takes all seats away. Nobody waits in the pool.
func (p *pool) dissolve() {
	for _, s := range p.seats {
		s.leaveSession()
		s.leaveMember()
	}
}

// tick tells the pool's tiers how late it is.
func (p *pool) tick(now time.Duration) {
	for i := range p.tiers {
		p.tiers[i].pool.Tick(now)
	}
}
