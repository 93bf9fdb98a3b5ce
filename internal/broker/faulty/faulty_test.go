package faulty_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/broker/brokertest"
	"github.com/fenfa/fenfa/internal/broker/embedded"
	"github.com/fenfa/fenfa/internal/broker/faulty"
	"github.com/fenfa/fenfa/internal/fault"
	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/kv/kvtest"
	"github.com/fenfa/fenfa/internal/task"
)

func healthy(fault.Op) fault.Fault { return fault.Fault{} }

func inner(t *testing.T) broker.Broker {
	t.Helper()
	db, err := kv.Open(kv.Config{Dir: "data", FS: kvtest.NewDisk().FS(), MemTableBytes: 1 << 20, CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close engine: %v", err)
		}
	})
	b, err := embedded.New(embedded.Config{DB: db})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("close broker: %v", err)
		}
	})
	return b
}

func wrap(t *testing.T, plan fault.Plan) faulty.Driver {
	t.Helper()
	b, err := faulty.New(faulty.Config{Broker: inner(t), Plan: plan})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWithoutFaultsItIsTheBrokerBelow(t *testing.T) {
	brokertest.Run(t, func(t *testing.T) brokertest.Harness {
		t.Helper()
		return brokertest.Harness{Broker: wrap(t, healthy)}
	})
}

func TestSuiteHoldsThroughFaults(t *testing.T) {
	for name, rates := range map[string]fault.Rates{
		"failures": {Fail: 0.3},
		"unknown":  {Unknown: 0.3},
		"repeats":  {Repeat: 0.4},
		"delays":   {Delay: 0.3, MaxDelay: time.Millisecond},
		"all":      {Fail: 0.15, Unknown: 0.15, Repeat: 0.15, Delay: 0.1, MaxDelay: time.Millisecond},
	} {
		for seed := range uint64(3) {
			t.Run(fmt.Sprint(name, " ", seed), func(t *testing.T) {
				var b faulty.Driver
				brokertest.RunUnreliable(t, func(t *testing.T) brokertest.Harness {
					t.Helper()
					b = wrap(t, fault.Seeded(seed, rates))
					return brokertest.Harness{Broker: b}
				})
				if rates.Delay == 0 && b.Count(fault.Fail)+b.Count(fault.Unknown)+b.Count(fault.Repeat) == 0 {
					t.Error("nothing went wrong")
				}
			})
		}
	}
}

func message(n int) broker.Message {
	return broker.Message{Queue: "q", ID: task.DeriveID(fmt.Sprint(n)), Fingerprint: uint64(n), Body: fmt.Append(nil, n)}
}

// calls makes every call of the port once, and of an open reader.
func calls(t *testing.T, b faulty.Driver, r broker.Reader) map[fault.Op]error {
	t.Helper()
	ctx := t.Context()
	errs := map[fault.Op]error{}
	errs[faulty.OpDeclare] = b.Declare(ctx, broker.Declaration{Queue: "other", Partitions: 1})
	errs[faulty.OpPublish] = b.Publish(ctx, []broker.Message{message(2)})
	_, errs[faulty.OpNext] = r.Next(ctx, broker.Limit{Tasks: 1})
	errs[faulty.OpSettle] = r.Settle(ctx, 1)
	_, errs[faulty.OpBacklog] = b.Backlog(ctx, "q")
	l, ok := b.(broker.Locator)
	if !ok {
		t.Fatal("the decorator hides that the broker can look up")
	}
	_, _, errs[faulty.OpLocate] = l.Locate(ctx, message(1).ID)
	_, errs[faulty.OpOpen] = b.Open(ctx, "q", 0, 9)
	errs[faulty.OpRemove] = b.Remove(ctx, "third")
	return errs
}

// prepared is a healthy broker with a queue, a message that was read, and one more.
func prepared(t *testing.T) (faulty.Driver, broker.Reader) {
	t.Helper()
	b := wrap(t, healthy)
	for _, queue := range []string{"q", "third"} {
		if err := b.Declare(t.Context(), broker.Declaration{Queue: queue, Partitions: 1, DedupeWindow: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Publish(t.Context(), []broker.Message{message(0), message(1)}); err != nil {
		t.Fatal(err)
	}
	r, err := b.Open(t.Context(), "q", 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	next(t, r, "0")
	return b, r
}

func next(t *testing.T, r broker.Reader, want ...string) []broker.Delivery {
	t.Helper()
	var ds []broker.Delivery
	for len(ds) < len(want) {
		more, err := r.Next(t.Context(), broker.Limit{Tasks: len(want) - len(ds)})
		if err != nil {
			t.Fatal(err)
		}
		ds = append(ds, more...)
	}
	got := make([]string, len(ds))
	for i := range ds {
		got[i] = string(ds[i].Body)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("got messages %v, want %v", got, want)
	}
	return ds
}

func TestFailedCallsChangeNothing(t *testing.T) {
	b, r := prepared(t)
	b.SetPlan(func(fault.Op) fault.Fault { return fault.Fault{Kind: fault.Fail} })
	for op, err := range calls(t, b, r) {
		if !errors.Is(err, fault.ErrInjected) {
			t.Errorf("%s: got %v", op, err)
		}
	}
	if n := b.Count(fault.Fail); n != 8 {
		t.Errorf("%d calls failed, want 8", n)
	}
	b.SetPlan(healthy)
	next(t, r, "1")
	if backlog, err := b.Backlog(t.Context(), "q"); err != nil || backlog.Tasks != 2 {
		t.Errorf("the backlog is %+v, %v", backlog, err)
	}
	if _, err := b.Backlog(t.Context(), "third"); err != nil {
		t.Errorf("the queue was removed: %v", err)
	}
	if _, err := b.Backlog(t.Context(), "other"); !errors.Is(err, broker.ErrNoQueue) {
		t.Errorf("the queue was declared: %v", err)
	}
}

func TestUnknownCallsHappen(t *testing.T) {
	b, r := prepared(t)
	b.SetPlan(func(fault.Op) fault.Fault { return fault.Fault{Kind: fault.Unknown} })
	for op, err := range calls(t, b, r) {
		if !errors.Is(err, fault.ErrUnknown) || errors.Is(err, fault.ErrInjected) {
			t.Errorf("%s: got %v", op, err)
		}
	}
	b.SetPlan(healthy)
	// The publish and the settle happened; the open ended the reader, which still
	// has what its lost read had taken.
	if backlog, err := b.Backlog(t.Context(), "q"); err != nil || backlog.Tasks != 2 {
		t.Errorf("the backlog is %+v, %v", backlog, err)
	}
	next(t, r, "1")
	if _, err := r.Next(t.Context(), broker.Limit{Tasks: 1}); !errors.Is(err, broker.ErrFenced) {
		t.Errorf("the reader was not ended: %v", err)
	}
	if _, err := b.Backlog(t.Context(), "third"); !errors.Is(err, broker.ErrNoQueue) {
		t.Errorf("the queue was not removed: %v", err)
	}
	if _, err := b.Backlog(t.Context(), "other"); err != nil {
		t.Errorf("the queue was not declared: %v", err)
	}
}

func TestRepeatedCallsHappenTwice(t *testing.T) {
	b, r := prepared(t)
	b.SetPlan(fault.Script(faulty.OpPublish, fault.Fault{Kind: fault.Repeat}))
	var failed *broker.PublishError
	if err := b.Publish(t.Context(), []broker.Message{message(2)}); !errors.As(err, &failed) || !errors.Is(failed.Failed[0], broker.ErrDuplicate) {
		t.Errorf("the second publish was told %v", err)
	}
	b.SetPlan(fault.Script(faulty.OpNext, fault.Fault{Kind: fault.Repeat}))
	ds := next(t, r, "0")
	if ds[0].Fresh {
		t.Error("what was read again is called fresh")
	}
	b.SetPlan(fault.Script(faulty.OpSettle, fault.Fault{Kind: fault.Repeat}))
	if err := r.Settle(t.Context(), ds[0].Position); err != nil {
		t.Errorf("settle twice: %v", err)
	}
	next(t, r, "1", "2")
}

func TestLostReadsAreGivenWithinTheNextLimit(t *testing.T) {
	b, r := prepared(t)
	if err := b.Publish(t.Context(), []broker.Message{message(2), message(3)}); err != nil {
		t.Fatal(err)
	}
	b.SetPlan(fault.Script(faulty.OpNext, fault.Fault{Kind: fault.Unknown}))
	if _, err := r.Next(t.Context(), broker.Limit{Tasks: 3}); !errors.Is(err, fault.ErrUnknown) {
		t.Fatalf("got %v", err)
	}
	next(t, r, "1")
	next(t, r, "2", "3")
}

func TestScriptHitsOneKindOfCallInOrder(t *testing.T) {
	b, _ := prepared(t)
	b.SetPlan(fault.Script(faulty.OpBacklog, fault.Fault{}, fault.Fault{Kind: fault.Fail}, fault.Fault{Kind: fault.Unknown}))
	for i, want := range []error{nil, fault.ErrInjected, fault.ErrUnknown, nil, nil} {
		if err := b.Publish(t.Context(), []broker.Message{message(10 + i)}); err != nil {
			t.Errorf("publish %d: %v", i, err)
		}
		if _, err := b.Backlog(t.Context(), "q"); !errors.Is(err, want) {
			t.Errorf("backlog %d: got %v, want %v", i, err, want)
		}
	}
}

// idle answers everything at once; only what is asked of it is there.
type idle struct{ broker.Broker }

func (idle) Backlog(context.Context, string) (broker.Backlog, error) { return broker.Backlog{}, nil }

func TestDelayedCallsWaitFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := faulty.New(faulty.Config{Broker: idle{}, Plan: func(fault.Op) fault.Fault { return fault.Fault{Delay: time.Minute} }})
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := b.(broker.Locator); ok {
			t.Error("the decorator can look up what the broker below cannot")
		}
		before := time.Now()
		if _, err := b.Backlog(t.Context(), "q"); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(before); waited != time.Minute {
			t.Errorf("waited %v", waited)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.Backlog(ctx, "q"); !errors.Is(err, fault.ErrInjected) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestBrokerAndPlanAreRequired(t *testing.T) {
	for name, cfg := range map[string]faulty.Config{"broker": {Plan: healthy}, "plan": {Broker: idle{}}} {
		if _, err := faulty.New(cfg); err == nil {
			t.Errorf("no %s: no error", name)
		}
	}
}
