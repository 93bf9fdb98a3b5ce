package dispatch

import (
	"fmt"
	"slices"
	"time"
)

// check asserts the invariants of the package, each derived anew from what
// workers and settings say.
func (b *bench) check() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	lines := 0
	held := map[*member]int{}
	for _, q := range b.queues {
		lines += b.checkQueue(q, held)
	}
	if lines != b.lines {
		b.t.Errorf("%d stand in line, counted %d", lines, b.lines)
	}
	live := *b.live.Load()
	if len(live) != len(b.sessions) {
		b.t.Errorf("%d sessions live, %d listed", len(live), len(b.sessions))
	}
	for _, s := range b.sessions {
		b.checkSession(s, held)
	}
}

func (b *bench) checkSession(s *Session, held map[*member]int) {
	b.t.Helper()
	name := fmt.Sprintf("session %d", s.ref.Session)
	inFlight, holds := 0, 0
	for _, m := range s.members {
		if m.inFlight < 0 || m.held != held[m] {
			b.t.Errorf("%s in queue %s: %d in flight, %d held, counted %d", name, m.queue.name, m.inFlight, m.held, held[m])
		}
		inFlight, holds = inFlight+m.inFlight, holds+m.held
		if slices.Contains(m.queue.members, m) != s.serving {
			b.t.Errorf("%s: serving is %v, among the members of %s is not", name, s.serving, m.queue.name)
		}
	}
	sitting := 0
	for _, m := range s.members {
		for i, seat := range m.seats {
			if seat.nth != i || !slices.Contains(m.queue.pools, seat.pool) {
				b.t.Errorf("%s: its %dth seat in queue %s is lost", name, i, m.queue.name)
			}
			if seat.at >= 0 {
				sitting++
				if s.sitting[seat.among] != seat {
					b.t.Errorf("%s: a seat in queue %s is not counted", name, m.queue.name)
				}
			}
		}
	}
	if sitting != len(s.sitting) {
		b.t.Errorf("%s sits in %d pools, counted in %d", name, sitting, len(s.sitting))
	}
	if s.held != holds || s.worker.InFlight != inFlight {
		b.t.Errorf("%s: %d in flight, %d held, of its queues %d and %d", name, s.worker.InFlight, s.held, inFlight, holds)
	}
	if want := !s.ended && !s.draining && !s.isQuiet(); s.serving != want {
		b.t.Errorf("%s: serving is %v, want %v", name, s.serving, want)
	}
	free := 0
	if s.serving && !s.choked && !s.suspect.Load() {
		free = max(0, s.hello.Slots+s.prefetch-inFlight-holds)
	}
	realFree := max(0, min(free, s.hello.Slots-inFlight-holds))
	if s.worker.Free != free || s.worker.Free-s.worker.Ahead != realFree {
		b.t.Errorf("%s: %d free, %d of them ahead; want %d, of which %d are real", name, s.worker.Free, s.worker.Ahead, free, realFree)
	}
}

func (b *bench) checkQueue(q *queue, held map[*member]int) (lines int) {
	b.t.Helper()
	ejected := 0
	for _, m := range q.members {
		if m.ejected() {
			ejected++
		}
	}
	if ejected != q.ejected || ejected > len(q.members)/2 {
		b.t.Errorf("queue %s: %d of %d are ejected, counted %d", q.name, ejected, len(q.members), q.ejected)
	}
	if q.unsettled {
		b.t.Errorf("queue %s was left unsettled", q.name)
	}
	for _, p := range q.pools {
		b.checkPool(p)
		lines += b.checkWaiters(p, held)
	}
	if lines != q.lines {
		b.t.Errorf("queue %s: %d stand in line, counted %d", q.name, lines, q.lines)
	}
	if len(q.pools) != len(q.index) {
		b.t.Errorf("queue %s: %d pools, %d in the index", q.name, len(q.pools), len(q.index))
	}
	return lines
}

// eligible is who may get the pool's tasks, reckoned naively.
func (p *pool) eligible() []*member {
	var all, healthy []*member
	for _, m := range p.queue.members {
		if p.place.Require.Matches(m.session.hello.Labels) {
			all = append(all, m)
			if !m.ejected() {
				healthy = append(healthy, m)
			}
		}
	}
	if len(healthy) == 0 {
		return all
	}
	return healthy
}

func (b *bench) checkPool(p *pool) {
	b.t.Helper()
	var sitting []*member
	for i := range p.tiers {
		t := &p.tiers[i]
		inFlight := 0
		for at, s := range t.seats {
			sitting = append(sitting, s.member)
			inFlight += s.member.session.worker.InFlight
			if s.at != at || s.tier != t || s.pool != p || !slices.Contains(s.member.seats, s) {
				b.t.Errorf("pool %+v: a seat is not where it should be", p.place)
			}
			if preferred := p.place.Prefer.Matches(s.member.session.hello.Labels); preferred != (i == 0) {
				b.t.Errorf("pool %+v: session %d sits in tier %d", p.place, s.member.session.ref.Session, i)
			}
			// Weights rise with every round of the detector.
			least, most := b.weightOf(s.member, b.detector.due-round), b.weightOf(s.member, b.now())
			if got := t.pool.Weight(at); got < least*(1-1e-9) || got > most*(1+1e-9) {
				b.t.Errorf("pool %+v: session %d counts %v, want %v to %v", p.place, s.member.session.ref.Session, got, least, most)
			}
		}
		if t.pool.Len() != len(t.seats) || t.pool.InFlight() != inFlight {
			b.t.Errorf("pool %+v: %d workers with %d in flight, want %d and %d", p.place, t.pool.Len(), t.pool.InFlight(), len(t.seats), inFlight)
		}
	}
	eligible := p.eligible()
	for _, m := range eligible {
		if !slices.Contains(sitting, m) {
			b.t.Errorf("pool %+v of %s: session %d stands aside", p.place, p.queue.name, m.session.ref.Session)
		}
	}
	if len(sitting) != len(eligible) {
		b.t.Errorf("pool %+v of %s: %d sit, %d may", p.place, p.queue.name, len(sitting), len(eligible))
	}
}

// weightOf is what a worker is to count at a time.
func (b *bench) weightOf(m *member, at time.Duration) float64 {
	weight := m.session.hello.Weight
	if r := b.records[m.session.ref.ID]; r != nil && r.weight > 0 {
		weight = r.weight
	}
	if left := max(m.slowUntil, m.session.slowUntil) - at; left > 0 {
		weight *= 1 - 0.9*min(1, left.Seconds()/b.cfg.SlowStart.Seconds())
	}
	return weight
}

func (b *bench) checkWaiters(p *pool, held map[*member]int) (lines int) {
	b.t.Helper()
	for part, w := range p.waiters {
		if w.part != part || w.pool != p {
			b.t.Errorf("pool %+v: waiter of partition %d is not its own", p.place, part)
		}
		switch w.list {
		case &p.line:
			lines++
			b.checkInLine(w)
		case &p.woken:
			held[w.held]++
			if w.held.session.ended {
				b.t.Errorf("a slot of ended session %d is held", w.held.session.ref.Session)
			}
		case nil:
			if w.waits() || w.held != nil {
				b.t.Errorf("pool %+v: partition %d waits, and stands in no line", p.place, part)
			}
		default:
			b.t.Errorf("pool %+v: partition %d stands nowhere", p.place, part)
		}
	}
	if lines != p.line.count {
		b.t.Errorf("pool %+v: %d stand in line, counted %d", p.place, lines, p.line.count)
	}
	return lines
}

// checkInLine asserts that nobody waits for what is free.
func (b *bench) checkInLine(w *waiter) {
	b.t.Helper()
	if w.held != nil || !w.waits() {
		b.t.Errorf("partition %d stands in line and waits for nobody", w.part)
	}
	for i := range w.pool.tiers {
		for _, s := range w.pool.tiers[i].seats {
			if s.member.session.worker.Free > 0 && w.wants(s) {
				b.t.Errorf("queue %s, %+v: partition %d waits while session %d has %d free slots", w.pool.queue.name, w.pool.place, w.part,
					s.member.session.ref.Session, s.member.session.worker.Free)
			}
		}
	}
}
