package fenfatest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
)

// More tasks than an owner holds in memory wait; some of them are cancelled, in
// memory, parked and still in the log. None of those runs, over a restart either, and
// the others keep their order.
func TestCancelledTasksNeverRunWhereverTheyWait(t *testing.T) {
	const tasks, every = 6000, 500
	n := fenfatest.Start(t, fenfatest.WithQueues("q"), fenfatest.WithPartitions(1))
	c := n.Client()
	batch := make([]*fenfa.Task, tasks)
	for i := range batch {
		batch[i] = fenfa.NewTask("q", i, fenfa.Key(fmt.Sprint("k", i%2)))
	}
	if _, err := c.SubmitBatch(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	later := fenfa.NewTask("q", -1, fenfa.RunAt(time.Now().Add(time.Hour)))
	if _, err := c.Submit(t.Context(), later); err != nil {
		t.Fatal(err)
	}
	ids := []fenfa.ID{later.ID()}
	for i := every - 1; i < tasks; i += every {
		ids = append(ids, batch[i].ID())
	}
	for i, r := range cancelAll(t, c, ids) {
		if r.Err != nil || r.State != fenfa.StateCancelled {
			t.Errorf("cancel of %d: %+v", i, r)
		}
	}
	n.Restart()
	w := c.Worker(fenfa.Concurrency(4))
	ran := make(chan int, tasks)
	w.Handle("q", func(_ context.Context, task *fenfa.Task) error {
		var i int
		err := task.Decode(&i)
		ran <- i
		return err
	})
	n.Run(w)
	last := map[int]int{}
	for range tasks - len(ids) + 1 {
		i := <-ran
		if i < 0 || i%every == every-1 {
			t.Fatalf("task %d ran, which was cancelled", i)
		}
		if before, some := last[i%2]; some && i <= before {
			t.Errorf("task %d ran after %d", i, before)
		}
		last[i%2] = i
	}
	for _, id := range ids {
		if st := n.Await(t.Context(), id); st.State != fenfa.StateCancelled || st.Error != "ordered twice" || st.CreatedAt.IsZero() || st.FinishedAt.IsZero() {
			t.Errorf("a cancelled task is %+v", st)
		}
	}
	r, err := c.SubmitResult(t.Context(), batch[every-1])
	if err != nil || !r.Duplicate || r.State != fenfa.StateCancelled {
		t.Errorf("submitted again: %+v, %v", r, err)
	}
	if _, err := c.Cancel(t.Context(), fenfa.NewID(), ""); !errors.Is(err, fenfa.ErrNotFound) {
		t.Errorf("cancel of what is not there: %v", err)
	}
}

func cancelAll(t *testing.T, c *fenfa.Client, ids []fenfa.ID) []fenfa.Cancelled {
	t.Helper()
	results, err := c.CancelAll(t.Context(), ids, "ordered twice")
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func TestCancelEndsTheContextOfTheHandler(t *testing.T) {
	for _, order := range []fenfa.Order{fenfa.OrderKey, fenfa.OrderNone} {
		for _, finishes := range []bool{false, true} {
			t.Run(fmt.Sprint(order, finishes), func(t *testing.T) {
				n := fenfatest.Start(t, fenfatest.WithQueue(fenfa.Queue{Name: "q", Order: order}), fenfatest.WithPartitions(1))
				c := n.Client()
				started := make(chan struct{}, 2)
				w := c.Worker()
				w.Handle("q", func(ctx context.Context, task *fenfa.Task) error {
					started <- struct{}{}
					<-ctx.Done()
					if cause := context.Cause(ctx); !errors.Is(cause, fenfa.ErrCancelled) {
						t.Errorf("the cause is %v", cause)
					}
					task.State().Put("ran", true)
					if finishes {
						return nil
					}
					return ctx.Err()
				})
				n.Run(w)
				id, err := c.Submit(t.Context(), fenfa.NewTask("q", 1, fenfa.Key("k")))
				if err != nil {
					t.Fatal(err)
				}
				<-started
				r, err := c.Cancel(t.Context(), id, "stop it")
				if err != nil || !r.Stopping || r.State != fenfa.StateRunning {
					t.Fatalf("cancelled: %+v, %v", r, err)
				}
				want := map[bool]fenfa.LifeState{false: fenfa.StateCancelled, true: fenfa.StateDone}[finishes]
				if st := n.Await(t.Context(), id); st.State != want {
					t.Errorf("it is %s, want %s", st.State, want)
				}
				if r, err := c.Cancel(t.Context(), id, "again"); err != nil || r.State != want || r.Stopping {
					t.Errorf("cancelled again: %+v, %v", r, err)
				}
				_, err = c.State().Get(t.Context(), "k", "ran")
				if finishes && err != nil || !finishes && !errors.Is(err, fenfa.ErrNotFound) {
					t.Errorf("its write: %v", err)
				}
			})
		}
	}
}
