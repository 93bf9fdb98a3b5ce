package fault_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fenfa/fenfa/internal/fault"
)

func TestSeededPlansRepeatAndKeepTheirRates(t *testing.T) {
	const n = 10_000
	rates := fault.Rates{Fail: 0.1, Unknown: 0.2, Repeat: 0.3, Delay: 0.5, MaxDelay: time.Second}
	trace := func(seed uint64) (faults []fault.Fault) {
		plan := fault.Seeded(seed, rates)
		for range n {
			faults = append(faults, plan("any"))
		}
		return faults
	}
	first := trace(1)
	if fmt.Sprint(first) != fmt.Sprint(trace(1)) {
		t.Error("the same seed gave other faults")
	}
	if fmt.Sprint(first) == fmt.Sprint(trace(2)) {
		t.Error("another seed gave the same faults")
	}
	count := map[fault.Kind]int{}
	delayed := 0
	for _, f := range first {
		count[f.Kind]++
		if f.Delay < 0 || f.Delay > time.Second {
			t.Fatalf("a delay of %v", f.Delay)
		}
		if f.Delay > 0 {
			delayed++
		}
	}
	for name, c := range map[string]struct{ got, want int }{
		"fail":    {count[fault.Fail], 1000},
		"unknown": {count[fault.Unknown], 2000},
		"repeat":  {count[fault.Repeat], 3000},
		"delay":   {delayed, 5000},
	} {
		if c.got < c.want*9/10 || c.got > c.want*11/10 {
			t.Errorf("%s: %d of %d, want about %d", name, c.got, n, c.want)
		}
	}
}

// called runs a call under a plan that always answers with the fault, and returns
// how often it was carried out.
func called(t *testing.T, f fault.Fault) (times int, err error) {
	t.Helper()
	i := fault.NewInjector(func(fault.Op) fault.Fault { return f }, nil)
	err = i.Do(t.Context(), "call", func() error { times++; return nil })
	if got := i.Count(f.Kind); got != 1 {
		t.Errorf("%d calls were counted", got)
	}
	return times, err
}

func TestACallGoesAsThePlanSays(t *testing.T) {
	for kind, want := range map[fault.Kind]struct {
		times int
		err   error
	}{
		fault.None: {1, nil}, fault.Fail: {0, fault.ErrInjected}, fault.Unknown: {1, fault.ErrUnknown}, fault.Repeat: {2, nil},
	} {
		if times, err := called(t, fault.Fault{Kind: kind}); times != want.times || !errors.Is(err, want.err) {
			t.Errorf("kind %d: carried out %d times, %v", kind, times, err)
		}
	}
}

func TestAPlanCanBeReplaced(t *testing.T) {
	i := fault.NewInjector(fault.Script("a", fault.Fault{Kind: fault.Fail}), nil)
	call := func(op fault.Op) error { return i.Do(t.Context(), op, func() error { return nil }) }
	if err := call("b"); err != nil {
		t.Errorf("another call: %v", err)
	}
	if err := call("a"); !errors.Is(err, fault.ErrInjected) {
		t.Errorf("the call of the script: %v", err)
	}
	i.SetPlan(func(fault.Op) fault.Fault { return fault.Fault{Kind: fault.Unknown} })
	if err := call("b"); !errors.Is(err, fault.ErrUnknown) {
		t.Errorf("with the new plan: %v", err)
	}
}

func TestADelayEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := fault.NewInjector(func(fault.Op) fault.Fault { return fault.Fault{Delay: time.Minute} }, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		err := i.Do(ctx, "call", func() error { t.Error("it was carried out"); return nil })
		if !errors.Is(err, fault.ErrInjected) || !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}
