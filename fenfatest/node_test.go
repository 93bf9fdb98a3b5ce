package fenfatest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(int) { http.DefaultClient.CloseIdleConnections() }))
}

// Order is what the tests order.
type Order struct {
	SKU string
	Qty int
}

// sell takes an order from its article's stock.
func sell(ctx context.Context, t *fenfa.Task) error {
	var o Order
	if err := t.Decode(&o); err != nil {
		return fenfa.Reject(err)
	}
	var stock int
	if err := t.State().Get(ctx, "stock", &stock); err != nil {
		return err
	}
	if stock < o.Qty {
		return t.Return("sold out")
	}
	t.State().Put("stock", stock-o.Qty)
	t.Emit(fenfa.NewTask("payments", o.Qty, fenfa.Key("payer of "+o.SKU)))
	return t.Return("sold")
}

func TestOrdersAreSoldOnceAndNotOversoldOverARestart(t *testing.T) {
	n := fenfatest.Start(t, fenfatest.WithQueues("orders", "payments"))
	c := n.Client()
	const skus, each, stock = 5, 40, 25
	for i := range skus {
		if _, err := c.State().Put(t.Context(), sku(i), "stock", stock, 0); err != nil {
			t.Fatal(err)
		}
	}
	w := c.Worker(fenfa.Concurrency(8))
	w.Handle("orders", sell)
	w.Handle("payments", func(ctx context.Context, t *fenfa.Task) error {
		var total, qty int
		if err := t.Decode(&qty); err != nil {
			return fenfa.Reject(err)
		}
		if err := t.State().Get(ctx, "total", &total); err != nil && !errors.Is(err, fenfa.ErrNotFound) {
			return err
		}
		t.State().Put("total", total+qty)
		return nil
	})
	stop := n.Run(w)
	ids := make([][]fenfa.ID, skus)
	half := make(chan struct{}, skus)
	var wg sync.WaitGroup
	for i := range skus {
		wg.Go(func() {
			for k := range each {
				id, err := c.Submit(t.Context(), fenfa.NewTask("orders", Order{SKU: sku(i), Qty: 1}, fenfa.Key(sku(i))))
				if err != nil {
					t.Error(err)
					return
				}
				ids[i] = append(ids[i], id)
				if k == each/2 {
					half <- struct{}{}
				}
			}
		})
	}
	<-half
	n.Restart()
	wg.Wait()
	for i := range ids {
		for k, id := range ids[i] {
			want := "sold"
			if k >= stock {
				want = "sold out"
			}
			if st := n.Await(t.Context(), id); st.State != fenfa.StateDone || string(st.Result) != want || st.Attempts > 0 {
				t.Errorf("order %d of %s: %s %q after %d failures (%s), want %q", k, sku(i), st.State, st.Result, st.Attempts, st.Error, want)
			}
		}
		r, err := c.State().Get(t.Context(), sku(i), "stock")
		if err != nil || string(r.Value) != "0" {
			t.Errorf("stock of %s: %q, %v", sku(i), r.Value, err)
		}
		awaitPayments(t, c, "payer of "+sku(i), stock)
	}
	stop()
}

func sku(i int) string { return fmt.Sprint("sku-", i) }

// awaitPayments waits until the record says so much. Payments are tasks of their
// own, which may come a moment later.
func awaitPayments(t *testing.T, c *fenfa.Client, payer string, want int) {
	t.Helper()
	for {
		r, err := c.State().Get(t.Context(), payer, "total")
		if err != nil && !errors.Is(err, fenfa.ErrNotFound) {
			t.Fatal(err)
		}
		have, _ := strconv.Atoi(string(r.Value))
		switch {
		case have == want:
			return
		case have > want:
			t.Fatalf("%s has paid %d, want %d", payer, have, want)
		case t.Context().Err() != nil:
			t.Fatalf("%s has paid %d when the test's time was over, want %d", payer, have, want)
		}
	}
}

func TestQueueSettingsHold(t *testing.T) {
	n := fenfatest.Start(t,
		fenfatest.WithQueue(fenfa.Queue{Name: "free", Order: fenfa.OrderNone}),
		fenfatest.WithQueue(fenfa.Queue{Name: "picky", Retry: fenfa.RetryPolicy{Base: 1, Factor: 1, Max: 1, MaxAttempts: 3}}),
	)
	c := n.Client()
	w := c.Worker()
	w.Handle("free", func(_ context.Context, t *fenfa.Task) error { return t.Return(t.Queue()) })
	w.Handle("picky", func(context.Context, *fenfa.Task) error { return errors.New("never good enough") })
	n.Run(w)
	results, err := c.SubmitBatch(t.Context(), []*fenfa.Task{
		fenfa.NewTask("free", 1), fenfa.NewTask("picky", 2, fenfa.Key("k")), fenfa.NewTask("nowhere", 3),
	})
	if err != nil || fenfa.CodeOf(results[2].Err) != fenfa.CodeNotFound {
		t.Fatalf("results %+v, %v", results, err)
	}
	if st := n.Await(t.Context(), results[0].ID); st.State != fenfa.StateDone || string(st.Result) != "free" {
		t.Errorf("a task without order: %+v", st)
	}
	st := n.Await(t.Context(), results[1].ID)
	if st.State != fenfa.StateDead || st.Attempts != 3 || st.Error != "never good enough" {
		t.Errorf("a task that always fails: %+v", st)
	}
	dead, err := c.DeadLetter(t.Context(), results[1].ID)
	if err != nil || len(dead.History) != 3 || string(dead.Task.Payload()) != "2" {
		t.Errorf("dead letter %+v, %v", dead, err)
	}
}

func TestARecordThatChangedMakesTheHandlerRunAgain(t *testing.T) {
	n := fenfatest.Start(t, fenfatest.WithQueues("q"))
	c := n.Client()
	runs := 0
	w := c.Worker()
	w.Handle("q", func(ctx context.Context, task *fenfa.Task) error {
		runs++
		value, _, err := task.State().GetRaw(ctx, "r")
		if err != nil {
			return err
		}
		if runs == 1 { // Somebody else writes between our read and our commit.
			if _, err := c.State().PutAny(ctx, "k", "r", "other "); err != nil {
				return err
			}
		}
		task.State().PutRaw("r", append(value, "mine"...))
		return nil
	})
	n.Run(w)
	id, err := c.Submit(t.Context(), fenfa.NewTask("q", nil, fenfa.Key("k")))
	if err != nil {
		t.Fatal(err)
	}
	if st := n.Await(t.Context(), id); st.State != fenfa.StateDone || st.Attempts != 0 {
		t.Errorf("status %+v", st)
	}
	r, err := c.State().Get(t.Context(), "k", "r")
	if err != nil || string(r.Value) != "other mine" || r.TaskID != id || runs != 2 {
		t.Errorf("record %q by %s after %d runs, %v", r.Value, r.TaskID, runs, err)
	}
	changes, _, err := c.State().History(t.Context(), "k", "r", 0, 0)
	if err != nil || len(changes) != 2 || changes[1].TaskID != id || changes[1].VersionAfter != r.Version {
		t.Errorf("history %+v, %v", changes, err)
	}
}

func TestTheNodeIsShownAsItIs(t *testing.T) {
	n := fenfatest.Start(t, fenfatest.WithQueues("q"), fenfatest.WithPartitions(2), fenfatest.WithDataDir(t.TempDir()))
	h, err := n.Client().Health(t.Context())
	if err != nil || !h.Ready || h.Partitions != 2 || h.Durability != "fsync" {
		t.Errorf("health %+v, %v", h, err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+n.HTTPAddr()+"/readyz", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("readyz: %s, %v", resp.Status, err)
	}
}
