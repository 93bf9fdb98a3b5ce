package balance

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// plain is a peak EWMA as one would write it down: it shrinks with time.
type plain struct {
	level float64
	at    time.Duration
	seen  bool
}

func (e *plain) observe(now time.Duration, took float64) {
	old := math.Exp(-float64(now-e.at) / float64(memory))
	if !e.seen || took > e.level {
		e.level = took
	} else {
		e.level = e.level*old + took*(1-old)
	}
	e.at, e.seen = now, true
}

// TestLatencyAgreesWithAPlainPeakEWMA runs for so long that growth begins anew
// several times.
func TestLatencyAgreesWithAPlainPeakEWMA(t *testing.T) {
	for seed := range uint64(5) {
		rng := rand.New(rand.NewPCG(seed, 1))
		f, want := newFleet(1, equal(3)...), make([]plain, 3)
		now := time.Hour
		for range 20_000 {
			now += time.Duration(rng.IntN(150)) * time.Millisecond
			f.Tick(now)
			i := rng.IntN(3)
			took := time.Duration(rng.ExpFloat64() * float64(time.Millisecond) * float64(1+9*(i/2)))
			f.Observe(i, took)
			want[i].observe(now, float64(max(1, took)))
			if got := float64(f.Latency(i)); math.Abs(got-want[i].level) > 1+1e-6*want[i].level {
				t.Fatalf("seed %d at %v: worker %d is at %v, want %v", seed, now, i, got, want[i].level)
			}
		}
	}
}

func TestLatencyRisesAtOnceAndFallsSlowly(t *testing.T) {
	f := newFleet(1, 1)
	now := time.Duration(0)
	after := func(d, took time.Duration) time.Duration {
		now += d
		f.Tick(now)
		f.Observe(0, took)
		return f.Latency(0)
	}
	f.Tick(0)
	if got := after(0, time.Millisecond); got != time.Millisecond {
		t.Errorf("after the first task %v", got)
	}
	if got := after(0, time.Second); got != time.Second {
		t.Errorf("a slow task counts at once: %v", got)
	}
	if got := after(0, time.Millisecond); got != time.Second {
		t.Errorf("a fast task at the same moment changes nothing: %v", got)
	}
	e := time.Millisecond + 367512*time.Microsecond // (1 s - 1 ms) / e more
	if got := after(memory, time.Millisecond); (got - e).Abs() > 2*time.Microsecond {
		t.Errorf("after the time constant %v, want %v", got, e)
	}
}

func TestLatencyOfAnIdleWorkerDriftsTowardsTheTypical(t *testing.T) {
	f := newFleet(1, equal(2)...)
	now := time.Duration(0)
	f.Tick(now)
	f.Observe(1, 100*time.Millisecond)
	last := f.Latency(1)
	for range 600 {
		now += 100 * time.Millisecond
		f.Tick(now)
		f.Observe(0, time.Millisecond)
		got := f.Latency(1)
		if got > last || got < time.Millisecond {
			t.Fatalf("at %v: from %v to %v", now, last, got)
		}
		last = got
	}
	if last > 2*time.Millisecond {
		t.Errorf("after a minute it is still %v", last)
	}
}

func TestLatencyIsUnknownBeforeTheFirstTask(t *testing.T) {
	f := newFleet(1, equal(2)...)
	f.Observe(0, time.Second)
	if got := f.Latency(1); got != 0 {
		t.Errorf("got %v", got)
	}
}

func TestLatencyIsMeasuredWithoutTicks(t *testing.T) {
	f := newFleet(1, 1)
	for _, took := range []time.Duration{5, 9, 2} {
		f.Observe(0, took*time.Millisecond)
	}
	if got := f.Latency(0); got != 9*time.Millisecond {
		t.Errorf("got %v", got)
	}
}

func TestLatencyOutlivesADayWithoutTicks(t *testing.T) {
	f := newFleet(1, equal(2)...)
	f.Tick(time.Hour)
	f.Observe(0, time.Second)
	f.Observe(1, time.Millisecond)
	typical := f.latency.typical
	f.Tick(25 * time.Hour)
	for i := range 2 {
		if got := float64(f.Latency(i)); math.Abs(got-typical) > 1 {
			t.Errorf("worker %d is at %v, want what is typical: %v", i, got, typical)
		}
	}
	f.Observe(1, 3*time.Millisecond)
	if got := f.Latency(1); got != 3*time.Millisecond {
		t.Errorf("a new task gives %v", got)
	}
}

func TestATaskOfNoTimeIsStillATask(t *testing.T) {
	f := newFleet(1, 1)
	f.Observe(0, 0)
	f.Observe(0, -time.Second)
	if got := f.Latency(0); got != 1 {
		t.Errorf("got %v", got)
	}
}
