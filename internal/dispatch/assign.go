package dispatch

import (
	"slices"

	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

var _ partition.Dispatcher = (*Dispatcher)(nil)

// Assign implements partition.Dispatcher. One call takes no more than an even
// share of what is wanted from one worker, so that a big batch without order
// spreads over all of them.
func (d *Dispatcher) Assign(part int, settings *task.Queue, place task.Placement, key string, want int) (w partition.WorkerRef, slots int, ok bool) {
	var calls calls
	d.mu.Lock()
	q := d.queueOf(settings.Name)
	if q.configure(settings); q.unsettled {
		d.offerAll(q, &calls)
	}
	p := q.poolOf(place)
	p.used = d.round
	var who *waiter
	if len(p.waiters) > 0 {
		who = p.waiters[part]
	}
	var held *member
	if who != nil && who.held != nil {
		held = who.unhold()
	}
	s, ok := p.pick(key)
	switch {
	case ok:
		slots = s.room(want)
		s.member.take(slots)
		w = s.member.session.ref
		if key != "" && s.member.session.hello.Pull {
			w.Batch = s.member.session.reserve(part)
		}
	case s != nil:
		w.Session = s.member.session.ref.Session
	}
	if !ok && !d.draining {
		if who == nil {
			who = p.waiterOf(part)
		}
		who.await(s)
	}
	if who != nil {
		d.conclude(who, held, s, ok, &calls)
	}
	if q.unsettled {
		d.offerAll(q, &calls)
	}
	d.mu.Unlock()
	d.deliver(&calls)
	return w, slots, ok
}

// Stay implements partition.Dispatcher.
func (d *Dispatcher) Stay(session uint64, settings *task.Queue, place task.Placement) bool {
	s := d.session(session)
	if s == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	m := s.member(settings.Name)
	if m == nil || s.ended || s.worker.Free == 0 || s.hello.Pull {
		return false // Who answers by calls waits until it is durable.
	}
	for _, seat := range m.seats {
		if seat.pool.place == place && seat.at >= 0 {
			seat.pool.used = d.round
			m.take(1)
			return true
		}
	}
	return false
}

// HasRoom implements partition.Dispatcher.
func (d *Dispatcher) HasRoom(settings *task.Queue, place task.Placement) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	q := d.byName[settings.Name]
	if q == nil {
		return false
	}
	if p := q.index[place]; p != nil {
		return slices.ContainsFunc(p.seats, func(s *seat) bool { return s.at >= 0 && s.member.session.worker.Free > 0 })
	}
	return slices.ContainsFunc(q.members, func(m *member) bool {
		return m.session.worker.Free > 0 && place.Require.Matches(m.session.hello.Labels)
	})
}

// room is how many of the wanted slots the worker gives at once: real ones before
// prefetch.
func (s *seat) room(want int) int {
	if want <= 1 {
		return 1
	}
	w := &s.member.session.worker
	room := w.Free - w.Ahead
	if room <= 0 {
		room = w.Free
	}
	share := (want + len(s.tier.seats) - 1) / len(s.tier.seats)
	return max(1, min(want, share, room))
}

// conclude decides what becomes of a waiter, and of the slot that was held for
// it, after an Assign that found the seat, or in vain. Where keys wait for workers
// of their own, the success of one key says nothing of others that were refused,
// and the slot of one's worker is not another's to give back.
func (d *Dispatcher) conclude(who *waiter, held *member, s *seat, ok bool, c *calls) {
	sticky := who.pool.queue.sticky()
	if sticky && held != nil && who.aimed && (s == nil || s.member != held) && held.session.worker.Free > 0 {
		who.rehold(held)
		return
	}
	switch {
	case ok && !sticky:
		who.forget()
	case who.list != nil: // It keeps its turn.
	case !ok && held == nil:
		who.lineUp()
	default:
		who.proceed()
	}
	if held != nil {
		d.offer(held.session, c)
	}
}

// Release implements partition.Dispatcher.
func (d *Dispatcher) Release(session uint64, queue string, use partition.Use) {
	s := d.session(session)
	if s == nil {
		return
	}
	var calls calls
	d.mu.Lock()
	if m := s.member(queue); m != nil && !s.ended {
		if use.Tasks > 0 {
			m.observe(d.round/roundsPerSecond, use.Tasks, use.Failed, use.Took)
		}
		m.give(use.Slots)
		d.offer(s, &calls)
	}
	d.mu.Unlock()
	d.deliver(&calls)
}

// Send implements partition.Dispatcher.
func (d *Dispatcher) Send(session uint64, lease *task.Lease) {
	s := d.session(session)
	if s == nil {
		return
	}
	s.fulfil(lease)
	if s.out.addLease(lease) {
		d.choke(s)
	}
}

// Answer implements partition.Dispatcher.
func (d *Dispatcher) Answer(session uint64, v task.Verdict) {
	if s := d.session(session); s != nil && s.out.addVerdict(v) {
		d.choke(s)
	}
}

// Cancel implements partition.Dispatcher.
func (d *Dispatcher) Cancel(session uint64, ref task.LeaseRef, index int) {
	if s := d.session(session); s != nil {
		s.out.addCancel(Cancel{ref, index})
	}
}

// choke gives the worker nothing new until its buffer was taken.
func (d *Dispatcher) choke(s *Session) {
	d.mu.Lock()
	s.choked = s.out.full()
	s.refresh()
	d.mu.Unlock()
}
