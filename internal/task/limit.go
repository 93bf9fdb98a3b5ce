package task

import "math"

// NoLimit in a change of settings takes a limit away.
const NoLimit = -1

// Bounds of what a queue's limits may be.
const (
	MaxConcurrency = 1_000_000
	MaxRate        = 1_000_000 // tasks a second
	MinRate        = 1. / 3600 // one an hour
)

// Rate bounds how many tasks start in a second. It is a token bucket: a task that
// starts takes a token, they come back PerSecond times a second, and up to Burst of
// them gather while nothing starts.
type Rate struct {
	PerSecond float64 `json:"per_second"` // 0: no limit
	Burst     int     `json:"burst"`      // 0: what comes back in 100 ms, at least 1
}

// Most is how many tokens gather.
func (r Rate) Most() int {
	if r.Burst > 0 {
		return r.Burst
	}
	return max(1, int(math.Ceil(r.PerSecond/10)))
}

// Limited reports whether the queue has limits that hold over all of its
// partitions.
func (q *Queue) Limited() bool { return q.Concurrency > 0 || q.Rate.PerSecond > 0 }

// validateLimits reports the first limit that is out of range.
func (q *Queue) validateLimits() error {
	for _, c := range []struct {
		field string
		got   int
	}{
		{"concurrency", q.Concurrency},
		{"key_concurrency", q.KeyConcurrency},
		{"rate.burst", q.Rate.Burst},
	} {
		if c.got < 0 || c.got > MaxConcurrency {
			return Errorf(CodeInvalidArgument, "%s is %d: want 1 to %d, or 0 for no limit", c.field, c.got, MaxConcurrency).WithField(c.field)
		}
	}
	if q.KeyConcurrency > 0 && q.Order != OrderNone {
		return Errorf(CodeInvalidArgument, "key_concurrency is %d, and order is key, with which one task of a key runs at a time: it is for queues whose order is none", q.KeyConcurrency).WithField("key_concurrency")
	}
	if r := q.Rate.PerSecond; r != 0 && !(r >= MinRate && r <= MaxRate) {
		return Errorf(CodeInvalidArgument, "rate.per_second is %v: want 1/3600 to %d tasks a second, or 0 for no limit", r, MaxRate).WithField("rate.per_second")
	}
	return nil
}

// mergeLimits takes over the limits of a change that are set.
func (q *Queue) mergeLimits(change *Queue) {
	limit(&q.Concurrency, change.Concurrency)
	limit(&q.KeyConcurrency, change.KeyConcurrency)
	limit(&q.Rate.Burst, change.Rate.Burst)
	limit(&q.Rate.PerSecond, change.Rate.PerSecond)
	if q.Rate.PerSecond == 0 {
		q.Rate.Burst = 0
	}
}

func limit[N int | float64](field *N, change N) {
	if set(field, change); change == NoLimit {
		*field = 0
	}
}
