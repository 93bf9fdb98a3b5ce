package dispatch

import (
	"slices"
	"time"
)

// slowest is the part of its weight that a worker counts at the beginning of a
// slow start.
const slowest = 0.1

// youth is how long after its own start the node takes no worker for a newcomer:
// they all connect then, most of them as warm as before, and keys would move to
// and fro with the order in which they come.
const youth = 3 * time.Second

// weight is what the worker is to count once its slow start is over.
func (s *Session) weight() float64 {
	if s.record != nil && s.record.weight > 0 {
		return s.record.weight
	}
	return s.hello.Weight
}

// ramp is the part of its weight that a worker counts now whose slow start ends
// at until: a tenth at first, then evenly more.
func (d *Dispatcher) ramp(until, now time.Duration) float64 {
	if now >= until {
		return 1
	}
	left := float64(until-now) / float64(d.cfg.SlowStart)
	return 1 - (1-slowest)*min(1, left)
}

// slowStart is when a slow start that begins now ends, or 0 without one.
func (d *Dispatcher) slowStart(now time.Duration) time.Duration {
	if d.cfg.SlowStart <= 0 {
		return 0
	}
	return now + d.cfg.SlowStart
}

// weigh makes the member's weight what it is to be now, and reports whether its
// slow start is over. The caller holds mu, and rebalances.
func (m *member) weigh(now time.Duration) (done bool) {
	until := max(m.slowUntil, m.session.slowUntil)
	weight := m.session.weight() * m.queue.d.ramp(until, now)
	if weight != m.weight {
		m.weight = weight
		for _, s := range m.seats {
			if s.at >= 0 {
				s.tier.pool.Reweigh(s.at, weight)
				if m.queue.sticky() {
					s.pool.unsettle()
				}
			}
		}
	}
	return now >= until
}

// slow has the detector raise the member's weight until its slow start is over.
func (d *Dispatcher) slow(m *member, now time.Duration) {
	if !m.weigh(now) && !slices.Contains(d.starting, m) {
		d.starting = append(d.starting, m)
	}
}

// speedUp raises the weights of those who start slowly. The caller holds mu.
func (d *Dispatcher) speedUp(now time.Duration) {
	d.starting = slices.DeleteFunc(d.starting, func(m *member) bool {
		return m.session.ended || m.weigh(now)
	})
}
