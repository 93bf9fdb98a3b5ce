package mysql_test

import (
	"sync/atomic"
	"time"

	"github.com/fenfa/fenfa/internal/clock"
)

// longTimeout is the Config.Timeout of stores that must never give up because the
// machine is slow.
const longTimeout = 10 * time.Minute

// patience is a clock with which a store gives up where a test wants it to, and not
// where the machine is slow: the machine's clock, which once lost leaps ahead at each
// look at it, so that a call with longTimeout is over after a few attempts.
type patience struct {
	clock.System

	lost  atomic.Bool
	ahead atomic.Int64 // how far it has leapt, in nanoseconds
}

// Now implements clock.Clock.
func (p *patience) Now() time.Time {
	if p.lost.Load() {
		p.ahead.Add(int64(longTimeout / 4))
	}
	return p.System.Now().Add(time.Duration(p.ahead.Load()))
}
