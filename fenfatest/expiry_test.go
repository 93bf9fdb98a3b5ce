package fenfatest_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
)

// TestAWaiterHearsOfATaskThatExpiresWhereverItWaits has tasks that nobody can run: in
// a queue without a worker, over a restart, in a paused queue, and behind a task of
// their key that waits for its next attempt.
func TestAWaiterHearsOfATaskThatExpiresWhereverItWaits(t *testing.T) {
	n := fenfatest.Start(t, fenfatest.WithQueues("idle", "paused", "orders"))
	c := n.Client()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := c.PauseQueue(ctx, "paused"); err != nil {
		t.Fatal(err)
	}
	w := c.Worker()
	failed := make(chan struct{}, 1)
	w.Handle("orders", func(context.Context, *fenfa.Task) error {
		failed <- struct{}{}
		return fenfa.RetryAfter(time.Hour, errors.New("not before tomorrow"))
	})
	w.Handle("paused", func(context.Context, *fenfa.Task) error { return nil })
	n.Run(w)
	if _, err := c.Submit(ctx, fenfa.NewTask("orders", 1, fenfa.Key("order-1"))); err != nil {
		t.Fatal(err)
	}
	<-failed
	submit := func(queue string, options ...fenfa.TaskOption) fenfa.SubmitResult {
		options = append(options, fenfa.ExpiresAt(time.Now().Add(time.Second)))
		r, err := c.SubmitBatch(ctx, []*fenfa.Task{fenfa.NewTask(queue, 2, options...)})
		if err != nil || r[0].Err != nil {
			t.Fatal(err, r[0].Err)
		}
		return r[0]
	}
	only := fenfa.OnlyOne(fenfa.Unique{})
	ids := []fenfa.ID{submit("paused").ID, submit("orders", fenfa.Key("order-1")).ID, submit("idle", only).ID}
	n.Restart()
	for st, err := range c.WaitAll(ctx, ids...) {
		if err != nil {
			t.Fatal(err)
		}
		if st.State != fenfa.StateExpired || !strings.Contains(st.Error, "expired at") || st.Attempts != 0 {
			t.Errorf("%+v", st)
		}
	}
	// What was to be the only one of its content is not in the way any more.
	if r := submit("idle", only); r.Duplicate || r.ID == ids[2] {
		t.Errorf("another one of the same content: %+v", r)
	}
}
