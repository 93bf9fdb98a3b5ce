package dispatch

import (
	"math"
	"time"
)

const (
	// keepSet is how long what was set of a worker outlives its last session.
	keepSet = time.Hour
	// Breaks are forgiven one by one; one more than tolerated at a time is flapping.
	forgiveBreakIn  = time.Minute
	toleratedBreaks = 2
)

// record is what is known of a worker beyond its session. All of it is under
// Dispatcher.mu.
type record struct {
	weight float64 // set by a person; 0: none
	quiet  bool    // set by a person

	breaks  float64       // unclean ends of its sessions that are not forgiven
	brokeAt time.Duration // when breaks was counted
	seen    time.Duration // when its last session ended
}

// recordOf finds or makes the record of a worker. The caller holds mu.
func (d *Dispatcher) recordOf(id string) *record {
	r := d.records[id]
	if r == nil {
		r = &record{}
		d.records[id] = r
	}
	return r
}

// unforgiven is how many unclean ends still count.
func (r *record) unforgiven(now time.Duration) float64 {
	return max(0, r.breaks-float64(now-r.brokeAt)/float64(forgiveBreakIn))
}

func (r *record) broke(now time.Duration) {
	r.breaks, r.brokeAt = r.unforgiven(now)+1, now
}

// pause is how long the worker waits before it gets tasks, because its sessions
// broke again and again.
func (r *record) pause(now time.Duration) time.Duration {
	return ejectTime(max(0, int(math.Ceil(r.unforgiven(now)))-toleratedBreaks))
}

// forgetRecords drops what says nothing any more, so that records of workers
// that never come back do not pile up. The caller holds mu.
func (d *Dispatcher) forgetRecords(now time.Duration) {
	for id, r := range d.records {
		set := r.weight > 0 || r.quiet
		switch {
		case d.byWorker[id] != nil:
		case set && now-r.seen < keepSet:
		case r.unforgiven(now) > 0:
			r.weight, r.quiet = 0, false
		default:
			delete(d.records, id)
		}
	}
}
