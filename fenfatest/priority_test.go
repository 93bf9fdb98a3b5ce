package fenfatest_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
)

// TestUrgentTasksOvertakeADeepBacklog has far more low tasks than a node holds in
// memory, with high ones behind them.
func TestUrgentTasksOvertakeADeepBacklog(t *testing.T) {
	const low, high = 12_000, 10
	n := fenfatest.Start(t, fenfatest.WithPartitions(1), fenfatest.WithQueue(fenfa.Queue{Name: "mail", Priorities: fenfa.SwitchOn}))
	submitOf(t, n.Client(), low, fenfa.PriorityLow)
	urgent := submitOf(t, n.Client(), high, fenfa.PriorityHigh)
	eventually(t, "the last urgent task was read", func() bool {
		x, err := n.Client().Explain(t.Context(), urgent[high-1])
		return err == nil && x.Reason == fenfa.ReasonNoWorker && x.Ahead == 0
	})
	var lowly, hasty, before atomic.Int64
	w := n.Client().Worker(fenfa.Concurrency(2))
	w.Handle("mail", func(_ context.Context, task *fenfa.Task) error {
		switch {
		case task.Type() == "low":
			lowly.Add(1)
		case hasty.Add(1) == high:
			before.Store(lowly.Load())
		}
		return nil
	})
	n.Run(w)
	eventually(t, "all urgent tasks ran", func() bool { return hasty.Load() == high })
	if got := before.Load(); got > low/3 {
		t.Errorf("%d of %d low tasks ran before the last of %d urgent ones", got, low, high)
	}
	n.Restart()
	if _, _, err := n.Client().ConfigureQueue(t.Context(), fenfa.Queue{Name: "mail", Priorities: fenfa.SwitchOff}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all tasks ran, also those of logs that are not written to any more", func() bool { return lowly.Load() >= low })
}

// submitOf submits tasks of a priority without a key.
func submitOf(t *testing.T, c *fenfa.Client, n int, p fenfa.Priority) (ids []fenfa.ID) {
	t.Helper()
	for len(ids) < n {
		tasks := make([]*fenfa.Task, min(1000, n-len(ids)))
		for i := range tasks {
			tasks[i] = fenfa.NewTask("mail", i, fenfa.WithPriority(p), fenfa.Type(map[fenfa.Priority]string{fenfa.PriorityLow: "low", fenfa.PriorityHigh: "high"}[p]))
		}
		results, err := c.SubmitBatch(t.Context(), tasks)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range results {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			ids = append(ids, r.ID)
		}
	}
	return ids
}
