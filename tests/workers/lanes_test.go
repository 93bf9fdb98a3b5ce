package workers

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/fenfa/fenfa/internal/history"
)

// surelyHeld is how long a worker that falls silent keeps its leases in any case:
// half of the 3 s after which it counts as dead, because its last sign of life
// was some time ago, more so on a machine that has too much to do.
const surelyHeld = 1500 * time.Millisecond

// outage is something that the test did to the worker of a process.
type outage struct {
	worker   string
	from, to time.Time // the process stood still; zero to: it was killed
}

// lane is what runs one after another.
type lane struct{ queue, key string }

// judgeLanes checks all runs of handlers, whether they took effect or not: a run
// begins only when the one before it in its key no longer has the key.
func (e *evidence) judgeLanes(may allowed) []string {
	lanes := map[lane][]*history.Delivery{}
	for i := range e.runs {
		run := &e.runs[i]
		if !slices.Contains(e.unordered, run.Queue) {
			at := lane{run.Queue, run.Key}
			lanes[at] = append(lanes[at], run)
		}
	}
	var findings []string
	for at, runs := range lanes {
		slices.SortStableFunc(runs, func(a, b *history.Delivery) int { return cmp.Compare(a.Start, b.Start) })
		holder, until := runs[0], e.heldUntil(runs[0], may)
		for _, run := range runs[1:] {
			if run.Start < until {
				findings = append(findings, fmt.Sprintf("at once: key %s of queue %s: delivery %d of %s began at %s %v after delivery %d of %s did at %s, which still had the key",
					at.key, at.queue, run.Delivery, run.Task, run.Worker, time.Duration(run.Start-holder.Start), holder.Delivery, holder.Task, holder.Worker))
			}
			if held := e.heldUntil(run, may); held > until {
				holder, until = run, held
			}
		}
	}
	slices.Sort(findings)
	return findings
}

// heldUntil is the moment before which no other run may have the key: the end of
// the run, or of its process. What it does after its lease was lost, in a process
// that stood still for longer than a worker may be silent, or past the timeout
// of its attempt, it does beside others.
func (e *evidence) heldUntil(run *history.Delivery, may allowed) int64 {
	until := run.End
	if until == 0 {
		until = math.MaxInt64
	}
	for _, o := range e.outages {
		from := o.from.UnixNano()
		if o.worker != run.Worker || run.Start > from || from > until {
			continue
		}
		switch {
		case o.to.IsZero():
			until = from
		case o.to.Sub(o.from) > surelyHeld:
			until = min(until, from+int64(surelyHeld))
		}
	}
	if may.timeout > 0 {
		// It is counted from the moment when the lease was given.
		until = min(until, run.Start+int64(may.timeout/2))
	}
	return until
}
