package limit

import (
	"slices"
	"time"

	"github.com/fenfa/fenfa/internal/clock"
)

// handClock is a clock that a test moves.
type handClock struct {
	now    time.Time
	timers []*handTimer
}

type handTimer struct {
	at time.Time
	f  func()
	c  *handClock
}

func newClock() *handClock { return &handClock{now: time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)} }

func (c *handClock) Now() time.Time { return c.now }

func (c *handClock) AfterFunc(d time.Duration, f func()) clock.Timer {
	t := &handTimer{c.now.Add(d), f, c}
	c.timers = append(c.timers, t)
	return t
}

func (t *handTimer) Stop() bool {
	n := len(t.c.timers)
	t.c.timers = slices.DeleteFunc(t.c.timers, func(other *handTimer) bool { return other == t })
	return len(t.c.timers) < n
}

// pass lets time pass, with all timers on the way.
func (c *handClock) pass(d time.Duration) {
	end := c.now.Add(d)
	for {
		var next *handTimer
		for _, t := range c.timers {
			if !t.at.After(end) && (next == nil || t.at.Before(next.at)) {
				next = t
			}
		}
		if next == nil {
			break
		}
		next.Stop()
		if next.at.After(c.now) {
			c.now = next.at
		}
		next.f()
	}
	c.now = end
}
