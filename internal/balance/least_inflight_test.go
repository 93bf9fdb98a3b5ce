package balance

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/fenfa/fenfa/internal/task"
)

func TestLeastInflightIsExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	weights := []float64{1, 3, 0.25, 7, 1, 2}
	f, p := newFleet(50, weights...), picker(t, task.BalanceLeastInflight)
	for range 20_000 {
		if i := rng.IntN(f.Len()); rng.IntN(2) == 0 && f.workers[i].InFlight > 0 {
			f.give(i)
			continue
		}
		i, ok := p.Pick(&f.Pool, "")
		if !ok {
			continue
		}
		for j, w := range f.workers {
			if w.Free > 0 && f.after(j) < f.after(i) {
				t.Fatalf("picked %d with %+v while %d has %+v", i, *f.workers[i], j, *w)
			}
		}
		f.take(i)
	}
}

func TestLeastInflightBreaksTiesInTurns(t *testing.T) {
	f, p := newFleet(10, equal(5)...), picker(t, task.BalanceLeastInflight)
	counts := make([]int, 5)
	for range 1000 {
		// The slot comes back at once, so every pick is a tie of all.
		i, _ := p.Pick(&f.Pool, "")
		counts[i]++
	}
	for i, n := range counts {
		if n != 200 {
			t.Errorf("worker %d was picked %d times of 1000, want 200", i, n)
		}
	}
}

func TestLeastInflightSharesByWeight(t *testing.T) {
	for _, n := range []int{3, 10, 100, 1000} {
		weights := make([]float64, n)
		sum := 0.0
		for i := range weights {
			weights[i] = float64(1 + i%4)
			sum += weights[i]
		}
		f, p := newFleet(1_000_000, weights...), picker(t, task.BalanceLeastInflight)
		const picks = 10_000
		for range picks {
			i, _ := p.Pick(&f.Pool, "")
			f.take(i)
		}
		for i, w := range f.workers {
			want := picks * weights[i] / sum
			if math.Abs(float64(w.InFlight)-want) > max(1, 0.01*want) {
				t.Errorf("%d workers: worker %d of weight %v has %d, want %.1f", n, i, weights[i], w.InFlight, want)
			}
		}
	}
}
