package balance

import (
	"slices"
	"testing"

	"github.com/fenfa/fenfa/internal/task"
)

func TestRoundRobinTakesTurnsAndPassesOverTheFull(t *testing.T) {
	f, p := newFleet(10, equal(4)...), picker(t, task.BalanceRoundRobin)
	f.workers[2].Free = 0
	if got, want := picks(f, p, 6), []int{0, 1, 3, 0, 1, 3}; !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func TestRoundRobinIgnoresWeights(t *testing.T) {
	f, p := newFleet(10, 1, 100, 3), picker(t, task.BalanceRoundRobin)
	if got, want := picks(f, p, 6), []int{0, 1, 2, 0, 1, 2}; !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func TestRoundRobinTakesTurnsInPrefetchToo(t *testing.T) {
	f, p := newFleet(10, equal(3)...), picker(t, task.BalanceRoundRobin)
	for _, w := range f.workers {
		w.Ahead = w.Free
	}
	if got, want := picks(f, p, 6), []int{0, 1, 2, 0, 1, 2}; !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func TestRoundRobinGoesOnWhenWorkersLeave(t *testing.T) {
	f, p := newFleet(10, equal(4)...), picker(t, task.BalanceRoundRobin)
	picks(f, p, 4)
	f.Remove(3)
	f.Remove(2)
	if i, ok := p.Pick(&f.Pool, ""); !ok || i != 0 {
		t.Fatalf("got %d, %v", i, ok)
	}
}

// picks are n picks whose slots come back at once.
func picks(f *fleet, p Picker, n int) []int {
	var got []int
	for range n {
		i, _ := p.Pick(&f.Pool, "")
		got = append(got, i)
	}
	return got
}
