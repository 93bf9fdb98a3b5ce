package fenfatest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
)

func TestATaskThatIsGivenBackComesAgainInOrderAndCountsNothing(t *testing.T) {
	for _, order := range []fenfa.Order{fenfa.OrderKey, fenfa.OrderNone} {
		t.Run(string(order), func(t *testing.T) {
			n := fenfatest.Start(t, fenfatest.WithQueue(fenfa.Queue{
				Name: "mails", Order: order, Retry: fenfa.RetryPolicy{MaxAttempts: 1}, MaxDeliveries: 1,
			}))
			worker := n.Client().Worker(fenfa.Concurrency(1))
			var mu sync.Mutex
			var worked []string
			away := 4
			worker.Handle("mails", func(_ context.Context, t *fenfa.Task) error {
				mu.Lock()
				defer mu.Unlock()
				if len(worked) == 2 && away > 0 {
					away--
					t.Emit(fenfa.NewTask("nobody", nil)) // It is dropped.
					return fmt.Errorf("send: %w", fenfa.GiveBack(errors.New("the mail server is away")))
				}
				worked = append(worked, string(t.Payload()))
				return nil
			})
			var tasks []*fenfa.Task
			for i := range 6 {
				tasks = append(tasks, fenfa.NewTask("mails", i, fenfa.Key("k")))
			}
			if _, err := n.Client().SubmitBatch(t.Context(), tasks); err != nil {
				t.Fatal(err)
			}
			n.Run(worker)
			for _, task := range tasks {
				if st := n.Await(t.Context(), task.ID()); st.State != fenfa.StateDone || st.Attempts != 0 || st.Deliveries != 1 {
					t.Errorf("a task is %+v", st)
				}
			}
			if order == fenfa.OrderKey && fmt.Sprint(worked) != "[0 1 2 3 4 5]" {
				t.Errorf("worked on %v", worked)
			}
			if away != 0 {
				t.Errorf("it could have been given back %d times more", away)
			}
		})
	}
}

func TestNothingIsNothingToGiveBack(t *testing.T) {
	if err := fenfa.GiveBack(nil); err != nil {
		t.Errorf("got %v", err)
	}
}
