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
	if n.Progress != nil {
		p := n.Progress.Clip()
		p.At = now
		s := ls.said[index]
		s.progress = &p
		ls.say(index, s)
	}
	if n.Extend > 0 {
		ls.extend(index, now.Add(n.Extend+leaseGrace))
	}
}

// extend moves the deadline of a task, never to an earlier time. That of a task of an
// ordered lease counts from when the outcomes before it have come.
func (ls *lease) extend(index int, until time.Time) {
	if s := ls.said[index]; until.After(s.until) {
		s.until = until
		ls.say(index, s)
	}
	if ls.lane.ordered && index == ls.next && until.After(ls.deadline) {
		ls.deadline = until
	}
}

func (ls *lease) say(index int, s said) {
	if ls.said == nil {
		ls.said = make(map[int]said)
	}
	ls.said[index] = s
}

// deadlineOf is when the attempt at a task is overdue that the worker could begin with.
func (ls *lease) deadlineOf(index int) time.Time {
	if ls.lane.ordered {
		return ls.deadline
	}
	timeout := ls.timeout
	if own := ls.items[index].Timeout; own > 0 {
		timeout = own
	}
	at := ls.since.Add(timeout + leaseGrace + ls.skipped)
	if until := ls.said[index].until; until.After(at) {
		return until
	}
	return at
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
		r.Deadline = ls.deadlineOf(index).Add(-leaseGrace)
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
