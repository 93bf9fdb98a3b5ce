package server

import (
	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/task"
)

// limitsFromWire reads the limits of a change of settings: what is unset stays as
// it is, and 0 takes a limit away.
func limitsFromWire(w *fenfav1.Queue, q *task.Queue) {
	q.Concurrency = limitFromWire(w.Concurrency, task.NoLimit)
	q.KeyConcurrency = limitFromWire(w.KeyConcurrency, task.NoLimit)
	if r := w.GetRate(); r != nil {
		q.Rate = task.Rate{PerSecond: limitFromWire(r.PerSecond, float64(task.NoLimit)), Burst: limitFromWire(r.Burst, task.NoLimit)}
	}
}

// limitFromWire returns 0 for a limit that is not given, and none for one that is 0.
func limitFromWire[Wire uint32 | float64, N int | float64](limit *Wire, none N) N {
	switch {
	case limit == nil:
		return 0
	case *limit == 0:
		return none
	}
	return N(*limit)
}

func limitsToWire(q *task.Queue, w *fenfav1.Queue) {
	w.Concurrency, w.KeyConcurrency = new(uint32(q.Concurrency)), new(uint32(q.KeyConcurrency))
	w.Rate = &fenfav1.Rate{PerSecond: new(q.Rate.PerSecond), Burst: new(uint32(q.Rate.Burst))}
}
