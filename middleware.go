package fenfa

import (
	"context"
	"maps"
	"slices"
)

// Middleware puts something around handlers: what it returns runs in place of next,
// and usually calls it.
type Middleware func(next HandlerFunc) HandlerFunc

// Use puts middleware around all handlers of the worker, those that are set later
// included. The first one is the outermost. It must not be called while Run runs.
func (w *Worker) Use(m ...Middleware) { w.around = append(w.around, m...) }

// wrapHandlers puts the middleware around each handler, once, so that a task costs
// what the middleware itself costs.
func wrapHandlers(handlers map[string]HandlerFunc, around []Middleware) map[string]HandlerFunc {
	wrapped := make(map[string]HandlerFunc, len(handlers))
	for queue, h := range handlers {
		for _, m := range slices.Backward(around) {
			h = m(h)
		}
		wrapped[queue] = h
	}
	return wrapped
}

// SubmitFunc submits tasks, like Client.SubmitBatch.
type SubmitFunc func(ctx context.Context, tasks []*Task) ([]SubmitResult, error)

// SubmitMiddleware puts something around submits: what it returns runs in place of
// next, and usually calls it. It must not change the tasks, but may hand others on:
// see Task.With. It returns one result for each task, in order, unless it fails.
type SubmitMiddleware func(next SubmitFunc) SubmitFunc

// WithSubmitMiddleware puts middleware around all submits of the client, single ones
// and batches. The first one is the outermost.
func WithSubmitMiddleware(m ...SubmitMiddleware) DialOption {
	return func(c *dialConfig) { c.submits = append(c.submits, m...) }
}

// wrapSubmits is nil where there is no middleware.
func (cfg *dialConfig) wrapSubmits(submit SubmitFunc) SubmitFunc {
	if len(cfg.submits) == 0 {
		return nil
	}
	for _, m := range slices.Backward(cfg.submits) {
		submit = m(submit)
	}
	return submit
}

// submitAll submits through the middleware, and holds it to one result for each task.
func (c *Client) submitAll(ctx context.Context, tasks []*Task) ([]SubmitResult, error) {
	results, err := c.submitted(ctx, tasks)
	if len(results) == len(tasks) {
		return results, err
	}
	if err == nil {
		err = errorf(CodeInternal, "a middleware of submits answered %d tasks with %d results", len(tasks), len(results))
	}
	results = make([]SubmitResult, len(tasks))
	for i, t := range tasks {
		results[i].Err = err
		if t != nil {
			results[i].ID = t.ID()
		}
	}
	return results, err
}

// submitOne is submitAll of one task, whose error is the result's.
func (c *Client) submitOne(ctx context.Context, t *Task) (SubmitResult, error) {
	results, err := c.submitAll(ctx, []*Task{t})
	if results[0].Err == nil {
		results[0].Err = err
	}
	return results[0], results[0].Err
}

// With returns a copy of the task that has more options set. It has the ID of the
// task, so that submitting either is submitting one task, unless an option sets
// another. A handler's task cannot be copied.
func (t *Task) With(opts ...TaskOption) *Task {
	if t.run != nil {
		panic("fenfa: With was called on a handler's task")
	}
	c := &Task{wire: t.copyWire(), ownID: t.ownID, err: t.err}
	c.wire.Headers = maps.Clone(c.wire.GetHeaders())
	for _, opt := range opts {
		opt(c)
	}
	return c
}

// OnEmit lets f see every task that the handler emits from now on, and put another in
// its place, like one that With returns. It is meant for middleware. Functions that
// are set later see tasks first. Only a handler's task can emit.
func (t *Task) OnEmit(f func(*Task) *Task) {
	e := t.execution("OnEmit")
	if inner := e.onEmit; inner != nil {
		outer := f
		f = func(next *Task) *Task { return inner(outer(next)) }
	}
	e.onEmit = f
}
