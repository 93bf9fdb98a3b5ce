package partition

import "testing"

// mutant is a promise that the world around the core breaks on purpose.
type mutant int

const (
	mutantNone          mutant = iota
	mutantForgetsCommit        // the store says that a commit is durable before it is
	mutantLosesSettle          // the broker forgets a settle
	mutantLosesRelease         // the pool forgets that slots were given back
	mutantTwoWorkers           // a lease goes to two workers
	mutantForgetsMarks         // the marks of repeated tasks are not seen
	mutantHalfBatch            // half of a batch is written
)

// TestSimulationSeesMutants makes the world break one promise at a time: some
// seed must notice, or the simulation proves nothing.
func TestSimulationSeesMutants(t *testing.T) {
	for m, name := range map[mutant]string{
		mutantForgetsCommit: "a commit is confirmed before it is durable",
		mutantLosesSettle:   "a settle is lost",
		mutantLosesRelease:  "a release is lost",
		mutantTwoWorkers:    "a lease goes to two workers",
		mutantForgetsMarks:  "marks are not seen",
		mutantHalfBatch:     "half of a batch is written",
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
