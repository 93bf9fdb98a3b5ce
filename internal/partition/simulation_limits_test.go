package partition

import (
	"slices"
	"time"

	"github.com/fenfa/fenfa/internal/limit"
	"github.com/fenfa/fenfa/internal/task"
)

// simLimiter is the limiter as one owner sees it: two owners of one partition, of
// which the older does not know yet, have permits of their own.
type simLimiter struct {
	*limit.Limiter
	serial int
}

func (l *simLimiter) Take(_ int, queue string, want int, together bool) int {
	return l.Limiter.Take(l.serial, queue, want, together)
}

func (l *simLimiter) More(_ int, queue string, want int, together bool) int {
	return l.Limiter.More(l.serial, queue, want, together)
}

func (l *simLimiter) Give(_ int, queue string, running, tokens int) {
	l.Limiter.Give(l.serial, queue, running, tokens)
}

func (l *simLimiter) Decline(_ int, queue string) { l.Limiter.Decline(l.serial, queue) }

func (l *simLimiter) Count(_ int, queue string, running int) {
	l.Limiter.Count(l.serial, queue, running)
}

// newLimiter returns the limiter of a world, which wakes owners by their numbers.
func (w *world) newLimiter() *limit.Limiter {
	l, err := limit.New(limit.Config{Clock: w, Wake: func(serial int, queue string) {
		if i := slices.IndexFunc(w.owners, func(o *simOwner) bool { return o.serial == serial }); i >= 0 {
			o := w.owners[i]
			o.mail.post(func(c *core, now time.Time) { c.permitted(now, queue) })
		}
	}})
	w.must(err)
	return l
}

// shuffleLimits draws the limits of a queue: many times none.
func (w *world) shuffleLimits(q *task.Queue) {
	q.Concurrency = pick(w, 0, 0, 0, 1, 3)
	if q.KeyConcurrency = 0; q.Order == task.OrderNone {
		q.KeyConcurrency = pick(w, 0, 0, 1, 2)
	}
	q.Rate = pick(w, task.Rate{}, task.Rate{}, task.Rate{}, task.Rate{PerSecond: 50, Burst: 1}, task.Rate{PerSecond: 2000, Burst: 5})
}
