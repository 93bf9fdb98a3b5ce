// Package clock is the seam between logic that depends on time and the machine's
// clock.
package clock

import "time"

// Clock tells the time and wakes its caller later.
type Clock interface {
	Now() time.Time
	// AfterFunc runs f in its own goroutine after d, unless stopped before.
	AfterFunc(d time.Duration, f func()) Timer
}

// Timer is a pending AfterFunc.
type Timer interface {
	// Stop reports whether it kept f from running.
	Stop() bool
}

// Jumper is a clock that somebody puts forward. Who counts how long something goes on
// may leave out what was passed over.
type Jumper interface {
	Clock
	// NowAhead returns the time, and how much was passed over in all until then.
	NowAhead() (now time.Time, ahead time.Duration)
}

// System is the machine's clock.
type System struct{}

// Now returns the machine's time, with its monotonic reading.
func (System) Now() time.Time { return time.Now() }

// AfterFunc is time.AfterFunc.
func (System) AfterFunc(d time.Duration, f func()) Timer { return time.AfterFunc(d, f) }
