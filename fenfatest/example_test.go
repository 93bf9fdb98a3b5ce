package fenfatest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
)

// What follows stands in docs/testing.md, word by word.

func TestAReminderIsSentOnTheThirdDay(t *testing.T) {
	node := fenfatest.Start(t, fenfatest.WithQueue(fenfa.Queue{
		Name: "reminders", Retry: fenfa.RetryPolicy{Base: time.Hour, Max: 12 * time.Hour, MaxAttempts: 5},
	}))
	var sent []time.Time
	worker := node.Client().Worker()
	worker.Handle("reminders", func(_ context.Context, task *fenfa.Task) error {
		if task.Attempt() < 3 {
			return errors.New("the mail server is away")
		}
		sent = append(sent, node.Now())
		return nil
	})
	node.Run(worker)

	due := node.Now().Add(3 * 24 * time.Hour)
	id, err := node.Client().Submit(t.Context(), fenfa.NewTask("reminders", "pay", fenfa.RunAt(due)))
	if err != nil {
		t.Fatal(err)
	}
	node.Advance(2 * 24 * time.Hour)
	if len(sent) != 0 {
		t.Errorf("sent on %v", sent)
	}
	node.Advance(2 * 24 * time.Hour) // The attempts that fail, their retries, and the one that sends.
	if len(sent) != 1 || sent[0].Before(due) {
		t.Errorf("sent on %v, want once after %v", sent, due)
	}
	if status, err := node.Client().Task(t.Context(), id); err != nil || status.State != fenfa.StateDone || status.Attempts != 2 {
		t.Errorf("task %+v: %v", status, err)
	}
}
