package fenfatest_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
)

// eventually waits until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-late.C:
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// submitKeys submits tasks, each with a key of its own.
func submitKeys(t *testing.T, c *fenfa.Client, queue string, n int) {
	t.Helper()
	tasks := make([]*fenfa.Task, n)
	for i := range tasks {
		tasks[i] = fenfa.NewTask(queue, i, fenfa.Key(fmt.Sprint("key-", i)))
	}
	results, err := c.SubmitBatch(t.Context(), tasks)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
}

func TestTheConcurrencyOfAQueueHoldsOverAllWorkersAndChangesAtOnce(t *testing.T) {
	n := fenfatest.Start(t, fenfatest.WithQueue(fenfa.Queue{Name: "calls", Concurrency: 3}))
	var running, most, ended atomic.Int64
	open := make(chan struct{})
	for i := range 2 {
		w := n.Client().Worker(fenfa.WorkerID(fmt.Sprint("w", i)), fenfa.Concurrency(20))
		w.Handle("calls", func(ctx context.Context, _ *fenfa.Task) error {
			now := running.Add(1)
			for seen := most.Load(); now > seen; seen = most.Load() {
				if most.CompareAndSwap(seen, now) {
					break
				}
			}
			defer running.Add(-1)
			select {
			case <-open:
				ended.Add(1)
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		n.Run(w)
	}
	submitKeys(t, n.Client(), "calls", 40)
	limited := func(by string) func() bool {
		return func() bool {
			q, err := n.Client().DescribeQueue(t.Context(), "calls")
			return err == nil && q.Stats.LimitedBy == by
		}
	}
	eventually(t, "three run", func() bool { return running.Load() == 3 })
	eventually(t, "the queue says that it waits for its concurrency", limited("concurrency"))
	if _, _, err := n.Client().ConfigureQueue(t.Context(), fenfa.Queue{Name: "calls", Concurrency: 5}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "five run", func() bool { return running.Load() == 5 })
	close(open)
	eventually(t, "all tasks ended", func() bool { return ended.Load() == 40 })
	if most.Load() != 5 {
		t.Errorf("%d ran at a time, want at most 5", most.Load())
	}
	eventually(t, "nothing waits any more", limited(""))
}

func TestTheRateOfAQueueHolds(t *testing.T) {
	n := fenfatest.Start(t, fenfatest.WithQueue(fenfa.Queue{Name: "mails", Rate: fenfa.Rate{PerSecond: 100, Burst: 5}}))
	var ended atomic.Int64
	w := n.Client().Worker(fenfa.Concurrency(20))
	w.Handle("mails", func(context.Context, *fenfa.Task) error {
		ended.Add(1)
		return nil
	})
	n.Run(w)
	began := time.Now()
	submitKeys(t, n.Client(), "mails", 45)
	eventually(t, "all tasks ended", func() bool { return ended.Load() == 45 })
	if took := time.Since(began); took < 400*time.Millisecond {
		t.Errorf("45 tasks took %v, though 40 of them waited for 10 ms each", took)
	}
	submitKeys(t, n.Client(), "mails", 1)
	if _, _, err := n.Client().ConfigureQueue(t.Context(), fenfa.Queue{Name: "mails", Rate: fenfa.Rate{PerSecond: fenfa.NoLimit}}); err != nil {
		t.Fatal(err)
	}
	submitKeys(t, n.Client(), "mails", 500)
	eventually(t, "all tasks ended without the rate", func() bool { return ended.Load() == 546 })
}
