package limit

import (
	"math"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// bucket holds the tokens of a rate. The zero value has no limit.
type bucket struct {
	bounded bool
	rate    float64 // tokens that come back in a second
	burst   float64 // most that it holds
	tokens  float64
	at      time.Time // when tokens was right
}

// set changes the rate; what was gathered until now stays, up to the burst. A
// bucket that had no limit begins full.
func (b *bucket) set(now time.Time, bounded bool, rate task.Rate) {
	b.fill(now)
	b.burst = float64(rate.Most())
	if !b.bounded {
		b.tokens = b.burst
	}
	b.bounded, b.rate, b.at = bounded, rate.PerSecond, now
	b.tokens = min(b.tokens, b.burst)
}

// fill adds what came back until now. A clock that went back adds nothing.
func (b *bucket) fill(now time.Time) {
	if d := now.Sub(b.at); d > 0 {
		b.tokens = min(b.burst, b.tokens+b.rate*d.Seconds())
	}
	b.at = now
}

// whole is how many tasks may start now, at most the given number.
func (b *bucket) whole(most int) int {
	if !b.bounded || b.tokens >= float64(most) {
		return most
	}
	return int(b.tokens)
}

// take takes tokens that whole has shown.
func (b *bucket) take(n int) {
	if b.bounded {
		b.tokens -= float64(n)
	}
}

// give puts tokens back that were not used.
func (b *bucket) give(n int) { b.tokens = min(b.burst, b.tokens+float64(n)) }

// wait is how long it takes until there is a whole token, at most an hour.
func (b *bucket) wait() time.Duration {
	if !b.bounded || b.tokens >= 1 {
		return 0
	}
	return time.Duration(min(math.Ceil((1-b.tokens)/b.rate*float64(time.Second)), float64(time.Hour)))
}
