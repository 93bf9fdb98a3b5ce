package balance

import (
	"math"
	"testing"

	"github.com/fenfa/fenfa/internal/task"
)

// deviates reports whether a count is more than five standard deviations from
// what is expected, which chance alone does once in a million.
func deviates(got int, picks, share float64) bool {
	return math.Abs(float64(got)-picks*share) > 5*math.Sqrt(picks*share*(1-share))
}

func TestRandomSharesFollowTheWeights(t *testing.T) {
	for _, n := range sizes {
		f, p := newFleet(1, mixed(n)...), picker(t, task.BalanceRandom)
		const number = 200_000
		squares := 0.0
		for i, got := range count(picks(f, p, number), n) {
			share := f.weights[i] / f.total()
			if deviates(got, number, share) {
				t.Errorf("%d workers: worker %d has %d of %d picks, want about %.0f", n, i, got, number, number*share)
			}
			squares += math.Pow(float64(got)-number*share, 2) / (number * share)
		}
		// The sum is chi-square distributed with n-1 degrees of freedom.
		if freedom := float64(n - 1); math.Abs(squares-freedom) > 5*math.Sqrt(2*freedom) {
			t.Errorf("%d workers: chi-square is %.1f, want about %.0f", n, squares, freedom)
		}
	}
}

func TestRandomSharesHoldAmongThoseThatAreNotFull(t *testing.T) {
	for _, ahead := range []bool{false, true} {
		f, p := newFleet(1, mixed(100)...), picker(t, task.BalanceRandom)
		sum := 0.0
		for i, w := range f.workers {
			switch {
			case i < 95:
				w.Free = 0
			case ahead:
				w.Ahead = w.Free
			}
			if i >= 95 {
				sum += f.weights[i]
			}
		}
		const number = 20_000
		for i, got := range count(picks(f, p, number), 100) {
			share := 0.0
			if i >= 95 {
				share = f.weights[i] / sum
			}
			if deviates(got, number, share) {
				t.Errorf("prefetch %v: worker %d has %d of %d picks, want about %.0f", ahead, i, got, number, number*share)
			}
		}
	}
}

func TestRandomFollowsANewWeight(t *testing.T) {
	f, p := newFleet(1, equal(4)...), picker(t, task.BalanceRandom)
	picks(f, p, 10)
	f.Reweigh(1, 7)
	f.Remove(0)
	const number = 50_000
	for i, got := range count(picks(f, p, number), 3) {
		if share := f.weights[i] / 9; deviates(got, number, share) {
			t.Errorf("worker %d of weight %v has %d picks", i, f.weights[i], got)
		}
	}
}

func TestColumnsHoldEveryWeightExactly(t *testing.T) {
	for name, weights := range map[string][]float64{
		"one": {3}, "equal": equal(7), "mixed": mixed(1000), "extreme": {1e-6, 1e6, 1, 1e-6, 1e3},
	} {
		var d draws
		d.build(weights)
		n, sum := float64(len(weights)), 0.0
		got := make([]float64, len(weights))
		for i, c := range d.columns {
			sum += weights[i]
			got[i] += min(1, c.own)
			got[c.other] += max(0, 1-c.own)
		}
		for i, w := range weights {
			if want := w * n / sum; math.Abs(got[i]-want) > 1e-9 {
				t.Errorf("%s: worker %d has %v columns, want %v", name, i, got[i], want)
			}
		}
	}
}
