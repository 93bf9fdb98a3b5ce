package partition

import (
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// mutant is a promise that the world around the core breaks on purpose.
type mutant int

const (
	mutantNone             mutant = iota
	mutantForgetsCommit           // the store says that a commit is durable before it is
	mutantLosesSettle             // the broker forgets a settle
	mutantLosesRelease            // the pool forgets that slots were given back
	mutantTwoWorkers              // a lease goes to two workers
	mutantForgetsMarks            // the marks of repeated tasks are not seen
	mutantHalfBatch               // half of a batch is written
	mutantIgnoresPlacement        // the pool picks any worker
	mutantMixesClasses            // tasks of a lease ask for different workers
	mutantForgetsToWake           // the pool forgets who waits for room
	mutantCountsReturns           // a task that was given back has failed
	mutantSetsNothingAside        // what no worker takes stays in the window
	mutantForgetsExpiries         // tasks expire only when they would be handed out
	mutantIgnoresPauses           // owners do not hear of pauses
)

// countReturns makes failed attempts of tasks that were given back.
func (w *world) countReturns(c *core, ref task.LeaseRef, first int, outs []task.Outcome) {
	lease := w.model.sends[ref]
	for i := range outs {
		if lease != nil && outs[i].Kind == task.OutcomeReturned && first >= 0 && first+i < len(lease.Tasks) {
			if it := c.tasks[lease.Tasks[first+i].ID]; it != nil {
				it.attempts++
			}
		}
	}
}

// forgetSince makes classes look as if they had just been served.
func forgetSince(c *core, now time.Time) {
	for _, q := range c.order {
		for _, cl := range q.classes {
			cl.since = now
		}
	}
}

// TestSimulationSeesMutants makes the world break one promise at a time: some
// seed must notice, or the simulation proves nothing.
func TestSimulationSeesMutants(t *testing.T) {
	for m, name := range map[mutant]string{
		mutantForgetsCommit:    "a commit is confirmed before it is durable",
		mutantLosesSettle:      "a settle is lost",
		mutantLosesRelease:     "a release is lost",
		mutantTwoWorkers:       "a lease goes to two workers",
		mutantForgetsMarks:     "marks are not seen",
		mutantHalfBatch:        "half of a batch is written",
		mutantIgnoresPlacement: "the labels of workers are ignored",
		mutantMixesClasses:     "a lease mixes classes",
		mutantForgetsToWake:    "a class is not woken",
		mutantCountsReturns:    "a return counts as an attempt",
		mutantSetsNothingAside: "nothing is set aside",
		mutantForgetsExpiries:  "nothing expires while it waits",
		mutantIgnoresPauses:    "pauses are ignored",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(200) {
				p := planOf(5000 + seed)
				p.mutant = m
				if _, err := simulate(p); err != nil {
					t.Logf("seed %d: %.200s", p.seed, err)
					return
				}
			}
			t.Error("no seed noticed")
		})
	}
}
