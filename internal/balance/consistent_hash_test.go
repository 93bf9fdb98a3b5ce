package balance

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/fenfa/fenfa/internal/task"
)

func TestConsistentHashKeepsEveryWorkerWithinTheLoadBound(t *testing.T) {
	for _, n := range []int{3, 10, 100, 1000} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			f, p := newFleet(1_000_000, equal(n)...), picker(t, task.BalanceConsistentHash)
			for k := range 100_000 {
				i, ok := p.Pick(&f.Pool, fmt.Sprintf("sku-%d", k))
				if !ok {
					t.Fatal("no worker")
				}
				f.take(i)
			}
			// The bound is rounded up to a whole slot.
			if got, most := f.load(), 1.25+float64(n)/100_000; got > most {
				t.Errorf("the busiest worker has %.4f times the mean, want at most %.4f", got, most)
			}
		})
	}
}

func TestConsistentHashSpreadsEvenlyWithoutTheBound(t *testing.T) {
	for _, n := range []int{3, 10, 100} {
		f, p := newFleet(1_000_000, equal(n)...), picker(t, task.BalanceConsistentHash, waiting)
		for k := range 100_000 {
			i, _ := p.Pick(&f.Pool, "order/"+strconv.Itoa(k))
			f.take(i)
		}
		if got := f.load(); got > 1.25 {
			t.Errorf("%d workers: the busiest has %.3f times the mean", n, got)
		}
	}
}

func TestConsistentHashSharesKeysByWeight(t *testing.T) {
	weights := []float64{1, 2, 4, 0.5, 2.5}
	f, p := newFleet(1_000_000, weights...), picker(t, task.BalanceConsistentHash, waiting)
	const keys = 200_000
	for k := range keys {
		i, _ := p.Pick(&f.Pool, strconv.Itoa(k))
		f.take(i)
	}
	for i, w := range f.workers {
		got, want := float64(w.InFlight)/keys, weights[i]/10
		if math.Abs(got-want) > 0.01 {
			t.Errorf("worker %d of weight %v has %.4f of the keys, want %.4f", i, weights[i], got, want)
		}
	}
}

// homes is the worker of every key, by hash.
func homes(f *fleet, p Picker, keys int) []uint64 {
	found := make([]uint64, keys)
	for k := range found {
		i, _ := p.Pick(&f.Pool, strconv.Itoa(k))
		found[k] = f.workers[i].Hash
	}
	return found
}

// moves compares homes and counts the keys that moved, all of which must have
// moved from or to the worker, as asked for.
func moves(t *testing.T, before, after []uint64, from, to uint64) int {
	t.Helper()
	moved := 0
	for k := range before {
		if before[k] == after[k] {
			continue
		}
		moved++
		if from != 0 && before[k] != from || to != 0 && after[k] != to {
			t.Fatalf("key %d moved although it has nothing to do with the change", k)
		}
	}
	return moved
}

func TestConsistentHashMovesOnlyTheKeysOfTheWorkerThatLeft(t *testing.T) {
	const keys = 100_000
	for i, n := range append(sizes, 20) {
		change := []func(*task.Balance){func(*task.Balance) {}, waiting}[i/len(sizes)]
		f, p := newFleet(1_000_000, equal(n)...), picker(t, task.BalanceConsistentHash, change)
		before := homes(f, p, keys)
		gone := f.workers[n/2].Hash
		f.Remove(n / 2)
		moved := moves(t, before, homes(f, p, keys), gone, 0)
		if most := 1.1 * keys / float64(n); float64(moved) > most {
			t.Errorf("%d workers: %d keys moved, want at most %.0f", n, moved, most)
		}
	}
}

func TestConsistentHashMovesKeysOnlyToTheWorkerThatJoined(t *testing.T) {
	const keys = 100_000
	for _, n := range sizes {
		f, p := newFleet(1_000_000, equal(n)...), picker(t, task.BalanceConsistentHash)
		before := homes(f, p, keys)
		f.join(1)
		moved := moves(t, before, homes(f, p, keys), 0, f.workers[n].Hash)
		if share := 1 / float64(n+1); deviates(moved, keys, share) {
			t.Errorf("%d workers: %d keys moved, want about %.0f", n, moved, keys*share)
		}
	}
}

func TestConsistentHashMovesKeysOnlyToOrFromTheWorkerWhoseWeightChanges(t *testing.T) {
	const keys = 100_000
	for _, n := range sizes {
		f, p := newFleet(1_000_000, mixed(n)...), picker(t, task.BalanceConsistentHash)
		before := homes(f, p, keys)
		had, sum, hash := f.weights[1]/f.total(), f.total(), f.workers[1].Hash
		f.Reweigh(1, 3*f.weights[1])
		heavier := homes(f, p, keys)
		more := f.weights[1]/f.total() - had
		if moved := moves(t, before, heavier, 0, hash); deviates(moved, keys, more) {
			t.Errorf("%d workers, heavier: %d keys moved, want about %.0f", n, moved, keys*more)
		}
		f.Reweigh(1, had*sum)
		if moves(t, before, homes(f, p, keys), 0, 0) != 0 {
			t.Errorf("%d workers: with its old weight it does not have its old keys", n)
		}
	}
}

func TestConsistentHashGivesAWorkerThatComesBackItsKeys(t *testing.T) {
	f, p := newFleet(1_000_000, mixed(10)...), picker(t, task.BalanceConsistentHash)
	before := homes(f, p, 10_000)
	w, weight := f.workers[3], f.weights[3]
	f.Remove(3)
	picks(f, p, 1)
	f.Add(w, weight)
	if moved := moves(t, before, homes(f, p, 10_000), 0, 0); moved != 0 {
		t.Errorf("%d keys are elsewhere", moved)
	}
}

// TestConsistentHashAgreesWithASortedRanking compares with the definition: rank
// all workers, then take the first of the best class.
func TestConsistentHashAgreesWithASortedRanking(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		f, p := newFleet(3, mixed(1+int(seed)*2)...), picker(t, task.BalanceConsistentHash)
		f.prefetch = int(seed % 2)
		for range 3000 {
			if f.Len() == 0 || rng.IntN(2) == 0 {
				disturb(f, rng, 0)
				continue
			}
			key := strconv.Itoa(rng.IntN(1000))
			want := firstOfRanking(f, key)
			i, _ := p.Pick(&f.Pool, key)
			if i != want {
				t.Fatalf("seed %d: picked %d, want %d", seed, i, want)
			}
			if i >= 0 {
				f.take(i)
			}
		}
	}
}

func firstOfRanking(f *fleet, key string) int {
	ranking := make([]int, f.Len())
	draws := make([]float64, f.Len())
	for i, w := range f.workers {
		ranking[i] = i
		draws[i] = -math.Log1p(-fraction(mix(xxhash.Sum64String(key), w.Hash))) / f.weights[i]
	}
	slices.SortFunc(ranking, func(a, b int) int { return cmp.Compare(draws[a], draws[b]) })
	for _, wanted := range []struct{ ready, within bool }{{true, true}, {true, false}, {false, true}, {false, false}} {
		for _, i := range ranking {
			w := f.workers[i]
			within := float64(w.InFlight) < 1.25*float64(f.inFlight+1)*f.weights[i]/f.total()
			if w.Free > 0 && (!wanted.ready || w.ready()) && (!wanted.within || within) {
				return i
			}
		}
	}
	return -1
}

// With skewed keys no worker has more than the bound times its share in flight,
// at any moment of a run in which tasks come and go.
func TestConsistentHashBoundsTheLoadOfSkewedKeysAtAnyMoment(t *testing.T) {
	const keys, picks = 100_000, 60_000
	for _, n := range sizes {
		rng := rand.New(rand.NewPCG(uint64(n), 1))
		zipf := rand.NewZipf(rng, 1.1, 1, keys-1)
		f, p := newFleet(1_000_000, mixed(n)...), picker(t, task.BalanceConsistentHash)
		var out []int
		for k := range picks {
			i, ok := p.Pick(&f.Pool, strconv.FormatUint(zipf.Uint64(), 10))
			if !ok {
				t.Fatal("no worker")
			}
			f.take(i)
			// The bound is rounded up to a whole slot.
			most := 1.25*float64(f.inFlight)*f.weights[i]/f.total() + 1
			if got := float64(f.workers[i].InFlight); got > most {
				t.Fatalf("%d workers, task %d: worker %d has %v in flight, want at most %.2f", n, k, i, got, most)
			}
			out = append(out, i)
			if len(out) > 20*n {
				last := rng.IntN(len(out))
				f.give(out[last])
				out[last] = out[len(out)-1]
				out = out[:len(out)-1]
			}
		}
	}
}

func TestConsistentHashTakesAnotherWorkersSlotBeforePrefetchAtHome(t *testing.T) {
	f, p := newFleet(1, equal(5)...), picker(t, task.BalanceConsistentHash)
	f.prefetch = 1
	home, _ := p.Pick(&f.Pool, "hot")
	seen := map[int]int{}
	for k := range 10 {
		i, ok := p.Pick(&f.Pool, "hot")
		if !ok {
			t.Fatal("no worker")
		}
		if seen[i] == 1 && k < 5 {
			t.Fatalf("task %d is prefetch of worker %d while slots are free", k, i)
		}
		seen[i]++
		f.take(i)
	}
	if len(seen) != 5 || seen[home] != 2 {
		t.Errorf("got %v", seen)
	}
}

func TestConsistentHashWaitTakesPrefetchAtHome(t *testing.T) {
	f, p := newFleet(1, equal(5)...), picker(t, task.BalanceConsistentHash, waiting)
	f.prefetch = 1
	home, _ := p.Pick(&f.Pool, "hot")
	f.take(home)
	if i, ok := p.Pick(&f.Pool, "hot"); !ok || i != home {
		t.Errorf("got %d, %v; want prefetch of %d", i, ok, home)
	}
}

func TestConsistentHashNextOverflowsAlongTheRanking(t *testing.T) {
	f, p := newFleet(100, equal(5)...), picker(t, task.BalanceConsistentHash)
	home, _ := p.Pick(&f.Pool, "hot")
	seen := map[int]bool{}
	for range 5 {
		i, _ := p.Pick(&f.Pool, "hot")
		seen[i] = true
		f.take(i)
	}
	// One key alone may not take more than the bound of everything in flight.
	if f.workers[home].InFlight > 2 || len(seen) < 3 {
		t.Errorf("worker %d took %d of 5, %d workers took part", home, f.workers[home].InFlight, len(seen))
	}
}

func TestConsistentHashBoundYieldsWhenOthersAreFull(t *testing.T) {
	f, p := newFleet(0, equal(3)...), picker(t, task.BalanceConsistentHash)
	f.workers[1].InFlight, f.workers[1].Free = 1000, 1
	f.Adjust(1000)
	if i, ok := p.Pick(&f.Pool, "k"); !ok || i != 1 {
		t.Errorf("got %d, %v", i, ok)
	}
}

func TestConsistentHashWaitNamesTheWorkerToWaitFor(t *testing.T) {
	f, p := newFleet(100, equal(5)...), picker(t, task.BalanceConsistentHash, waiting)
	home, ok := p.Pick(&f.Pool, "hot")
	if !ok {
		t.Fatal("no worker")
	}
	f.workers[home].Free = 0
	if i, ok := p.Pick(&f.Pool, "hot"); ok || i != home {
		t.Errorf("got %d, %v; want to wait for %d", i, ok, home)
	}
}

func TestConsistentHashSpreadsTasksWithoutAKey(t *testing.T) {
	for _, overflow := range []func(*task.Balance){func(*task.Balance) {}, waiting} {
		f, p := newFleet(100, equal(4)...), picker(t, task.BalanceConsistentHash, overflow)
		for range 40 {
			i, _ := p.Pick(&f.Pool, "")
			f.take(i)
		}
		for i, w := range f.workers {
			if w.InFlight != 10 {
				t.Errorf("worker %d has %d, want 10", i, w.InFlight)
			}
		}
	}
}

func TestExponentialAgreesWithTheLogarithm(t *testing.T) {
	for v := 0.; v < 1; v += 0.0001 {
		want := -math.Log1p(-v)
		if got := exponential(v); math.Abs(got-want) > 1e-6*want {
			t.Fatalf("exponential(%v) = %v, want %v", v, got, want)
		}
	}
}
