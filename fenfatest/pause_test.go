package fenfatest_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
)

func TestAPauseOutlivesARestartAndHoldsUpNobodyElse(t *testing.T) {
	n := fenfatest.Start(t, fenfatest.WithQueues("mail", "other"))
	c := n.Client()
	if q, err := c.PauseQueue(t.Context(), "mail"); err != nil || !q.Paused {
		t.Fatalf("paused: %+v, %v", q, err)
	}
	w := c.Worker(fenfa.Concurrency(1))
	ran := make(chan string, 10)
	for _, queue := range []string{"mail", "other"} {
		w.Handle(queue, func(context.Context, *fenfa.Task) error {
			ran <- queue
			return nil
		})
	}
	n.Run(w)
	submit := func(queue string) fenfa.ID {
		id, err := c.Submit(t.Context(), fenfa.NewTask(queue, 1))
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	mail := submit("mail")
	n.Await(t.Context(), submit("other"))
	n.Restart()
	n.Await(t.Context(), submit("other"))
	if info, err := c.DescribeQueue(t.Context(), "mail"); err != nil || !info.Paused || info.Stats.BacklogTasks != 1 {
		t.Errorf("the paused queue is %+v, %v", info, err)
	}
	// A change of other settings leaves the pause as it is.
	if q, _, err := c.ConfigureQueue(t.Context(), fenfa.Queue{Name: "mail", Batch: 7}); err != nil || !q.Paused {
		t.Errorf("configured: %+v, %v", q, err)
	}
	for waitsFor := ""; !strings.Contains(waitsFor, "pause of queue"); { // as soon as it has been read
		st, err := c.Task(t.Context(), mail)
		if err != nil {
			t.Fatal(err)
		}
		waitsFor = st.WaitsFor
	}
	if q, err := c.ResumeQueue(t.Context(), "mail"); err != nil || q.Paused {
		t.Fatalf("resumed: %+v, %v", q, err)
	}
	n.Await(t.Context(), mail)
	for _, want := range []string{"other", "other", "mail"} {
		if got := <-ran; got != want {
			t.Errorf("ran one of %s, want %s", got, want)
		}
	}
	if _, err := c.PauseQueue(t.Context(), "none"); !errors.Is(err, fenfa.ErrNotFound) {
		t.Errorf("pause of a queue that is not there: %v", err)
	}
	if _, err := c.PauseQueue(t.Context(), "fenfa.sagas"); fenfa.CodeOf(err) != fenfa.CodeInvalidArgument {
		t.Errorf("pause of the queue of messages to sagas: %v", err)
	}
}
