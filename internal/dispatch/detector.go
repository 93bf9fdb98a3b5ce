package dispatch

import (
	"time"

	"github.com/fenfa/fenfa/internal/clock"
)

// detector is the timer behind the rounds in which silent workers are found. It
// is under Dispatcher.mu.
type detector struct {
	timer clock.Timer
	due   time.Time     // when the round under way should have begun
	done  chan struct{} // closed when no round runs and none will
}

// arm schedules the next round.
func (t *detector) arm(d *Dispatcher) {
	if t.done == nil {
		t.done = make(chan struct{})
	}
	t.due = d.cfg.Clock.Now().Add(round)
	t.timer = d.cfg.Clock.AfterFunc(round, d.watch)
}

// stop makes the round that is pending or under way the last one.
func (t *detector) stop() <-chan struct{} {
	if t.timer == nil {
		t.done = make(chan struct{})
		close(t.done)
		return t.done
	}
	if t.timer.Stop() {
		close(t.done)
	}
	return t.done
}

// watch is one round: it looks at every session and at every held slot.
func (d *Dispatcher) watch() {
	var calls calls
	d.mu.Lock()
	if !d.closed {
		d.round++
		now := d.cfg.Clock.Now()
		if lag := now.Sub(d.detector.due); lag > maxLag {
			// Heartbeats may have arrived that nobody had the time to read.
			d.cfg.Logger.Warn("detector was late and declares nobody dead", "lag", lag)
		} else {
			d.judge(now.Sub(d.started), &calls)
		}
		d.expireHolds(&calls)
	}
	d.mu.Unlock()
	d.deliver(&calls)

	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		close(d.detector.done)
		return
	}
	d.detector.arm(d)
}

// judge ends the sessions of dead workers, and marks who became suspect or was
// cleared. The caller holds mu.
func (d *Dispatcher) judge(now time.Duration, c *calls) {
	for _, s := range *d.live.Load() {
		silent := now - time.Duration(s.heard.Load())
		suspect := s.lostAt != 0 || silent >= d.cfg.SuspectAfter
		switch {
		case s.lostAt != 0 && now-time.Duration(s.lostAt) >= d.cfg.AwayFor:
			d.end(s, ErrAway, c)
		case silent >= d.cfg.DeadAfter:
			d.end(s, ErrSilent, c)
		case suspect != s.suspect.Load():
			s.suspect.Store(suspect)
			s.refresh()
			d.offer(s, c)
			d.cfg.Logger.Warn("worker suspicion changed", "worker", s.ref.ID, "session", s.ref.Session, "suspect", suspect, "silent", silent)
		}
	}
}

// expireHolds frees slots whose partitions did not come for them: what they had
// to hand out is gone. The caller holds mu.
func (d *Dispatcher) expireHolds(c *calls) {
	for _, q := range d.queues {
		for part := range q.places {
			if p := &q.places[part]; p.state == woken && d.round-p.round >= 2 {
				s := q.unhold(part)
				d.offer(s, c)
			}
		}
	}
}
