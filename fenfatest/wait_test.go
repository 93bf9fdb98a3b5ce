package fenfatest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
)

func TestAWaiterHearsHowTasksEndedOverARestart(t *testing.T) {
	n := fenfatest.Start(t, fenfatest.WithQueues("renders"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	good, bad, unknown := fenfa.NewTask("renders", "good"), fenfa.NewTask("renders", "bad"), fenfa.NewID()
	for _, task := range []*fenfa.Task{good, bad} {
		if _, err := n.Client().Submit(ctx, task); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.Client().Wait(ctx, unknown); !errors.Is(err, fenfa.ErrNotFound) {
		t.Errorf("a wait for an unknown task: %v", err)
	}
	short, stop := context.WithTimeout(ctx, 50*time.Millisecond)
	defer stop()
	if _, err := n.Client().Wait(short, good.ID()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a wait that is given up: %v", err)
	}
	type end struct {
		st  *fenfa.TaskStatus
		err error
	}
	ends := make(chan end)
	go func() {
		defer close(ends)
		for st, err := range n.Client().WaitAll(ctx, good.ID(), bad.ID(), unknown) {
			ends <- end{st, err}
		}
	}()
	if first := <-ends; first.st == nil || first.st.ID != unknown || !errors.Is(first.err, fenfa.ErrNotFound) {
		t.Fatalf("first %+v", first)
	}
	n.Restart()
	w := n.Client().Worker()
	w.Handle("renders", func(_ context.Context, task *fenfa.Task) error {
		var text string
		if err := task.Decode(&text); err != nil {
			return err
		}
		if text == "bad" {
			return fenfa.Reject(errors.New("it cannot be"))
		}
		return task.Return("picture of " + text)
	})
	n.Run(w)
	states := map[fenfa.ID]string{}
	for e := range ends {
		if e.err != nil {
			t.Fatal(e.err)
		}
		states[e.st.ID] = string(e.st.State) + " " + string(e.st.Result) + e.st.Error
	}
	if states[good.ID()] != "done picture of good" || states[bad.ID()] != "dead it cannot be" {
		t.Errorf("ends are %v", states)
	}
	st, err := n.Client().SubmitAndWait(ctx, fenfa.NewTask("renders", "more"))
	if err != nil || string(st.Result) != "picture of more" || st.State != fenfa.StateDone {
		t.Errorf("submitted and waited: %+v, %v", st, err)
	}
}
