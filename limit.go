package fenfa

import fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"

// NoLimit in a change of a queue's settings takes a limit away, or the time after
// which dead letters go.
const NoLimit = -1

// Rate bounds how many tasks of a queue start in a second, over all of its keys. It
// is a token bucket: a task that is handed out takes a token, PerSecond of them come
// back in a second, and up to Burst gather while nothing starts.
type Rate struct {
	PerSecond float64 // 1/3600 to 1,000,000; NoLimit takes the rate away
	Burst     int     // default: what comes back in 100 ms, at least 1
}

// limitsToWire sets those limits that are given.
func (q Queue) limitsToWire(w *fenfav1.Queue) {
	w.Concurrency, w.KeyConcurrency = limitToWire(q.Concurrency), limitToWire(q.KeyConcurrency)
	if q.Rate != (Rate{}) {
		w.Rate = &fenfav1.Rate{Burst: limitToWire(q.Rate.Burst)}
		switch q.Rate.PerSecond {
		case 0:
		case NoLimit:
			w.Rate.PerSecond = new(0.)
		default:
			w.Rate.PerSecond = new(q.Rate.PerSecond)
		}
	}
}

// limitToWire leaves a limit unset that is not given, and sends 0 for none.
func limitToWire(n int) *uint32 {
	switch n {
	case 0:
		return nil
	case NoLimit:
		n = 0
	}
	return new(clampUint32(n))
}
