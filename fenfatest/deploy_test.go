package fenfatest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
)

// TestARollingDeployUnderLoadLosesNothing replaces every worker of a busy fleet, some
// by their own end and some by the node, while tasks of keys count in records.
func TestARollingDeployUnderLoadLosesNothing(t *testing.T) {
	n := fenfatest.Start(t, fenfatest.WithQueues("q"), fenfatest.WithQueue(fenfa.Queue{Name: "free", Order: fenfa.OrderNone}))
	c := n.Client()
	const fleet, keys, each, rounds = 4, 20, 60, 3
	counts := func(ctx context.Context, task *fenfa.Task) error {
		var count int
		if err := task.State().Get(ctx, "count", &count); err != nil && !errors.Is(err, fenfa.ErrNotFound) {
			return err
		}
		select {
		case <-time.After(500 * time.Microsecond):
		case <-ctx.Done():
			return ctx.Err()
		}
		task.State().Put("count", count+1)
		return task.Return(count)
	}
	start := func(id string) (stop func()) {
		w := c.Worker(fenfa.WorkerID(id), fenfa.Concurrency(4))
		w.Handle("q", counts)
		w.Handle("free", nothing)
		return n.Run(w)
	}
	stops := make([]func(), fleet)
	for i := range stops {
		stops[i] = start(fmt.Sprint("w", i, " of round 0"))
	}
	var tasks []*fenfa.Task
	for i := range each {
		for k := range keys {
			tasks = append(tasks, fenfa.NewTask("q", i, fenfa.Key(fmt.Sprint("key ", k))), fenfa.NewTask("free", i))
		}
	}
	submitted := make(chan struct{})
	go func() {
		defer close(submitted)
		for batch := range slices.Chunk(tasks, keys) {
			if _, err := c.SubmitBatch(t.Context(), batch); err != nil {
				t.Error(err)
			}
		}
	}()
	for round := 1; round <= rounds; round++ {
		for i := range stops {
			next := start(fmt.Sprint("w", i, " of round ", round))
			if i%2 == 0 {
				awaitDrain(t, c, fmt.Sprint("w", i, " of round ", round-1))
			}
			stops[i]()
			stops[i] = next
		}
	}
	<-submitted
	next := map[string]int{}
	for i, task := range tasks {
		st := n.Await(t.Context(), task.ID())
		if st.State != fenfa.StateDone || st.Attempts != 0 {
			t.Fatalf("task %d: %s after %d failed attempts: %s", i, st.State, st.Attempts, st.Error)
		}
		if key := task.Key(); key != "" {
			if got := string(st.Result); got != fmt.Sprint(next[key]) {
				t.Fatalf("task %d of %s counted %s before it: it ran out of order, or twice", next[key], key, got)
			}
			next[key]++
		}
	}
}

// awaitDrain sends a worker away and waits until it is gone.
func awaitDrain(t *testing.T, c *fenfa.Client, id string) {
	t.Helper()
	for {
		if _, err := c.DrainWorker(t.Context(), id); err == nil {
			break
		} else if !errors.Is(err, fenfa.ErrNotFound) { // It may not be connected yet.
			t.Fatal(err)
		}
	}
	for {
		workers, err := c.Workers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		gone := true
		for i := range workers {
			gone = gone && workers[i].ID != id
		}
		if gone {
			return
		}
	}
}
