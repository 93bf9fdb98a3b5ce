package faulty_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fenfa/fenfa/internal/fault"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/faulty"
	"github.com/fenfa/fenfa/internal/store/storefake"
	"github.com/fenfa/fenfa/internal/store/storetest"
)

func open(t *testing.T, plan fault.Plan) *faulty.Store {
	t.Helper()
	s, err := faulty.New(faulty.Config{Store: storefake.New(storefake.Config{AutoSync: true}), Plan: plan})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func healthy(fault.Op) fault.Fault { return fault.Fault{} }

func TestWithoutFaultsItIsTheStoreBelow(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		t.Helper()
		inner := storefake.New(storefake.Config{AutoSync: true})
		s, err := faulty.New(faulty.Config{Store: inner, Plan: healthy})
		if err != nil {
			t.Fatal(err)
		}
		return storetest.Harness{Store: s, Reopen: func(*testing.T) store.Store {
			inner.Crash()
			return s
		}}
	})
}

// calls makes every call of the port once; each changes or reads something.
func calls(t *testing.T, s store.Store) map[fault.Op]error {
	t.Helper()
	ctx := t.Context()
	errs := map[fault.Op]error{}
	fence, err := s.Claim(ctx, 1, 7)
	errs[faulty.OpClaim] = err
	fence.Epoch = 7
	errs[faulty.OpCommit] = s.Commit(ctx, []store.Batch{{
		Part: 1, Prev: fence, Next: store.Fence{Epoch: 7, HLC: 1}, Puts: []store.Row{&store.Outbox{Seq: 1}},
	}})
	_, errs[faulty.OpLoad] = s.Load(ctx, store.Scan{Part: 1, Table: store.TableOutbox, Limit: 1})
	_, errs[faulty.OpGet] = s.Get(ctx, 1, []store.Row{&store.Outbox{Seq: 1}})
	_, errs[faulty.OpMetaPut] = s.Meta().Put(ctx, "a", []byte("b"), 0)
	_, _, errs[faulty.OpMetaGet] = s.Meta().Get(ctx, "a")
	_, errs[faulty.OpMetaList] = s.Meta().List(ctx, "")
	return errs
}

func TestFailedCallsChangeNothing(t *testing.T) {
	s := open(t, func(fault.Op) fault.Fault { return fault.Fault{Kind: fault.Fail} })
	for op, err := range calls(t, s) {
		if !errors.Is(err, fault.ErrInjected) {
			t.Errorf("%s: got %v", op, err)
		}
	}
	if n := s.Count(fault.Fail); n != 7 {
		t.Errorf("%d calls failed, want 7", n)
	}
	s.SetPlan(healthy)
	if fence, err := s.Claim(t.Context(), 1, 0); err != nil || fence != (store.Fence{Epoch: 1}) {
		t.Errorf("the partition was touched: %+v, %v", fence, err)
	}
	if entries, err := s.Meta().List(t.Context(), ""); err != nil || len(entries) != 0 {
		t.Errorf("named values were touched: %v, %v", entries, err)
	}
}

func TestUnknownCallsHappen(t *testing.T) {
	s := open(t, func(fault.Op) fault.Fault { return fault.Fault{Kind: fault.Unknown} })
	for op, err := range calls(t, s) {
		if !errors.Is(err, fault.ErrUnknown) || errors.Is(err, fault.ErrInjected) {
			t.Errorf("%s: got %v", op, err)
		}
	}
	s.SetPlan(healthy)
	if fence, err := s.Claim(t.Context(), 1, 0); err != nil || fence != (store.Fence{Epoch: 8, HLC: 1}) {
		t.Errorf("the claim or the commit did not happen: %+v, %v", fence, err)
	}
	rows, err := s.Load(t.Context(), store.Scan{Part: 1, Table: store.TableOutbox, Limit: 9})
	if err != nil || len(rows) != 1 {
		t.Errorf("the commit's row is missing: %v, %v", rows, err)
	}
	if value, _, err := s.Meta().Get(t.Context(), "a"); err != nil || string(value) != "b" {
		t.Errorf("the named value is %q, %v", value, err)
	}
}

func TestScriptHitsOneKindOfCallInOrder(t *testing.T) {
	s := open(t, fault.Script(faulty.OpMetaGet, fault.Fault{}, fault.Fault{Kind: fault.Fail}, fault.Fault{Kind: fault.Unknown}))
	want := []error{nil, fault.ErrInjected, fault.ErrUnknown, nil, nil}
	for i, want := range want {
		if _, err := s.Meta().List(t.Context(), ""); err != nil {
			t.Errorf("list %d: %v", i, err)
		}
		if _, _, err := s.Meta().Get(t.Context(), "a"); !errors.Is(err, want) {
			t.Errorf("get %d: got %v, want %v", i, err, want)
		}
	}
}

func TestDelayedCallsWaitFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, func(fault.Op) fault.Fault { return fault.Fault{Delay: time.Minute} })
		before := time.Now()
		if _, err := s.Claim(t.Context(), 1, 0); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(before); waited != time.Minute {
			t.Errorf("waited %v", waited)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Claim(ctx, 1, 0); !errors.Is(err, fault.ErrInjected) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestStoreAndPlanAreRequired(t *testing.T) {
	for name, cfg := range map[string]faulty.Config{
		"store": {Plan: healthy},
		"plan":  {Store: storefake.New(storefake.Config{})},
	} {
		if _, err := faulty.New(cfg); err == nil {
			t.Errorf("no %s: no error", name)
		}
	}
}
