package balance

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/fenfa/fenfa/internal/task"
)

// count is how often each worker is among the picks.
func count(picks []int, workers int) []int {
	counts := make([]int, workers)
	for _, i := range picks {
		counts[i]++
	}
	return counts
}

func TestWeightedSharesAreExactWithinOnePercent(t *testing.T) {
	for _, n := range sizes {
		for name, weights := range map[string][]float64{
			"equal": equal(n), "mixed": mixed(n), "one heavy": append(equal(n-1), float64(n)),
		} {
			f, p := newFleet(1, weights...), picker(t, task.BalanceWeighted)
			const number = 10_000
			for i, got := range count(picks(f, p, number), n) {
				want := number * weights[i] / f.total()
				// A share that is not a whole number is rounded up or down.
				if math.Abs(float64(got)-want) > max(1, 0.01*want) {
					t.Errorf("%s, %d workers: worker %d of weight %v has %d turns, want %.1f", name, n, i, weights[i], got, want)
				}
			}
		}
	}
}

func TestWeightedTurnsAreSpreadEvenly(t *testing.T) {
	f, p := newFleet(1, 5, 1, 1), picker(t, task.BalanceWeighted)
	run, longest := 0, 0
	for _, i := range picks(f, p, 700) {
		if i != 0 {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	// In blocks it would be 5 in a row, or 10 at the seams.
	if longest > 4 {
		t.Errorf("worker 0 had %d turns in a row", longest)
	}
}

func TestWeightedTurnsOfALightWorkerAreNeverFarApart(t *testing.T) {
	for _, n := range sizes {
		f, p := newFleet(1, mixed(n)...), picker(t, task.BalanceWeighted)
		last := make([]int, n)
		for k, i := range picks(f, p, 40*n) {
			ideal := f.total() / f.weights[i]
			if gap := float64(k - last[i]); last[i] > 0 && (gap > 1.5*ideal+2 || gap < ideal/1.5-2) {
				t.Fatalf("%d workers: worker %d waited %v turns, ideal is %.1f", n, i, gap, ideal)
			}
			last[i] = k
		}
	}
}

// TestWeightedAgreesWithAScan compares the tournament with a plain search for who
// is due first.
func TestWeightedAgreesWithAScan(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		f, p := newFleet(2, mixed(1+int(seed)*3)...), picker(t, task.BalanceWeighted)
		f.prefetch = 1
		for range 2000 {
			if f.Len() == 0 || rng.IntN(2) == 0 {
				disturb(f, rng, 0)
				continue
			}
			want := dueFirst(&f.Pool)
			i, _ := p.Pick(&f.Pool, "")
			if i != want {
				t.Fatalf("seed %d: picked %d, want %d of %v", seed, i, want, f.turns.due)
			}
			if i >= 0 {
				f.take(i)
			}
		}
	}
}

func TestWeightedSharesHoldAmongThoseThatAreNotFull(t *testing.T) {
	f, p := newFleet(1, 4, 2, 1, 1), picker(t, task.BalanceWeighted)
	f.workers[0].Free = 0
	got := count(picks(f, p, 4000), 4)
	if want := []int{0, 2000, 1000, 1000}; !closeTo(got, want, 2) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestWeightedTurnsThatWereLostAreNotMadeUp(t *testing.T) {
	f, p := newFleet(1, equal(4)...), picker(t, task.BalanceWeighted)
	f.workers[0].Free = 0
	picks(f, p, 3000)
	f.refresh(0)
	if got := count(picks(f, p, 40), 4); !closeTo(got, []int{10, 10, 10, 10}, 1) {
		t.Errorf("after a long time without a slot, turns are %v", got)
	}
}

func TestANewcomerHasNoTurnsToMakeUp(t *testing.T) {
	for _, weight := range []float64{0.1, 1, 10} {
		f, p := newFleet(1, equal(3)...), picker(t, task.BalanceWeighted)
		picks(f, p, 3000)
		f.join(weight)
		number := int(100 * f.total())
		got := count(picks(f, p, number), 4)
		if math.Abs(float64(got[3])-100*weight) > 1 {
			t.Errorf("a newcomer of weight %v has %d turns of %d", weight, got[3], number)
		}
	}
}

func TestANewWeightCountsAtOnce(t *testing.T) {
	f, p := newFleet(1, 0.001, 1, 1), picker(t, task.BalanceWeighted)
	picks(f, p, 500)
	f.Reweigh(0, 2)
	if got := count(picks(f, p, 400), 3); !closeTo(got, []int{200, 100, 100}, 1) {
		t.Errorf("raised: turns are %v", got)
	}
	f.Reweigh(0, 0.5)
	if got := count(picks(f, p, 500), 3); !closeTo(got, []int{100, 200, 200}, 1) {
		t.Errorf("lowered: turns are %v", got)
	}
}

func TestTurnsStayExactForeverAndAtExtremeWeights(t *testing.T) {
	for _, scale := range []float64{1e-6, 1, 1e6} {
		f, p := newFleet(1, scale, 3*scale), picker(t, task.BalanceWeighted)
		f.turns.now = horizon - 1
		for i := range f.turns.due {
			f.turns.due[i] += f.turns.now
		}
		got := count(picks(f, p, 40_000), 2)
		if !closeTo(got, []int{10_000, 30_000}, 2) {
			t.Errorf("weights times %v: turns are %v", scale, got)
		}
		if f.turns.now > horizon+1/scale {
			t.Errorf("weights times %v: time has run to %v", scale, f.turns.now)
		}
	}
}

func closeTo(got, want []int, off int) bool {
	return slices.EqualFunc(got, want, func(a, b int) bool { return a-b <= off && b-a <= off })
}

func BenchmarkWeightedWithFullWorkers(b *testing.B) {
	for _, n := range []int{100, 1000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			f, p := newFleet(1, equal(n)...), picker(b, task.BalanceWeighted)
			for i := range n / 10 {
				f.workers[i*10].Free = 0
			}
			b.ReportAllocs()
			for b.Loop() {
				p.Pick(&f.Pool, "")
			}
		})
	}
}
