package balance

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// churn keeps so many tasks outstanding, ends one at random at a time, and counts
// who is picked. With noise, tasks take times of an exponential distribution.
func churn(f *fleet, p Picker, outstanding, number int, noise bool) []int {
	rng := rand.New(rand.NewPCG(7, 7))
	got := make([]int, f.Len())
	var running []int
	now := time.Duration(0)
	f.Tick(now)
	for k := range number {
		if len(running) == outstanding {
			at := rng.IntN(outstanding)
			i := running[at]
			f.give(i)
			running[at] = running[outstanding-1]
			running = running[:outstanding-1]
			took := time.Millisecond
			if noise {
				took = time.Duration(rng.ExpFloat64() * float64(time.Millisecond))
			}
			f.Observe(i, took)
		}
		if k%100 == 99 {
			now += 100 * time.Millisecond
			f.Tick(now)
		}
		i, _ := p.Pick(&f.Pool, "")
		f.take(i)
		running = append(running, i)
		got[i]++
	}
	return got
}

// oneToTen are weights from 1 to 10, twice.
func oneToTen() []float64 {
	weights := make([]float64, 20)
	for i := range weights {
		weights[i] = float64(1 + i%10)
	}
	return weights
}

func TestP2CSharesFollowWeightsAtAnyLoad(t *testing.T) {
	const number = 50_000
	for _, weights := range [][]float64{{1, 1, 1, 10}, {1, 1, 1, 0.1}, {1, 3}, oneToTen()} {
		n := len(weights)
		for _, outstanding := range []int{1, 4, max(2, n/2), n, 4 * n, 100 * n} {
			// Who does more tasks of random length meets more long ones, and p2c goes by them.
			for noise, bound := range map[bool]float64{false: 0.25, true: 0.6} {
				t.Run(fmt.Sprintf("%v/%d/%v", weights[n-1], outstanding, noise), func(t *testing.T) {
					f, p := newFleet(1_000_000, weights...), picker(t, task.BalanceP2C)
					got := churn(f, p, outstanding, number, noise)
					for i, w := range f.weights {
						if load := float64(got[i]) * f.total() / (w * number); math.Abs(load-1) > bound {
							t.Errorf("worker %d of weight %v has %.2f of its share", i, w, load)
						}
					}
				})
			}
		}
	}
}

// Nearly all draws give the heavy worker, and no scan of the others replaces it.
func TestP2CLeavesAHeavyWorkerItsShare(t *testing.T) {
	for _, outstanding := range []int{1, 4, 50} {
		f, p := newFleet(1_000_000, 1, 100), picker(t, task.BalanceP2C)
		got := churn(f, p, outstanding, 50_000, false)
		if share := float64(got[1]) / 50_000; share < 0.985 || share > 0.995 {
			t.Errorf("%d outstanding: it has %.4f of the tasks, want 0.9901", outstanding, share)
		}
	}
}

func TestP2CFillsUpByWeight(t *testing.T) {
	f, p := newFleet(1_000_000, oneToTen()...), picker(t, task.BalanceP2C)
	for range 20_000 {
		i, _ := p.Pick(&f.Pool, "")
		f.take(i)
	}
	if load := f.load(); load > 1.05 {
		t.Errorf("the busiest worker has %.3f of its share", load)
	}
}
