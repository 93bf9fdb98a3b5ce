package fenfatest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
)

func TestARunningHandlerShowsHowFarItIsAndGetsMoreTime(t *testing.T) {
	n := fenfatest.Start(t, fenfatest.WithQueue(fenfa.Queue{
		Name: "renders", Timeout: time.Minute, Retry: fenfa.RetryPolicy{Base: time.Millisecond, Max: time.Millisecond},
	}))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	attempts := make(chan time.Time, 1)
	goOn := make(chan struct{})
	w := n.Client().Worker()
	w.Handle("renders", func(ctx context.Context, task *fenfa.Task) error {
		if task.Attempt() == 1 {
			return errors.New("not yet")
		}
		if err := task.Extend(10 * time.Hour); err != nil {
			return err
		}
		task.Progress(0.5, "half of it")
		deadline, _ := ctx.Deadline()
		attempts <- deadline
		select {
		case <-goOn:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	n.Run(w)
	task := fenfa.NewTask("renders", "x")
	if _, err := n.Client().Submit(ctx, task); err != nil {
		t.Fatal(err)
	}
	if left := time.Until(<-attempts); left < 9*time.Hour {
		t.Errorf("the context ends in %v, want 10 hours", left)
	}
	var st *fenfa.TaskStatus
	eventually(t, "the progress is shown", func() bool {
		var err error
		st, err = n.Client().Task(ctx, task.ID())
		return err == nil && st.Running != nil && st.Running.Progress != nil
	})
	r := st.Running
	if r.Progress.Ratio != 0.5 || r.Progress.Text != "half of it" || r.Progress.At.IsZero() || r.StartedAt.IsZero() || r.HeardAt.IsZero() {
		t.Errorf("running %+v, progress %+v", r, r.Progress)
	}
	if left := time.Until(r.Deadline); left < 9*time.Hour {
		t.Errorf("the node waits for %v, want 10 hours", left)
	}
	if len(st.History) != 1 || st.History[0].StartedAt.IsZero() || st.History[0].At.Before(st.History[0].StartedAt) || st.History[0].Worker != w.ID() {
		t.Errorf("history %+v", st.History)
	}
	failed := st.History[0] // What has ended as done keeps no history.
	close(goOn)
	st, err := n.Client().Wait(ctx, task.ID())
	if err != nil || st.State != fenfa.StateDone {
		t.Errorf("%+v, %v", st, err)
	}
	if st, err = n.Client().Task(ctx, task.ID()); err != nil || st.Running != nil {
		t.Errorf("the end is %+v, %v", st, err)
	}
	if st.StartedAt.Before(failed.At) || st.FinishedAt.Before(st.StartedAt) {
		t.Errorf("it began at %v and ended at %v, after an attempt that ended at %v", st.StartedAt, st.FinishedAt, failed.At)
	}
}
