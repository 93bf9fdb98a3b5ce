package fenfa

import (
	"context"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// Cancelled says what became of a task that was to be cancelled.
type Cancelled struct {
	ID ID
	// State is the task's state now. A task that had ended before keeps its state.
	State LifeState
	// Stopping says that the task runs, and that its handler was asked to stop. It is
	// cancelled unless the handler finishes it all the same.
	Stopping bool
	// Err says why nothing was changed, as with CodeNotFound for a task that is not
	// known.
	Err error
}

// Cancel cancels a task. One that waits, for a worker, for its time or behind others,
// is cancelled when Cancel returns, durably. Of one that runs the handler's context
// ends, with the cause ErrCancelled; what the handler wrote takes effect only if it
// returns nil all the same. reason is kept with the task, at most 4096 bytes. A task
// that belongs to a saga counts there as a step that failed.
func (c *Client) Cancel(ctx context.Context, id ID, reason string) (Cancelled, error) {
	results, err := c.CancelAll(ctx, []ID{id}, reason)
	if err != nil {
		return Cancelled{ID: id, Err: err}, err
	}
	return results[0], results[0].Err
}

// CancelAll cancels up to 1000 tasks, as Cancel does, and returns one result for each
// in the order given. A task that cannot be cancelled does not stop the others, but
// is the error where it is the only one.
func (c *Client) CancelAll(ctx context.Context, ids []ID, reason string) ([]Cancelled, error) {
	req := &fenfav1.CancelTasksRequest{Ids: make([]string, len(ids)), Reason: reason}
	for i, id := range ids {
		req.Ids[i] = id.String()
	}
	resp, err := call(ctx, c, "cancel tasks", c.tasks.Cancel, req)
	if err != nil {
		return nil, err
	}
	if len(resp.GetResults()) != len(ids) {
		return nil, errorf(CodeInternal, "the node answered %d results for %d tasks", len(resp.GetResults()), len(ids))
	}
	results := make([]Cancelled, len(ids))
	for i, id := range ids {
		w := resp.GetResults()[i]
		results[i] = Cancelled{ID: id, State: lifeStateOf(w.GetState()), Stopping: w.GetStopping()}
		if w.GetError() != nil {
			results[i].Err = errorFromWire(w.GetError())
		}
	}
	return results, nil
}

// cancelTasks ends the contexts of tasks that somebody cancelled. A handler that has
// not begun does not begin.
func (s *session) cancelTasks(cancels []*fenfav1.LeaseCancel) {
	if len(cancels) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range cancels {
		l, i := s.leases[keyOf(w.GetLease())], int(w.GetIndex())
		if l == nil || i >= len(l.first) {
			continue // It has ended.
		}
		if l.cancelled == nil {
			l.cancelled = make(map[int]struct{})
		}
		l.cancelled[i] = struct{}{}
		l.stopped.Store(true)
		l.first[i].ctx.cancel(ErrCancelled)
		if again := l.reruns[i]; again != nil {
			again.ctx.cancel(ErrCancelled)
		}
	}
}

// isCancelled reports whether somebody cancelled the i-th task of a lease.
func (s *session) isCancelled(l *lease, i int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, is := l.cancelled[i]
	return is
}

// rerun returns the execution of a task that runs again after a conflict.
func (s *session) rerun(l *lease, i int) *execution {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.reruns == nil {
		l.reruns = make(map[int]*execution)
	}
	e := new(execution)
	l.reruns[i] = e
	if _, is := l.cancelled[i]; is {
		e.ctx.cancel(ErrCancelled)
	}
	return e
}
