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

// System is the machine's clock.
type System struct{}

// Now returns the machine's time, with its monotonic reading.
func (System) Now() time.Time { return time.Now() }

// AfterFunc is time.AfterFunc.
func (System) AfterFunc(d time.Duration, f func()) Timer { return time.AfterFunc(d, f) }
