package clock

import (
	"sync"
	"sync/atomic"
	"time"
)

// Offset is a clock that runs with another one, ahead of it by as much as it was
// advanced: what waits for a time need not wait in a test. Its methods may be called
// concurrently.
type Offset struct {
	base  Clock
	ahead atomic.Int64 // nanoseconds

	mu     sync.Mutex
	timers map[*offsetTimer]struct{} // that are pending
}

// offsetTimer is a pending AfterFunc of an Offset.
type offsetTimer struct {
	clock *Offset
	due   time.Time
	f     func()
	inner Timer // replaced when the clock is advanced
}

// NewOffset returns a clock that shows the time of base.
func NewOffset(base Clock) *Offset {
	return &Offset{base: base, timers: make(map[*offsetTimer]struct{})}
}

// Now implements Clock.
func (o *Offset) Now() time.Time {
	now, _ := o.NowAhead()
	return now
}

// NowAhead returns the time, and by how much that is ahead of the clock below.
func (o *Offset) NowAhead() (now time.Time, ahead time.Duration) {
	ahead = time.Duration(o.ahead.Load())
	return o.base.Now().Add(ahead), ahead
}

// Advance puts the clock forward; one that is not positive changes nothing. What
// became due runs at once, in goroutines of its own.
func (o *Offset) Advance(d time.Duration) {
	if d <= 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ahead.Add(int64(d))
	now := o.Now()
	for t := range o.timers {
		if t.inner.Stop() {
			t.inner = o.base.AfterFunc(max(t.due.Sub(now), 0), t.fire)
		}
	}
}

// AfterFunc implements Clock.
func (o *Offset) AfterFunc(d time.Duration, f func()) Timer {
	o.mu.Lock()
	defer o.mu.Unlock()
	t := &offsetTimer{clock: o, due: o.Now().Add(d), f: f}
	o.timers[t] = struct{}{}
	t.inner = o.base.AfterFunc(d, t.fire)
	return t
}

// fire runs the function, unless somebody stopped the timer first.
func (t *offsetTimer) fire() {
	if t.Stop() {
		t.f()
	}
}

// Stop implements Timer.
func (t *offsetTimer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	_, pending := t.clock.timers[t]
	delete(t.clock.timers, t)
	t.inner.Stop()
	return pending
}
