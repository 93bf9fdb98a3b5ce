package fenfa

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// Limits of one task, in bytes. The node has the same; they are checked here too,
// because a task that breaks them could spoil the batch that it travels in.
const (
	maxQueueName = 128
	maxKey       = 512
	maxType      = 256
	maxPayload   = 1 << 20
	maxHeaders   = 16 << 10 // all header names and values together
	maxSelector  = 512      // the terms of a placement's list, joined by commas
)

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
// When the connection is lost, or the node refuses a task with CodeUnavailable, as
// it does while it starts and stops, the client sends again until ctx ends or the
// submit timeout is over; errors.Is(err, ErrUnknownOutcome) then says
// that the task may be durable or not, and that submitting the same Task again
// tells. A refusal with CodeResourceExhausted is returned, not repeated: its
// RetryAfter says when to come back. Submit blocks while 64 MiB of this client's
// tasks wait for their confirms.
func (c *Client) Submit(ctx context.Context, t *Task) (ID, error) {
	r, err := c.SubmitResult(ctx, t)
	return r.ID, err
}

// SubmitResult is Submit that also tells whether the task was there already. The
// error is the result's.
func (c *Client) SubmitResult(ctx context.Context, t *Task) (SubmitResult, error) {
	if c.submitted != nil {
		return c.submitOne(ctx, t)
	}
	r := c.begin(ctx, t).wait(ctx)
	if notNow(r.Err) {
		results := []SubmitResult{r}
		c.repeat(ctx, []*Task{t}, results)
		r = results[0]
	}
	return r, r.Err
}

// SubmitBatch submits tasks in the order given and returns one result for each.
// A refused task has its Err set and does not stop the others. One that was refused
// with CodeUnavailable is not sent again when a later task of its key was accepted:
// it would come behind that one. The error is not
// nil when there are tasks that were not sent or whose outcome is unknown, and is
// the first one's.
func (c *Client) SubmitBatch(ctx context.Context, tasks []*Task) ([]SubmitResult, error) {
	if c.submitted != nil {
		return c.submitAll(ctx, tasks)
	}
	return c.submitBatch(ctx, tasks)
}

// submitBatch is SubmitBatch behind all middleware.
func (c *Client) submitBatch(ctx context.Context, tasks []*Task) ([]SubmitResult, error) {
	tickets := make([]ticket, len(tasks))
	for i, t := range tasks {
		tickets[i] = c.begin(ctx, t)
	}
	results := make([]SubmitResult, len(tasks))
	refused := false
	for i := range tickets {
		results[i] = tickets[i].wait(ctx)
		refused = refused || notNow(results[i].Err)
	}
	if refused {
		c.repeat(ctx, tasks, results)
	}
	for i := range results {
		if notAnswered(results[i].Err) {
			return results, results[i].Err
		}
	}
	return results, nil
}

// notAnswered tells the client's own errors from a node's refusals.
func notAnswered(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && (e.unknown || e.unsent)
}

// ticket is a submit that is under way: a place in a batch, or a refusal.
type ticket struct {
	batcher *batcher
	id      ID
	batch   *batch
	index   int
	err     error
}

// begin puts the task into the batcher's order. It blocks only while too much
// waits there already.
func (c *Client) begin(ctx context.Context, t *Task) ticket {
	k := ticket{batcher: c.batcher}
	if k.err = t.check(); k.err != nil {
		return k
	}
	k.id = t.ID()
	k.batch, k.index, k.err = c.batcher.add(ctx, c.timed(t))
	return k
}

// timed returns what travels of a task: a delay counts by the client's clock.
func (c *Client) timed(t *Task) *fenfav1.Task {
	if !t.delayed || c.cfg.ahead == nil {
		return t.wire
	}
	w := t.copyWire()
	w.Unique = t.wire.GetUnique()
	w.RunAt = timestamppb.New(w.GetRunAt().AsTime().Add(c.cfg.ahead()))
	return w
}

// wait returns when the task is confirmed or refused, or ctx ends.
func (k ticket) wait(ctx context.Context) SubmitResult {
	r := SubmitResult{ID: k.id, Err: k.err}
	if k.err != nil {
		return r
	}
	select {
	case <-k.batch.settled:
	case <-ctx.Done():
		if r.Err = k.batcher.abandon(ctx, k.batch, k.index); r.Err != nil {
			return r
		}
	}
	return k.batch.result(k.index, r)
}

// check finds what must not travel.
func (t *Task) check() error {
	if t == nil {
		return errorf(CodeInvalidArgument, "the task is nil").withField("task")
	}
	if t.err != nil {
		return t.err
	}
	w := t.wire
	require, prefer := strings.Join(w.GetPlacement().GetRequire(), ","), strings.Join(w.GetPlacement().GetPrefer(), ",")
	args, headers := strings.Join(w.GetUnique().GetArgs(), ","), 0
	for name, value := range w.GetHeaders() {
		headers += len(name) + len(value)
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			return notText("headers", name)
		}
	}
	for _, c := range [...]struct {
		field string
		text  string
		size  int
		most  int
	}{
		{"queue", w.GetQueue(), len(w.GetQueue()), maxQueueName},
		{"key", w.GetKey(), len(w.GetKey()), maxKey},
		{"type", w.GetType(), len(w.GetType()), maxType},
		{"payload", "", len(w.GetPayload()), maxPayload},
		{"headers", "", headers, maxHeaders},
		{"unique.by", w.GetUnique().GetBy(), len(w.GetUnique().GetBy()), maxKey},
		{"unique.args", args, len(args), maxHeaders},
		{"placement.require", require, len(require), maxSelector},
		{"placement.prefer", prefer, len(prefer), maxSelector},
	} {
		if c.size > c.most {
			return errorf(CodeTooLarge, "%s has %d bytes; at most %d are allowed", c.field, c.size, c.most).withField(c.field)
		}
		if !utf8.ValidString(c.text) {
			return notText(c.field, c.text)
		}
	}
	return nil
}

func notText(field, value string) *Error {
	return errorf(CodeInvalidArgument, "%s %s is not UTF-8 text", field, clip(fmt.Sprintf("%q", value), 64)).withField(field)
}

// sizeOf estimates a task's bytes on the wire, from above for all that matters.
func sizeOf(w *fenfav1.Task) int {
	n := 128 + len(w.GetQueue()) + len(w.GetKey()) + len(w.GetType()) + len(w.GetPayload())
	for name, value := range w.GetHeaders() {
		n += 8 + len(name) + len(value)
	}
	for _, terms := range [...][]string{w.GetPlacement().GetRequire(), w.GetPlacement().GetPrefer(), w.GetUnique().GetArgs(), {w.GetUnique().GetBy()}} {
		for _, term := range terms {
			n += 4 + len(term)
		}
	}
	return n
}
