package simulate

import (
	"context"
	"errors"
	"math"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

func simulated(t *testing.T, policy string, cfg Config) *Result {
	t.Helper()
	cfg.Balance.Policy = policy
	r, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// slowOne is a fleet in which one of n workers takes ten times as long.
func slowOne(n int) Config {
	return Config{Workers: n, Slots: 40, Slow: 1, SlowFactor: 10, Tasks: 30_000 + 200*n}
}

func TestP2CLosesLittleToOneSlowWorker(t *testing.T) {
	for _, n := range []int{3, 10, 100, 1000} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			r := simulated(t, task.BalanceP2C, slowOne(n))
			if r.Ratio < 0.9 {
				t.Errorf("makes %.1f%% of what the fast workers could give, want 90%%", 100*r.Ratio)
			}
		})
	}
}

func TestP2CLosesLittleToASlowWorkerAmongWeights(t *testing.T) {
	for _, weights := range [][]float64{{10, 1, 1, 1}, {4, 3, 2, 1}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}} {
		cfg := slowOne(len(weights))
		cfg.Weights = weights
		if r := simulated(t, task.BalanceP2C, cfg); r.Ratio < 0.9 {
			t.Errorf("%v: makes %.1f%% of what is possible, want 90%%", weights, 100*r.Ratio)
		}
	}
}

func TestRoundRobinShowsWhyItIsNotTheDefault(t *testing.T) {
	round := simulated(t, task.BalanceRoundRobin, slowOne(4))
	for _, policy := range []string{task.BalanceP2C, task.BalanceLeastInflight} {
		r := simulated(t, policy, slowOne(4))
		if round.TimeP99 < 1.5*r.TimeP99 || round.PerS > 0.8*r.PerS {
			t.Errorf("round_robin: p99 %.1f ms, %.0f tasks/s; %s: p99 %.1f ms, %.0f tasks/s",
				round.TimeP99, round.PerS, policy, r.TimeP99, r.PerS)
		}
	}
}

// Handlers that share a resource make a slow worker hold its slots for long.
func TestWithFewLinesRoundRobinPilesUpAtTheSlowWorker(t *testing.T) {
	cfg := Config{Workers: 4, Slots: 64, Lines: 8, Outstanding: 64, Slow: 1, SlowFactor: 10}
	const fast = 3 * 8 * 1000 // tasks a second that the other three can do
	for _, policy := range []string{task.BalanceP2C, task.BalanceLeastInflight} {
		if r := simulated(t, policy, cfg); r.PerS < 0.9*fast {
			t.Errorf("%s makes %.0f tasks/s, want 90%% of %d", policy, r.PerS, fast)
		}
	}
	r := simulated(t, task.BalanceRoundRobin, cfg)
	if r.PerS > 0.2*fast || r.Workers[3].Most != 64 {
		t.Errorf("round_robin makes %.0f tasks/s, with up to %d at the slow worker", r.PerS, r.Workers[3].Most)
	}
	// Eight lines of the slow worker count as well: 24 and 0.8 in a millisecond.
	if math.Abs(r.PossiblePerS-24_800) > 1 {
		t.Errorf("possible are %v tasks/s", r.PossiblePerS)
	}
}

func TestLinesBoundWhatAWorkerDoes(t *testing.T) {
	for lines, want := range map[int]float64{1: 1000, 5: 5000, 10: 10_000, 20: 10_000} {
		r := simulated(t, task.BalanceLeastInflight, Config{Workers: 1, Slots: 10, Lines: lines, Outstanding: 30, Tasks: 50_000})
		if math.Abs(r.PerS-want) > 0.03*want || math.Abs(r.PossiblePerS-want) > 1 || r.Workers[0].Most != 10 {
			t.Errorf("%d lines: %.0f tasks/s of %.0f, %d slots taken, want %.0f", lines, r.PerS, r.PossiblePerS, r.Workers[0].Most, want)
		}
	}
	some := Config{Workers: 3, Slots: 10, Lines: 10, Tasks: 5000}
	all := some
	all.Lines = 0
	a, b := simulated(t, task.BalanceP2C, some), simulated(t, task.BalanceP2C, all)
	if !reflect.DeepEqual(a.Workers, b.Workers) {
		t.Error("a line for each slot is not the same as no bound")
	}
}

func TestNoPolicyLeavesASlotIdleWhileTasksWait(t *testing.T) {
	for _, policy := range task.BalancePolicies() {
		cfg := slowOne(4)
		cfg.Outstanding = 4 * 40 * 2
		r := simulated(t, policy, cfg)
		for _, w := range r.Workers {
			if w.Busy < 0.99 || w.Busy > 1 || w.Most != 40 {
				t.Errorf("%s: %s is busy %.1f%% of the time, with %d slots at most", policy, w.ID, 100*w.Busy, w.Most)
			}
		}
		if r.WaitP50 <= 0 || r.TimeP50 < r.WaitP50 {
			t.Errorf("%s: half of the tasks wait less than %v ms and take less than %v ms", policy, r.WaitP50, r.TimeP50)
		}
	}
}

func TestEveryTaskRunsOnceAndSharesAddUp(t *testing.T) {
	for _, policy := range task.BalancePolicies() {
		for _, overflow := range []string{"next", "wait"} {
			r := simulated(t, policy, Config{
				Balance: task.Balance{Overflow: overflow},
				Workers: 5, Slots: 3, Outstanding: 40, Tasks: 20_000, Zipf: 1.5, Leave: "w2", Join: "fresh",
			})
			tasks, share, expected := 0, 0.0, 0.0
			for _, w := range r.Workers {
				tasks += w.Tasks
				share += w.Share
				expected += w.Expected
			}
			if tasks != 20_000 || r.Tasks != 20_000 || math.Abs(share-1) > 1e-9 || math.Abs(expected-1) > 1e-9 {
				t.Errorf("%s, %s: %d tasks, shares %v, expected %v", policy, overflow, tasks, share, expected)
			}
		}
	}
}

func TestARunFollowsFromItsSeed(t *testing.T) {
	for _, policy := range task.BalancePolicies() {
		cfg := Config{Tasks: 5000, Zipf: 1.2, Leave: "w1"}
		a, b := simulated(t, policy, cfg), simulated(t, policy, cfg)
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%s: two runs differ", policy)
		}
		cfg.Seed = 2
		if reflect.DeepEqual(a.Workers, simulated(t, policy, cfg).Workers) {
			t.Errorf("%s: another seed changes nothing", policy)
		}
	}
}

func TestWeightsMakeShares(t *testing.T) {
	for _, policy := range []string{task.BalanceWeighted, task.BalanceRandom, task.BalanceLeastInflight, task.BalanceP2C, task.BalanceConsistentHash} {
		r := simulated(t, policy, Config{Workers: 3, Weights: []float64{5, 2, 1}, Slots: 400, Outstanding: 400})
		for _, w := range r.Workers {
			// p2c goes by latency too, and who does more has the higher peaks of it.
			if math.Abs(w.Load-1) > 0.2 || policy != task.BalanceP2C && math.Abs(w.Load-1) > 0.12 {
				t.Errorf("%s: %s of weight %v has %.1f%%, want %.1f%%", policy, w.ID, w.Weight, 100*w.Share, 100*w.Expected)
			}
		}
	}
	r := simulated(t, task.BalanceWeighted, Config{Workers: 4, Weights: []float64{3, 1}, Slots: 400, Outstanding: 100})
	if math.Abs(r.Workers[2].Share-0.375) > 0.001 || r.Imbalance > 1.01 {
		t.Errorf("weights that repeat: %+v", r.Workers)
	}
}

func TestAWorkerThatLeavesAndOneThatJoins(t *testing.T) {
	r := simulated(t, task.BalanceRoundRobin, Config{Workers: 4, Leave: "w2", Join: "late", Tasks: 40_000})
	if len(r.Workers) != 5 || r.Workers[4].ID != "late" {
		t.Fatalf("workers are %+v", r.Workers)
	}
	for i, want := range []float64{0.25, 0.125, 0.25, 0.25, 0.125} {
		if got := r.Workers[i].Share; math.Abs(got-want) > 0.01 {
			t.Errorf("%s has %.3f of the tasks, want %.3f", r.Workers[i].ID, got, want)
		}
	}
	if r.Movement != nil {
		t.Error("under round_robin no key has a worker of its own")
	}
}

func TestMovementIsWhatItMustBe(t *testing.T) {
	for _, n := range []int{3, 10, 100} {
		leave := simulated(t, task.BalanceConsistentHash, Config{Workers: n, Slots: 10, Tasks: 10_000, Leave: "w2"}).Movement
		join := simulated(t, task.BalanceConsistentHash, Config{Workers: n, Slots: 10, Tasks: 10_000, Join: "late"}).Movement
		both := simulated(t, task.BalanceConsistentHash, Config{Workers: n, Slots: 10, Tasks: 10_000, Leave: "w2", Join: "late"}).Movement
		if most := 110_000 / n; leave.Moved > most || leave.Moved == 0 || leave.Least != int(math.Round(100_000/float64(n))) {
			t.Errorf("%d workers, one leaves: %+v, want at most %d", n, *leave, most)
		}
		if least := 100_000 / (n + 1); math.Abs(float64(join.Moved-least)) > 0.1*float64(least) || join.Least != int(math.Round(100_000/float64(n+1))) {
			t.Errorf("%d workers, one joins: %+v, want about %d", n, *join, least)
		}
		if least := 200_000 / (n + 1); math.Abs(float64(both.Moved-least)) > 0.1*float64(least) || both.Least != int(math.Round(200_000/float64(n+1))) {
			t.Errorf("%d workers, one leaves and one joins: %+v, want about %d", n, *both, least)
		}
	}
}

func TestTheLoadBoundHoldsUnderSkewedKeys(t *testing.T) {
	const n, slots = 10, 50
	r := simulated(t, task.BalanceConsistentHash, Config{Workers: n, Slots: slots, Zipf: 1.1, Outstanding: n * slots / 2})
	for _, w := range r.Workers {
		// The bound is rounded up to a whole slot.
		if most := 1.25*slots/2 + 1; float64(w.Most) > most {
			t.Errorf("%s had %d slots taken at once, want at most %.0f", w.ID, w.Most, most)
		}
	}
}

func TestWithOverflowWaitAHotKeyWaitsForItsWorker(t *testing.T) {
	cfg := Config{Balance: task.Balance{Overflow: "wait"}, Slots: 10, Zipf: 3}
	if r := simulated(t, task.BalanceConsistentHash, cfg); r.WaitP99 < 1 || r.Ratio > 0.9 {
		t.Errorf("p99 of waiting is %v ms, throughput is %v of the possible", r.WaitP99, r.Ratio)
	}
	cfg.Balance.Overflow = "next"
	if r := simulated(t, task.BalanceConsistentHash, cfg); r.WaitP99 > 0 || r.Ratio < 0.95 {
		t.Errorf("with next, p99 of waiting is %v ms, throughput is %v of the possible", r.WaitP99, r.Ratio)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, Config{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestAWrongSettingIsNamed(t *testing.T) {
	for setting, cfg := range map[string]Config{
		"workers":     {Workers: MaxWorkers + 1},
		"slots":       {Slots: -1},
		"tasks":       {Tasks: MaxTasks + 1},
		"keys":        {Keys: -5},
		"lines":       {Lines: -1},
		"outstanding": {Outstanding: 10, Tasks: 10},
		"slow":        {Slow: 5},
		"weights":     {Weights: []float64{1, math.NaN()}},
		"zipf":        {Zipf: 0.9},
		"service":     {Service: 25 * time.Hour},
		"leave":       {Leave: "w5"},
		"join":        {Join: "w4"},
		"policy":      {Balance: task.Balance{Policy: "best"}},
		"load-bound":  {Balance: task.Balance{LoadBound: 0.5}},
		"overflow":    {Balance: task.Balance{Overflow: "drop"}},
	} {
		_, err := Run(t.Context(), cfg)
		if wrong, ok := errors.AsType[*ConfigError](err); !ok || wrong.Setting != setting {
			t.Errorf("%s: got %v", setting, err)
		}
	}
	for _, cfg := range []Config{{Workers: 1, Leave: "w1"}, {Workers: 2, Weights: []float64{1, 2, 3}}, {Slow: 1, SlowFactor: -1}, {Outstanding: -1}, {Tasks: 1}} {
		if _, err := Run(t.Context(), cfg); err == nil {
			t.Errorf("%+v is allowed", cfg)
		}
	}
}

func TestEventsComeInTheirOrder(t *testing.T) {
	var h events
	for i := range 500 {
		h.push(event{at: time.Duration(i * 7919 % 100), seq: i})
	}
	last := h.pop()
	for len(h) > 0 {
		e := h.pop()
		if e.before(&last) {
			t.Fatalf("%v, %d comes after %v, %d", e.at, e.seq, last.at, last.seq)
		}
		last = e
	}
}

func TestPercentiles(t *testing.T) {
	var times []time.Duration
	for i := 100; i > 0; i-- {
		times = append(times, time.Duration(i)*time.Millisecond)
	}
	if p50, p99 := percentiles(times); p50 != 50 || p99 != 99 {
		t.Errorf("got %v and %v", p50, p99)
	}
	if p50, p99 := percentiles(times[:1]); p50 != 1 || p99 != 1 {
		t.Errorf("of one: %v and %v", p50, p99)
	}
	if p50, p99 := percentiles(nil); p50 != 0 || p99 != 0 {
		t.Errorf("of none: %v and %v", p50, p99)
	}
}
