package balance

import (
	"testing"

	"github.com/fenfa/fenfa/internal/task"
)

func TestANewcomerIsDueWithinOneTurn(t *testing.T) {
	turns := turns{now: 1000}
	for _, weight := range []float64{0.1, 1, 10} {
		turns.add(weight)
		if due := turns.due[len(turns.due)-1]; due < 1000 || due > 1000+1/weight {
			t.Errorf("weight %v: due at %v", weight, due)
		}
	}
}

func TestWorkersOfOneWeightBeginAtDifferentPhases(t *testing.T) {
	var turns turns
	seen := map[int]bool{}
	for range 10 {
		turns.add(1)
		seen[int(10*turns.due[len(turns.due)-1])] = true
	}
	if len(seen) < 8 {
		t.Errorf("ten workers share %d tenths of a turn", len(seen))
	}
}

func TestAWorkerThatWasNotPickedForLongHasOneTurnToMakeUp(t *testing.T) {
	f, p := newFleet(1000, equal(2)...), picker(t, task.BalanceLeastInflight)
	f.take(0)
	picks(f, p, 500) // The other one is less loaded.
	f.give(0)
	if got := count(picks(f, p, 20), 2); !closeTo(got, []int{10, 10}, 1) {
		t.Errorf("picks at equal load: %v", got)
	}
}

func TestAFullWorkerLosesOnlyItsOwnTurns(t *testing.T) {
	f, p := newFleet(1, 2, 1, 1), picker(t, task.BalanceWeighted)
	f.workers[0].Free = 0
	for range 200 {
		picks(f, p, 1)
		if late := f.turns.now - f.turns.due[0]; late > 1 {
			t.Fatalf("its turn has been due for %v: each pick has to look for others", late)
		}
	}
}
