package balance

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/fenfa/fenfa/internal/task"
)

// fleet is a pool of workers that tests can look into.
type fleet struct {
	Pool
}

// newFleet makes one worker for each weight, all with the same number of slots.
func newFleet(slots int, weights ...float64) *fleet {
	f := &fleet{}
	for i, weight := range weights {
		f.Add(&Worker{Hash: HashID("worker-" + strconv.Itoa(i)), Free: slots}, weight)
	}
	return f
}

func equal(n int) []float64 { return slices.Repeat([]float64{1}, n) }

func (f *fleet) take(i int) {
	f.workers[i].InFlight++
	f.workers[i].Free--
	f.Adjust(1)
}

func (f *fleet) give(i int) {
	f.workers[i].InFlight--
	f.workers[i].Free++
	f.Adjust(-1)
}

// after is the load of a worker after one more task.
func (f *fleet) after(i int) float64 { return float64(f.workers[i].InFlight+1) / f.weights[i] }

// load is how much more than its share the busiest worker has.
func (f *fleet) load() float64 {
	worst, weight := 0.0, 0.0
	for i := range f.workers {
		weight += f.Weight(i)
	}
	for i, w := range f.workers {
		worst = max(worst, float64(w.InFlight)*weight/(f.Weight(i)*float64(f.inFlight)))
	}
	return worst
}

func picker(tb testing.TB, policy string, change ...func(*task.Balance)) Picker {
	tb.Helper()
	b := task.DefaultQueue("q").Balance
	b.Policy = policy
	for _, f := range change {
		f(&b)
	}
	p, err := New(b, 1)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func waiting(b *task.Balance) { b.Overflow = "wait" }

var policies = task.BalancePolicies()

func TestNewRefusesAnUnknownPolicy(t *testing.T) {
	_, err := New(task.Balance{Policy: "random_walk", LoadBound: 1.25, Overflow: "next"}, 1)
	if task.CodeOf(err) != task.CodeInvalidArgument {
		t.Fatalf("got %v", err)
	}
}

func TestNoPolicyPicksAWorkerWithoutAFreeSlot(t *testing.T) {
	for _, policy := range policies {
		t.Run(policy, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			f, p := newFleet(3, 1, 2, 0.5, 1, 1), picker(t, policy)
			for range 10_000 {
				if rng.IntN(2) == 0 {
					if i := rng.IntN(f.Len()); f.workers[i].InFlight > 0 {
						f.give(i)
					}
					continue
				}
				i, ok := p.Pick(&f.Pool, strconv.Itoa(rng.IntN(100)))
				full := !slices.ContainsFunc(f.workers, func(w *Worker) bool { return w.Free > 0 })
				if ok == full {
					t.Fatalf("ok is %v, all full is %v: a slot was idle or exceeded", ok, full)
				}
				if !ok {
					if i != -1 {
						t.Fatalf("waits for worker %d, want any", i)
					}
					continue
				}
				if f.workers[i].Free <= 0 {
					t.Fatalf("picked worker %d, which has no slot", i)
				}
				f.take(i)
			}
		})
	}
}

func TestAnEmptyPoolPicksNobody(t *testing.T) {
	for _, policy := range policies {
		for _, key := range []string{"", "k"} {
			if i, ok := picker(t, policy).Pick(&Pool{}, key); ok || i != -1 {
				t.Errorf("%s picked %d, %v", policy, i, ok)
			}
			if i, ok := picker(t, policy, waiting).Pick(&Pool{}, key); ok || i != -1 {
				t.Errorf("%s with overflow wait picked %d, %v", policy, i, ok)
			}
		}
	}
}

func TestRoundRobinTakesTurnsAndPassesOverTheFull(t *testing.T) {
	f, p := newFleet(10, equal(4)...), picker(t, task.BalanceRoundRobin)
	f.workers[2].Free = 0
	var got []int
	for range 6 {
		i, _ := p.Pick(&f.Pool, "")
		got = append(got, i)
	}
	if want := []int{0, 1, 3, 0, 1, 3}; !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func TestRoundRobinGoesOnWhenWorkersLeave(t *testing.T) {
	f, p := newFleet(10, equal(4)...), picker(t, task.BalanceRoundRobin)
	for range 4 {
		p.Pick(&f.Pool, "")
	}
	f.Remove(3)
	f.Remove(2)
	if i, ok := p.Pick(&f.Pool, ""); !ok || i != 0 {
		t.Fatalf("got %d, %v", i, ok)
	}
}

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

func TestConsistentHashMovesOnlyTheKeysOfTheWorkerThatLeft(t *testing.T) {
	const keys = 100_000
	for _, n := range []int{3, 10, 100} {
		f, p := newFleet(1_000_000, equal(n)...), picker(t, task.BalanceConsistentHash, waiting)
		before := make([]*Worker, keys)
		for k := range before {
			i, _ := p.Pick(&f.Pool, strconv.Itoa(k))
			before[k] = f.workers[i]
		}
		gone := f.workers[n/2]
		f.Remove(n / 2)
		moved := 0
		for k, was := range before {
			i, _ := p.Pick(&f.Pool, strconv.Itoa(k))
			if f.workers[i] == was {
				continue
			}
			moved++
			if was != gone {
				t.Fatalf("key %d moved although its worker stayed", k)
			}
		}
		if most := 1.1 * keys / float64(n); float64(moved) > most {
			t.Errorf("%d workers: %d keys moved, want at most %.0f", n, moved, most)
		}
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

func TestPoolSumsFollowItsWorkers(t *testing.T) {
	f := newFleet(10, 1, 2, 3)
	f.take(1)
	f.take(1)
	f.take(2)
	f.Remove(1)
	if f.Len() != 2 || f.Weight(1) != 3 || f.inFlight != 1 {
		t.Errorf("got %d workers, weights %v, %d in flight", f.Len(), f.weights, f.inFlight)
	}
}

func TestAPickAllocatesNothing(t *testing.T) {
	for _, policy := range policies {
		f, p := newFleet(1_000_000, equal(100)...), picker(t, policy)
		if n := testing.AllocsPerRun(100, func() { p.Pick(&f.Pool, "sku-1") }); n != 0 {
			t.Errorf("%s allocates %v times a pick", policy, n)
		}
	}
}

// BenchmarkPick keeps 16 slots of every worker in flight, over 100k keys.
func BenchmarkPick(b *testing.B) {
	keys := make([]string, 100_000)
	for i := range keys {
		keys[i] = fmt.Sprintf("sku-%d", i)
	}
	for _, policy := range policies {
		for _, n := range []int{3, 10, 100, 1000} {
			b.Run(fmt.Sprintf("%s/%d", policy, n), func(b *testing.B) {
				weights := equal(n)
				for i := range weights {
					weights[i] = float64(1 + i%3)
				}
				f, p := newFleet(1<<40, weights...), picker(b, policy)
				out := make([]int, 16*n)
				for k := range out {
					out[k], _ = p.Pick(&f.Pool, keys[k])
					f.take(out[k])
				}
				b.ReportAllocs()
				k := 0
				for b.Loop() {
					slot := k % len(out)
					f.give(out[slot])
					out[slot], _ = p.Pick(&f.Pool, keys[k%len(keys)])
					f.take(out[slot])
					k++
				}
			})
		}
	}
}
