package fenfa

import "context"

// SubmitResult says what became of one submitted task.
type SubmitResult struct {
	ID ID
	// Duplicate says that the task was there already, in State; the submit changed
	// nothing.
	Duplicate bool
	State     LifeState
	// Err is why the task was refused, or why its outcome is unknown; else nil.
	Err error
}

// Submit makes a task durable: when the error is nil, the task survives a crash
// of the node. Submitting the same task again has no effect and no error. Many
// goroutines may submit at once; their tasks travel in batches, in the order in
// which Submit was called.
//
// When the connection is lost, the client reconnects and sends again until ctx
// ends or the submit timeout is over; errors.Is(err, ErrUnknownOutcome) then says
// that the task may be durable or not, and that submitting the same Task again
// tells. Submit blocks while 64 MiB of this client's tasks wait for confirms.
func (c *Client) Submit(ctx context.Context, t *Task) (ID, error) {
	r, err := c.SubmitResult(ctx, t)
	return r.ID, err
}

// SubmitResult is Submit that also tells whether the task was there already.
func (c *Client) SubmitResult(ctx context.Context, t *Task) (SubmitResult, error) {
	panic("soon")
}

// SubmitBatch submits tasks in the order given and returns one result for each.
// A refused task has its Err set and does not stop the others. The error is not
// nil when there are tasks whose outcome is unknown, or that were not sent.
func (c *Client) SubmitBatch(ctx context.Context, tasks []*Task) ([]SubmitResult, error) {
	panic("soon")
}

type batcher struct{}

func newBatcher(*Client) *batcher { return &batcher{} }
func (b *batcher) close()         {}
