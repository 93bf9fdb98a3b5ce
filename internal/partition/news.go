package partition

import (
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// TaskNews takes what a handler says of a task of a lease while it runs. What the
// worker does not have any more changes nothing. It does not wait.
func (e *Engine) TaskNews(w WorkerRef, ref task.LeaseRef, index int, n task.News) {
	if ref.Partition < 0 || ref.Partition >= len(e.owners) || n.Extend < 0 || n.Extend > MaxExtension {
		return
	}
	e.owners[ref.Partition].post(func(c *core, now time.Time) { c.news(now, w, ref, index, n) })
}

// said is what the handler of one task said. It ends with the attempt.
type said struct {
	progress *task.Progress
	until    time.Time // until when it wants to work, with grace; zero: it did not ask
}

// news takes what a handler says.
func (c *core) news(now time.Time, w WorkerRef, ref task.LeaseRef, index int, n task.News) {
	ls := c.leases[ref.Token]
	if ls == nil || ref.Epoch != c.led.Epoch() || ls.worker.Session != w.Session || index < 0 || index >= len(ls.items) || ls.items[index] == nil {
		return
	}
	if ls.said == nil {
		ls.said = make(map[int]said)
	}
	s := ls.said[index]
	if n.Progress != nil {
		p := n.Progress.Clip()
		p.At = now
		s.progress = &p
	}
	if n.Extend > 0 {
		s.until = now.Add(n.Extend + leaseGrace)
		if !ls.lane.ordered || index == ls.next {
			ls.extend(s.until)
		}
	}
	ls.said[index] = s
}

// extend moves the deadline of a lease, never to an earlier time.
func (ls *lease) extend(until time.Time) {
	if until.After(ls.deadline) {
		ls.deadline = until
	}
}

// began is when the worker could begin with a task: when it got the lease, or, where
// there is order, when the outcome before came; zero: others come before it.
func (ls *lease) began(index int) time.Time {
	switch {
	case !ls.lane.ordered:
		return ls.since
	case index == ls.next:
		return ls.heard
	}
	return time.Time{}
}

// running is how far the worker is with a task.
func (ls *lease) running(index int) *Running {
	r := &Running{StartedAt: ls.began(index), Progress: ls.said[index].progress}
	if !r.StartedAt.IsZero() {
		r.Deadline = ls.deadline.Add(-leaseGrace)
	}
	return r
}

// tried is who tried a task, and for how long.
type tried struct {
	WorkerRef
	took time.Duration
}

// tried is the attempt at a task that ends now. It is asked before the lease ends.
func (ls *lease) tried(now time.Time, index int) tried {
	return tried{WorkerRef: ls.worker, took: ls.took(now, index)}
}

// took is how long the attempt at a task took that ends now, in whole microseconds; 0:
// it is not known when it began.
func (ls *lease) took(now time.Time, index int) time.Duration {
	began := ls.began(index)
	if began.IsZero() {
		return 0
	}
	return max(now.Sub(began).Truncate(time.Microsecond), time.Microsecond)
}
