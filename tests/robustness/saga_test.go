package robustness

import (
	"context"
	"errors"
	"testing"

	fenfa "github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/tests/harness"
)

// runSagas runs one saga that is done and one that is compensated, so that a node has
// something to say about sagas. What sagas do under kills is tested in tests/sagas.
func runSagas(t *testing.T, client *fenfa.Client) {
	t.Helper()
	if _, _, err := client.ConfigureQueue(t.Context(), fenfa.Queue{Name: "steps"}); err != nil {
		t.Fatal(err)
	}
	d := fenfa.NewSaga("two").Then(fenfa.Step{Name: "first", Queue: "steps", Compensation: &fenfa.Compensation{}}).
		Then(fenfa.Step{Name: "second", Queue: "steps"})
	if _, _, err := client.Sagas().Define(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	w := client.Worker(fenfa.WorkerID("steps"))
	w.Handle("steps", func(_ context.Context, task *fenfa.Task) error {
		if task.Saga().Step() == "second" && string(task.Payload()) == "fail" {
			return fenfa.Reject(errors.New("on purpose"))
		}
		return nil
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	for id, status := range map[string]fenfa.SagaStatus{"fine": fenfa.SagaDone, "fail": fenfa.SagaCompensated} {
		if _, _, err := client.Sagas().Start(t.Context(), "two", id, id); err != nil {
			t.Fatal(err)
		}
		harness.Await(t, "saga "+id+" is "+string(status), func(ctx context.Context) bool {
			saga, _, err := client.Sagas().Get(ctx, id)
			return err == nil && saga.Status == status
		})
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
