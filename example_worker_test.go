package fenfa_test

import (
	"context"
	"errors"
	"net/http"
	"os/signal"
	"syscall"
	"time"

	"github.com/fenfa/fenfa"
)

// Order is an order of some pieces of one article.
type Order struct {
	SKU  string
	User string
	Qty  int
}

// Stock is what there is of an article.
type Stock struct{ Available int }

// SoldOut is the result of an order that came too late.
const SoldOut = "sold out"

// This worker sells what there is and not more, whatever breaks: the stock is a
// record of the order's key, and the new stock, the payment and the order's
// result take effect together, once.
func ExampleWorker() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	c := dial()
	defer hangUp(c)

	w := c.Worker(fenfa.Concurrency(64))
	w.Handle("orders", func(ctx context.Context, t *fenfa.Task) error {
		var o Order
		if err := t.Decode(&o); err != nil {
			return fenfa.Reject(err) // a dead letter: it would not get better
		}
		var s Stock
		if err := t.State().Get(ctx, "stock", &s); err != nil {
			return err // tried again later
		}
		if s.Available < o.Qty {
			return t.Return(SoldOut) // a result, not a failure
		}
		s.Available -= o.Qty
		t.State().Put("stock", s)
		t.Emit(fenfa.NewTask("payments", o, fenfa.Key(o.User)))
		return nil
	})
	if err := w.Run(ctx); err != nil { // until the process is asked to end; finishes what it has
		panic(err)
	}
}

// A handler that calls others hands its context on: it ends when the attempt's
// time is over, or when the node has given the task to another worker.
func ExampleRetryAfter() {
	c := dial()
	defer hangUp(c)

	w := c.Worker()
	w.Handle("webhooks", func(ctx context.Context, t *fenfa.Task) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.Header("url"), http.NoBody)
		if err != nil {
			return fenfa.Reject(err)
		}
		req.Header.Set("Idempotency-Key", t.ID().String()) // for whom it may reach twice
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		if err := resp.Body.Close(); err != nil {
			return err
		}
		switch {
		case resp.StatusCode == http.StatusTooManyRequests:
			return fenfa.RetryAfter(time.Minute, errors.New(resp.Status))
		case resp.StatusCode >= http.StatusBadRequest:
			return errors.New(resp.Status)
		}
		return t.Return(resp.StatusCode)
	})
	if err := w.Run(context.Background()); err != nil {
		panic(err)
	}
}
