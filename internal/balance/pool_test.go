package balance

import (
	"slices"
	"testing"
	"time"
)

func TestPoolFollowsItsWorkers(t *testing.T) {
	f := newFleet(10, 1, 2, 3)
	f.take(1)
	f.take(1)
	f.take(2)
	f.Remove(1)
	f.Reweigh(0, 5)
	if f.Len() != 2 || f.InFlight() != 1 || f.Weight(0) != 5 || f.Weight(1) != 3 {
		t.Errorf("got %d workers with weights %v, %d in flight", f.Len(), f.weights, f.InFlight())
	}
}

func TestAWorkerThatJoinsBringsWhatItHasInFlight(t *testing.T) {
	f := newFleet(10, 1)
	f.Add(&Worker{InFlight: 4, Free: 6}, 1)
	if f.InFlight() != 4 {
		t.Errorf("got %d in flight", f.InFlight())
	}
}

func TestWhatIsKnownOfAWorkerMovesWithIt(t *testing.T) {
	f := newFleet(10, 1, 1, 1)
	f.Observe(2, time.Second)
	due := f.turns.due[2]
	f.Remove(0)
	if got := f.Latency(1); got != time.Second {
		t.Errorf("latency is %v", got)
	}
	if !slices.Contains(f.turns.due, due) || len(f.turns.due) != 2 {
		t.Errorf("turns are due at %v, want %v among them", f.turns.due, due)
	}
}

func TestAWorkerStandsInSeveralPools(t *testing.T) {
	shared := &Worker{Hash: 1, Free: 2}
	var a, b Pool
	a.Add(shared, 1)
	b.Add(shared, 8)
	if _, ok := (&roundRobin{}).Pick(&a, ""); !ok {
		t.Fatal("no pick")
	}
	shared.InFlight, shared.Free = 2, 0
	a.Adjust(2)
	b.Adjust(2)
	if _, ok := (&roundRobin{}).Pick(&b, ""); ok || b.InFlight() != 2 {
		t.Error("the other pool does not see that the worker is full")
	}
	if a.Weight(0) != 1 || b.Weight(0) != 8 {
		t.Error("weights of pools are mixed up")
	}
}
