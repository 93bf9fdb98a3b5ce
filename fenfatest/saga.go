package fenfatest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/fenfa/fenfa"
)

// AwaitSaga waits until the saga has one of the given statuses, or where none is
// given until it has ended, and returns it. It fails the test when ctx ends before.
func (n *Node) AwaitSaga(ctx context.Context, id string, statuses ...fenfa.SagaStatus) *fenfa.Saga {
	n.tb.Helper()
	const every = 2 * time.Millisecond
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	last := fenfa.SagaStatus("not there")
	for {
		saga, _, err := n.client.Sagas().Get(ctx, id)
		switch {
		case err == nil && reached(saga.Status, statuses):
			return &saga
		case err == nil:
			last = saga.Status
		case !errors.Is(err, fenfa.ErrNotFound) && !errors.Is(err, fenfa.ErrUnavailable):
			n.tb.Fatal(err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			n.tb.Fatalf("await saga %s, which is %s: %v", id, last, context.Cause(ctx))
		}
	}
}

func reached(status fenfa.SagaStatus, wanted []fenfa.SagaStatus) bool {
	if len(wanted) == 0 {
		return status.Final()
	}
	return slices.Contains(wanted, status)
}
