package partition

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Buckets of start latencies. An octave, from one power of two to the next, has
// 16 of them, so that the middle of a bucket is at most 1/32 away from all in it.
const (
	latencyUnit    = 6  // bits below the finest bucket: 64 ns
	octaveBits     = 4  // of an octave's buckets
	latencyOctaves = 43 // the last one ends at 2^53 ns, which is 104 days
	latencyBuckets = (latencyOctaves + 1) << octaveBits
)

// latencySpan is how long one generation gathers.
const latencySpan = 10 * time.Second

// startLatency knows how long a queue's tasks waited for their hand-out lately.
// Two generations take turns: what is asked for is the one that gathers and the
// one before, which are the last 10 to 20 s. All partitions of the queue share it,
// without a lock: where a generation begins anew, tasks that are counted at the
// same moment may be lost, which a quantile does not feel.
type startLatency struct {
	generations [2]latencyGeneration
}

type latencyGeneration struct {
	number  atomic.Int64 // of spans since 1970
	buckets [latencyBuckets]atomic.Uint32
}

// add counts one task that was handed out now.
func (s *startLatency) add(now time.Time, took time.Duration) {
	number := spanOf(now)
	g := &s.generations[number&1]
	if old := g.number.Load(); old != number && g.number.CompareAndSwap(old, number) {
		for i := range g.buckets {
			g.buckets[i].Store(0)
		}
	}
	g.buckets[bucketOf(took)].Add(1)
}

// quantiles returns what half of the tasks, and what 99% of them, waited at most,
// within 4% or 32 ns; zeros where nothing was handed out.
func (s *startLatency) quantiles(now time.Time) (p50, p99 time.Duration) {
	var counts [latencyBuckets]uint64
	var total uint64
	number := spanOf(now)
	for i := range s.generations {
		g := &s.generations[i]
		if n := g.number.Load(); n != number && n != number-1 {
			continue
		}
		for j := range g.buckets {
			n := uint64(g.buckets[j].Load())
			counts[j] += n
			total += n
		}
	}
	if total == 0 {
		return 0, 0
	}
	return quantileOf(&counts, total, 50), quantileOf(&counts, total, 99)
}

// quantileOf returns the middle of the bucket that so many percent of all are in
// or below.
func quantileOf(counts *[latencyBuckets]uint64, total, percent uint64) time.Duration {
	rank := (total*percent + 99) / 100
	var below uint64
	for i, n := range counts {
		if below += n; below >= rank {
			return middleOf(i)
		}
	}
	return middleOf(latencyBuckets - 1)
}

func spanOf(now time.Time) int64 { return now.UnixNano() / int64(latencySpan) }

// bucketOf returns the bucket of a latency. The first octave is linear; from then
// on the bits after the highest one say which bucket of its octave it is.
func bucketOf(took time.Duration) int {
	n := uint64(max(took, 0)) >> latencyUnit
	if n < 1<<octaveBits {
		return int(n)
	}
	octave := bits.Len64(n) - octaveBits
	return min(octave<<octaveBits+int(n>>(octave-1))-1<<octaveBits, latencyBuckets-1)
}

// middleOf returns the middle of a bucket.
func middleOf(bucket int) time.Duration {
	octave, i := bucket>>octaveBits, bucket&(1<<octaveBits-1)
	if octave == 0 {
		return time.Duration(2*i+1) << latencyUnit / 2
	}
	low := (1<<octaveBits + i) << (octave - 1)
	width := 1 << (octave - 1)
	return time.Duration(2*low+width) << latencyUnit / 2
}

// startableSince returns from when on nothing but the node and its workers kept a
// task that is being handed out from starting: it was there and due, and its key
// was free. It is not known of a task without order whose worker was lost.
func (it *item) startableSince() (since time.Time, known bool) {
	if !it.lane.ordered && it.deliveries > it.attempts+1 {
		return time.Time{}, false
	}
	since = it.CreatedAt.Time()
	l := it.lane
	if it.from != nil {
		l = it.from // It waited for its key.
	}
	for _, t := range [...]time.Time{it.RunAt, it.notBefore, l.freed} {
		if t.After(since) {
			since = t
		}
	}
	return since, true
}
