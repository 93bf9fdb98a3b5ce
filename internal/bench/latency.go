package bench

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// stripes keeps goroutines from waiting for each other while they record.
const stripes = 16

// latencies is a distribution that many goroutines record into.
type latencies struct {
	stripe [stripes]struct {
		sync.Mutex
		histogram *hdrhistogram.Histogram
		_         [32]byte // a cache line for each
	}
}

func newLatencies() *latencies {
	l := &latencies{}
	for i := range l.stripe {
		l.stripe[i].histogram = newHistogram()
	}
	return l
}

// record adds n durations of d; one out of range counts as the nearest in range.
// The hint spreads goroutines over the stripes.
func (l *latencies) record(hint uint64, d time.Duration, n int64) {
	s := &l.stripe[hint%stripes]
	s.Lock()
	defer s.Unlock()
	// It cannot fail: the value is in range.
	_ = s.histogram.RecordValues(min(max(d.Microseconds(), 1), s.histogram.HighestTrackableValue()), n)
}

// all returns everything recorded.
func (l *latencies) all() *hdrhistogram.Histogram {
	all := newHistogram()
	for i := range l.stripe {
		l.stripe[i].Lock()
		all.Merge(l.stripe[i].histogram)
		l.stripe[i].Unlock()
	}
	return all
}

// spread returns the percentiles of everything recorded.
func (l *latencies) spread() Spread { return spreadOf(l.all()) }

func spreadOf(h *hdrhistogram.Histogram) Spread {
	ms := func(p float64) float64 { return float64(h.ValueAtPercentile(p)) / 1000 }
	return Spread{P50: ms(50), P99: ms(99), P999: ms(99.9)}
}

// newHistogram makes a distribution from 1 microsecond to 10 minutes, to 3 digits.
func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, (10 * time.Minute).Microseconds(), 3)
}

// stamp makes a payload that carries the moment of its submit, and a number. The
// rest is text that compresses about as well as real content does.
func stamp(size int, at time.Duration, n uint64) []byte {
	const text = "the quick brown fox jumps over the lazy dog 0123456789 "
	payload := make([]byte, size)
	binary.LittleEndian.PutUint64(payload, uint64(at))
	binary.LittleEndian.PutUint64(payload[8:], n)
	random := n*0x9e3779b97f4a7c15 + 1
	for i := minPayload; i < size; i++ {
		random ^= random << 13
		random ^= random >> 7
		random ^= random << 17
		payload[i] = text[random%uint64(len(text))]
	}
	return payload
}

// stamped returns what stamp put into a payload.
func stamped(payload []byte) (at time.Duration, n uint64) {
	if len(payload) < minPayload {
		return 0, 0
	}
	return time.Duration(binary.LittleEndian.Uint64(payload)), binary.LittleEndian.Uint64(payload[8:])
}
