package partition

import "time"

// Bounds of what a lane does ahead of durability.
const (
	maxAhead = 3           // leases whose outcomes are not durable, besides the one that is out
	maxRun   = time.Second // with one worker, before the queue's policy picks anew
)

// settles makes a lane wait until the batch that gathers is durable.
func (c *core) settles(l *lane) {
	l.status = laneSettling
	l.settling++
	c.gathering.lanes = append(c.gathering.lanes, l)
}

// mayGoAhead reports whether a lane may go on though its latest leases are not durable
// yet: with the worker that did all of them, and as if the next tasks had been part
// of the last one. Nobody else may have changed the key's records meanwhile: a
// handler sees nothing that is not durable but what its own worker wrote just
// before. What it does over that follows in the same batch or a later one, so that
// it never becomes durable alone.
func (c *core) mayGoAhead(now time.Time, l *lane) bool {
	since := now.Sub(l.runs)
	return l.last.Session != 0 && l.settling > 0 && l.settling <= maxAhead && since >= 0 && since < maxRun &&
		l.halt == nil && !l.q.own && l.items.len() > 0 && c.led.OnlyBy(l.key, l.run)
}

// goAhead lets a lane that settles take its turn, if it may go ahead.
func (c *core) goAhead(now time.Time, l *lane) {
	if l.status != laneSettling || !c.mayGoAhead(now, l) {
		return
	}
	l.status = laneIdle
	l.freed = now
	c.wake(now, l)
}

// stay leases the lane's next tasks to the worker that had the latest ones. Where
// that has no room now, the lane waits until it is durable what they did.
func (c *core) stay(now time.Time, l *lane) {
	w := l.last
	if !c.env.Stay(w.Session, &l.q.Queue, l.class.place) {
		l.last = WorkerRef{}
		l.status = laneSettling
		return
	}
	l.q.took(now, l.class)
	n := c.nextOf(now, l, &w)
	l.q.use(1, n)
	c.grant(now, l, w, n)
}
