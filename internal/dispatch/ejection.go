package dispatch

import "time"

// How long ejections last.
const (
	ejectFor  = 5 * time.Second // the first one; the n-th in a row n times as long
	ejectMost = 5 * time.Minute
	// forgiveIn is how long a worker goes without an ejection until the next one will
	// be one step shorter.
	forgiveIn = 30 * time.Second
)

// ejection is what keeps a worker from the tasks of a queue.
type ejection struct {
	until  time.Duration // since the dispatcher started; 0: it is not ejected
	reason string
	row    int           // ejections in a row
	since  time.Duration // when the last one ended, or was forgiven a step
}

func (m *member) ejected() bool { return m.ejection.until > 0 }

// ejectTime is how long the n-th ejection in a row lasts.
func ejectTime(n int) time.Duration { return min(ejectMost, time.Duration(n)*ejectFor) }

// judgeOutcomes ejects the workers of the queue whose failures stand out, the
// worst first, as long as half of the workers stay. The caller holds mu, and
// rebalances.
func (q *queue) judgeOutcomes(now time.Duration, second uint64) {
	var all tally
	tallies := make([]tally, len(q.members))
	for i, m := range q.members {
		if !m.ejected() {
			tallies[i] = m.outcomes.sum(second)
			all = all.plus(tallies[i])
		}
	}
	for q.spares() {
		worst := -1
		for i, t := range tallies {
			if t.standsOut(all.minus(t)) && (worst < 0 || t.ratio() > tallies[worst].ratio()) {
				worst = i
			}
		}
		if worst < 0 {
			return
		}
		m, t := q.members[worst], tallies[worst]
		m.ejection.row++
		q.eject(m, EjectedForFailures, now+ejectTime(m.ejection.row))
		q.d.cfg.Logger.Warn("worker ejected", "worker", m.session.ref.ID, "queue", q.name, "reason", EjectedForFailures,
			"failed", t.failed, "tasks", t.tasks, "failed_of_others", all.minus(t).ratio(), "for", m.ejection.until-now)
		all, tallies[worst] = all.minus(t), tally{}
	}
}

// spares reports whether one more worker may be ejected.
func (q *queue) spares() bool { return q.ejected+1 <= len(q.members)/2 }

// eject keeps the member from the tasks of its queue. The caller holds mu, has
// looked at the cap, and rebalances.
func (q *queue) eject(m *member, reason string, until time.Duration) {
	m.ejection.until, m.ejection.reason = until, reason
	q.ejected++
	q.d.metrics.ejections.WithLabelValues(reason).Inc()
	for _, s := range m.seats {
		s.pool.changed(s)
	}
}

// restore gives the member tasks of its queue again, slowly at first.
func (q *queue) restore(m *member, now time.Duration) {
	q.d.cfg.Logger.Info("ejected worker is back", "worker", m.session.ref.ID, "queue", q.name, "reason", m.ejection.reason)
	m.ejection.until, m.ejection.since = 0, now
	m.outcomes = window{}
	m.slowUntil = q.d.slowStart(now)
	q.ejected--
	q.d.slow(m, now)
	for _, s := range m.seats {
		s.pool.changed(s)
	}
}

// cap restores workers, those first whose time is over soonest, until no more
// than half of the queue's are ejected.
func (q *queue) cap(now time.Duration) {
	for q.ejected > len(q.members)/2 {
		var next *member
		for _, m := range q.members {
			if m.ejected() && (next == nil || m.ejection.until < next.ejection.until) {
				next = m
			}
		}
		q.restore(next, now)
	}
}

// endEjections restores those whose time is over, and forgives those who did
// well. The caller holds mu, and rebalances.
func (q *queue) endEjections(now time.Duration) {
	for _, m := range q.members {
		e := &m.ejection
		switch {
		case e.until > 0 && now >= e.until:
			q.restore(m, now)
		case e.until == 0 && e.row > 0 && now-e.since >= forgiveIn:
			e.row--
			e.since = now
		}
	}
}
