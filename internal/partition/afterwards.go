package partition

import (
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/lock"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// afterwards is what may happen only once a batch is durable.
type afterwards struct {
	settles  []settlement
	verdicts []verdictFor
	lanes    []*lane // whose last outcomes are in the batch
	outbox   []*store.Outbox
	answers  []func()
	grants   []lock.Held // whose time begins
}

type settlement struct {
	b         *band
	positions []broker.Position
}

type verdictFor struct {
	session uint64
	verdict task.Verdict
}

func (a *afterwards) settle(b *band, pos broker.Position) {
	for i := range a.settles {
		if a.settles[i].b == b {
			a.settles[i].positions = append(a.settles[i].positions, pos)
			return
		}
	}
	a.settles = append(a.settles, settlement{b: b, positions: []broker.Position{pos}})
}

// committed adds one task's committed outcome, merging neighbours.
func (a *afterwards) committed(session uint64, ref task.LeaseRef, index int) {
	if n := len(a.verdicts); n > 0 {
		last := &a.verdicts[n-1]
		if last.session == session && last.verdict.LeaseRef == ref &&
			last.verdict.Kind == task.VerdictCommitted && last.verdict.First+last.verdict.Count == index {
			last.verdict.Count++
			return
		}
	}
	a.verdicts = append(a.verdicts, verdictFor{session, task.Verdict{
		LeaseRef: ref, Kind: task.VerdictCommitted, First: index, Count: 1,
	}})
}

// release carries out what waited. What that lets wait anew is for the next batch.
func (c *core) release(now time.Time, a afterwards) {
	for i := range a.verdicts {
		c.env.Answer(a.verdicts[i].session, a.verdicts[i].verdict)
	}
	for i := range a.settles {
		c.env.Settle(a.settles[i].b.log, a.settles[i].positions)
	}
	if len(a.outbox) > 0 {
		c.env.Publish(a.outbox)
	}
	for i := range a.grants {
		c.locks.Settled(now, a.grants[i].Name, a.grants[i].Token)
	}
	for _, answer := range a.answers {
		answer()
	}
	for _, l := range a.lanes {
		c.settled(now, l)
	}
}

// settled frees a lane whose outcomes are durable.
func (c *core) settled(now time.Time, l *lane) {
	l.settling--
	if l.status != laneSettling {
		return
	}
	if l.settling > 0 {
		c.goAhead(now, l)
		return
	}
	l.status = laneIdle
	l.freed = now
	if !c.halts(now, l) {
		c.wake(now, l)
	}
}
