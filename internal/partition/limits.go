package partition

import (
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// limiter is what a core asks before it starts tasks of a queue that has limits over
// all partitions of the node. No method blocks.
type limiter interface {
	// Take asks for permits to start up to want tasks. With 0 the partition waits: the
	// event permitted follows. together: they run one after another, as one.
	Take(part int, queue string, want int, together bool) int
	// More asks for permits beside one that was taken just now. It makes nobody wait.
	More(part int, queue string, want int, together bool) int
	// Give gives permits back: running of the tasks have ended, or did not start, and
	// that many tokens were not used.
	Give(part int, queue string, running, tokens int)
	// Decline gives the permit back that is held for the partition.
	Decline(part int, queue string)
	// Count says how many tasks of the queue the partition has running.
	Count(part int, queue string, running int)
}

// gate is what tasks pass on their way to workers.
type gate interface {
	Dispatcher
	limiter
}

// permits are what a queue may start right now.
type permits struct {
	running int
	tokens  int
}

// limit takes over whether the queue has limits.
func (c *core) limit(q *queue, settings *task.Queue) {
	limited := settings.Limited()
	if limited && !q.limited {
		c.env.Count(c.cfg.Part, q.Name, c.runningOf(q))
	}
	q.limited, q.throttled = limited, false
}

// runningOf counts what the queue has running, as limits count: a lease of one key
// is one.
func (c *core) runningOf(q *queue) (n int) {
	for _, ls := range c.leases {
		switch {
		case ls.lane.q != q:
		case ls.lane.ordered:
			n++
		default:
			n += ls.open
		}
	}
	return n
}

// permit takes a permit to start one task. Without one, the queue is not served
// until permitted.
func (c *core) permit(q *queue) bool {
	if c.env.Take(c.cfg.Part, q.Name, 1, false) == 0 {
		q.throttled = true
		return false
	}
	q.permits = permits{1, 1}
	return true
}

// permitMore raises the permits for one task to those for up to want, as far as
// there are such, and returns how many tasks may start.
func (c *core) permitMore(q *queue, want int, together bool) int {
	more := 0
	if want > 1 {
		more = c.env.More(c.cfg.Part, q.Name, want-1, together)
	}
	q.permits.tokens += more
	if !together {
		q.permits.running += more
	}
	return q.permits.tokens
}

// permitted says that a permit is held for the partition.
func (c *core) permitted(_ time.Time, name string) {
	q := c.queues[name]
	if q != nil {
		q.throttled = false
	}
	if q == nil || c.draining || q.Paused || !q.waiting() {
		c.env.Decline(c.cfg.Part, name)
	}
}

// use takes from the permits what a lease needs.
func (q *queue) use(running, tokens int) {
	if q.limited {
		q.permits = permits{q.permits.running - running, q.permits.tokens - tokens}
	}
}

// useNot gives permits back that no lease used.
func (c *core) useNot(q *queue) {
	if q.permits != (permits{}) {
		c.env.Give(c.cfg.Part, q.Name, q.permits.running, q.permits.tokens)
		q.permits = permits{}
	}
}

// refund gives the tokens of tasks back that were handed out and not begun.
func (c *core) refund(q *queue, tasks int) {
	if q.limited && tasks > 0 {
		c.env.Give(c.cfg.Part, q.Name, 0, tasks)
	}
}
