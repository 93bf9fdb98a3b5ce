package partition

import (
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/clock"
)

// handClock is a clock that a test moves; its timers fire when the test says so.
type handClock struct {
	now    time.Time
	timers []*handTimer
}

type handTimer struct {
	after   time.Duration
	f       func()
	stopped bool
}

func (c *handClock) Now() time.Time { return c.now }

func (c *handClock) AfterFunc(d time.Duration, f func()) clock.Timer {
	t := &handTimer{after: d, f: f}
	c.timers = append(c.timers, t)
	return t
}

func (t *handTimer) Stop() bool {
	was := !t.stopped
	t.stopped = true
	return was
}

func TestATimerThatFiredTooEarlyIsArmedAgain(t *testing.T) {
	r := newRig(t, nil).begin()
	clk := &handClock{now: r.now}
	own := (&owner{e: &Engine{cfg: Config{Clock: clk}}}).newOwnership()
	own.core = r.c
	r.deliver(later("1", r, 10*time.Second))
	r.commit()
	own.arm(clk.now)
	own.arm(clk.now)
	if len(clk.timers) != 1 || clk.timers[0].after != 10*time.Second {
		t.Fatalf("%d timers", len(clk.timers))
	}
	clk.now = clk.now.Add(-time.Hour) // the wall clock went back
	clk.timers[0].f()
	<-own.mail.wake
	for _, ev := range own.mail.take(nil) {
		ev(own.core, clk.now)
	}
	own.arm(clk.now)
	if len(clk.timers) != 2 || clk.timers[1].after != longestNap {
		t.Fatalf("%d timers: the task is never looked at again", len(clk.timers))
	}
}
