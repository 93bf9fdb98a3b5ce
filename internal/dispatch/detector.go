package dispatch

import (
	"slices"
	"time"

	"github.com/fenfa/fenfa/internal/clock"
)

// The detector looks at everything once a round.
const (
	round           = 100 * time.Millisecond
	roundsPerSecond = uint64(time.Second / round)
	// maxLag is how late a round may be without doubt that heartbeats were read in
	// time.
	maxLag = 250 * time.Millisecond
	// unusedRounds is after how many rounds a pool goes that nobody asks of.
	unusedRounds = 10 * roundsPerSecond
)

// detector is the timer behind the rounds in which silent workers are found. It
// is under Dispatcher.mu.
//
// It measures silence in a time of its own, which stands still while the detector
// is late: then the process did not run, and heard nobody. After that nobody is
// judged for a heartbeat interval, so that what waits in the sockets is read.
type detector struct {
	timer clock.Timer
	due   time.Duration // when the round under way should have begun
	grace time.Duration // until then nobody is judged
	done  chan struct{} // closed when no round runs and none will
}

// now is the time since the dispatcher was made.
func (d *Dispatcher) now() time.Duration { return d.cfg.Clock.Now().Sub(d.started) }

// awake is the detector's time.
func (d *Dispatcher) awake() time.Duration { return d.now() - time.Duration(d.asleep.Load()) }

// arm schedules the next round.
func (t *detector) arm(d *Dispatcher) {
	if t.done == nil {
		t.done = make(chan struct{})
	}
	t.due = d.now() + round
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

// watch is one round.
func (d *Dispatcher) watch() {
	var calls calls
	d.mu.Lock()
	if !d.closed {
		d.round++
		d.look(d.now(), &calls)
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

// look looks at every session, every held slot and every queue. The caller holds
// mu.
func (d *Dispatcher) look(now time.Duration, c *calls) {
	if lag := now - d.detector.due; lag > maxLag {
		d.asleep.Add(int64(lag))
		d.detector.grace = now + d.cfg.HeartbeatInterval
		d.metrics.late.Inc()
		d.cfg.Logger.Warn("detector was late and declares nobody dead", "lag", lag)
	}
	for _, s := range slices.Backward(d.sessions) {
		if silent := d.silence(s); now >= d.detector.grace {
			d.judge(s, silent, c)
		}
	}
	d.expireHolds(c)
	d.speedUp(now)
	newSecond := d.round%roundsPerSecond == 0
	for _, q := range d.queues {
		for _, p := range q.pools {
			p.tick(now)
		}
		if q.ejected > 0 || newSecond {
			q.endEjections(now)
		}
		if newSecond && !d.cfg.NoEjection {
			q.judgeOutcomes(now, d.round/roundsPerSecond)
		}
	}
	if newSecond {
		d.tidy()
		d.forgetRecords(now)
	}
	d.rebalance(c)
}

// silence is how long the worker was not heard, in the detector's time. The caller
// holds mu.
func (d *Dispatcher) silence(s *Session) time.Duration {
	now := int64(d.awake())
	if s.hello.Local || s.hello.Pull && s.wanted > 0 { // It is here, or waits for an answer.
		s.heard.Store(now)
		return 0
	}
	heard := s.heard.Load()
	if heard > now && s.heard.CompareAndSwap(heard, now) {
		// It was heard before the detector noticed that it had been asleep.
		return 0
	}
	return time.Duration(max(0, now-heard))
}

// judge ends the session of a dead worker, and marks one who became suspect or
// was cleared. The caller holds mu, and rebalances.
func (d *Dispatcher) judge(s *Session, silent time.Duration, c *calls) {
	suspectAfter, deadAfter := d.cfg.SuspectAfter, d.cfg.DeadAfter
	if s.hello.TTL > 0 {
		suspectAfter, deadAfter = s.hello.TTL, s.hello.TTL
	}
	suspect := s.lostAt != 0 || silent >= suspectAfter
	switch {
	case silent >= deadAfter && s.hello.Pull && s.worker.InFlight == 0:
		d.end(s, ErrLeft, c) // It had nothing to lose.
	case s.lostAt != 0 && d.awake()-s.lostAt >= d.cfg.AwayFor:
		d.end(s, ErrAway, c)
	case silent >= deadAfter:
		d.end(s, ErrSilent, c)
	case suspect != s.suspect.Load():
		s.suspect.Store(suspect)
		s.refresh()
		d.offer(s, c)
		d.cfg.Logger.Warn("worker suspicion changed", "worker", s.ref.ID, "session", s.ref.Session, "suspect", suspect, "silent", silent)
	}
}

// expireHolds frees slots whose partitions did not come for them: what they had
// to hand out is gone. The caller holds mu, and rebalances.
func (d *Dispatcher) expireHolds(c *calls) {
	for _, q := range d.queues {
		for _, p := range q.pools {
			for w := p.woken.first; w != nil; {
				next := w.next
				if d.round-w.round >= 2 {
					d.offer(w.drop(), c)
				}
				w = next
			}
		}
	}
}
