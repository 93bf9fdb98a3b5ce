package access

import (
	"sync"
	"time"
)

// bucket bounds a rate. It keeps the moment until which the rate is used up, which
// is all that there is to know (the generic cell rate algorithm of ITU-T I.371).
type bucket struct {
	each  float64       // nanoseconds that one unit takes
	burst time.Duration // how far ahead the rate may be used up

	mu     sync.Mutex
	usedTo time.Time
}

// newBucket is nil where there is no rate.
func newBucket(rate float64, burst time.Duration) *bucket {
	if rate == 0 {
		return nil
	}
	return &bucket{each: float64(time.Second) / rate, burst: burst}
}

// take takes n units, or returns after how long there may be room for them. What is
// more than a whole burst is let through a bucket that is full, and paid for later.
func (b *bucket) take(now time.Time, n int) time.Duration {
	if b == nil || n == 0 {
		return 0
	}
	cost := min(float64(n)*b.each, float64(1000*time.Hour))
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.usedTo.Before(now) {
		b.usedTo = now
	}
	next := b.usedTo.Add(time.Duration(cost))
	if over := next.Sub(now) - b.burst; over > 0 && b.usedTo.After(now) {
		return min(over, b.usedTo.Sub(now))
	}
	b.usedTo = next
	return 0
}

// giveBack undoes a take.
func (b *bucket) giveBack(n int) {
	if b == nil || n == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.usedTo = b.usedTo.Add(-time.Duration(min(float64(n)*b.each, float64(1000*time.Hour))))
}

// meter holds the limits of one token on one node.
type meter struct {
	limits                 Limits
	requests, tasks, bytes *bucket
}

func newMeter(l Limits) *meter {
	return &meter{limits: l, requests: newBucket(l.Requests, l.Burst), tasks: newBucket(l.Tasks, l.Burst), bytes: newBucket(l.Bytes, l.Burst)}
}
