package balance

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

func TestNewRefusesAnUnknownPolicy(t *testing.T) {
	_, err := New(task.Balance{Policy: "random_walk", LoadBound: 1.25, Overflow: "next"}, 1)
	if task.CodeOf(err) != task.CodeInvalidArgument {
		t.Fatalf("got %v", err)
	}
}

// TestEveryPolicyUsesEverySlotAndPrefetchLast drives each policy through random
// histories in which workers come and go, change weight, slow down and fill up.
func TestEveryPolicyUsesEverySlotAndPrefetchLast(t *testing.T) {
	for _, policy := range policies {
		for seed := range uint64(10) {
			t.Run(policy+"/"+strconv.FormatUint(seed, 10), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 2))
				f, p := newFleet(3, 1, 2, 0.5, 1, 1), picker(t, policy)
				f.prefetch = int(seed % 3)
				for step := range 5_000 {
					if rng.IntN(100) < 45 {
						pickOne(t, f, p, strconv.Itoa(rng.IntN(100)))
						continue
					}
					disturb(f, rng, time.Duration(step)*time.Millisecond)
				}
			})
		}
	}
}

// pickOne takes a slot and checks that it is a right one.
func pickOne(t *testing.T, f *fleet, p Picker, key string) {
	t.Helper()
	i, ok := p.Pick(&f.Pool, key)
	free := slices.ContainsFunc(f.workers, func(w *Worker) bool { return w.Free > 0 })
	ready := slices.ContainsFunc(f.workers, (*Worker).ready)
	switch {
	case ok != free:
		t.Fatalf("ok is %v, a slot is free: %v", ok, free)
	case !ok && i != -1:
		t.Fatalf("waits for worker %d, want any", i)
	case !ok:
		return
	case f.workers[i].Free <= 0:
		t.Fatalf("picked worker %d, which has no slot", i)
	case ready && !f.workers[i].ready():
		t.Fatalf("picked prefetch of worker %d while a real slot was free", i)
	}
	f.take(i)
}

// disturb changes something about the fleet.
func disturb(f *fleet, rng *rand.Rand, now time.Duration) {
	f.Tick(now)
	if f.Len() == 0 {
		f.join(1)
		return
	}
	i := rng.IntN(f.Len())
	switch n := rng.IntN(100); {
	case n < 70:
		if f.workers[i].InFlight > 0 {
			f.give(i)
			f.Observe(i, time.Duration(rng.ExpFloat64()*float64(time.Millisecond)))
		}
	case n < 80:
		f.Reweigh(i, 0.01+5*rng.Float64())
	case n < 85 && f.Len() < 12:
		f.join(0.5 + rng.Float64())
	case n < 90:
		f.Remove(i)
	case n < 95:
		f.workers[i].Free, f.workers[i].Ahead = 0, 0 // suspect, say
	default:
		f.refresh(i)
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

func TestPicksFollowFromTheSeedAlone(t *testing.T) {
	run := func(policy string, seed uint64) []int {
		b := task.DefaultQueue("q").Balance
		b.Policy = policy
		p, err := New(b, seed)
		if err != nil {
			t.Fatal(err)
		}
		f, picks := newFleet(1000, mixed(20)...), []int(nil)
		for k := range 500 {
			i, _ := p.Pick(&f.Pool, strconv.Itoa(k))
			f.take(i)
			picks = append(picks, i)
		}
		return picks
	}
	for _, policy := range policies {
		if !slices.Equal(run(policy, 7), run(policy, 7)) {
			t.Errorf("%s picks differently with the same seed", policy)
		}
	}
	for _, policy := range []string{task.BalanceRandom, task.BalanceP2C} {
		if slices.Equal(run(policy, 7), run(policy, 8)) {
			t.Errorf("%s picks the same with another seed", policy)
		}
	}
}

func TestAPickAllocatesNothing(t *testing.T) {
	for _, policy := range policies {
		for _, full := range []bool{false, true} {
			f, p := newFleet(1_000_000, equal(100)...), picker(t, policy)
			p.Pick(&f.Pool, "sku-1")
			if full {
				for i := 1; i < f.Len(); i++ {
					f.workers[i].Free = 0
				}
			}
			weight := 1.0
			n := testing.AllocsPerRun(100, func() {
				weight++
				f.Reweigh(7, weight)
				p.Pick(&f.Pool, "sku-1")
			})
			if n != 0 {
				t.Errorf("%s allocates %v times a pick", policy, n)
			}
		}
	}
}
