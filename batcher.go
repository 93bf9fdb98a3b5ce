package fenfa

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

const (
	// maxBatchBytes closes a batch, so that with one more task of the largest size
	// it stays below what a node accepts as one message.
	maxBatchBytes = 1 << 20
	// maxWaitingBytes bounds what waits for confirms.
	maxWaitingBytes = 64 << 20
	// maxInFlight bounds how many full batches are on the wire at once.
	maxInFlight = 3
)

// batcher gathers submits into batches and keeps their order: add puts a task
// behind all earlier ones, and batches go out, and out again after a lost
// connection, in order. Nothing waits for a timer: a batch leaves when nothing is
// in flight, or when it is full and little is in flight, so batches are as large
// as the load makes them.
//
// Callers wait on their batch; one goroutine (stream.go) sends, one receives.
type batcher struct {
	client *Client

	mu        sync.Mutex
	waiting   []*batch // to be sent, in order; the last one may still grow
	inFlight  []*batch // sent on the stream of now, in order of their answers
	bytes     int      // of both
	maxBytes  int
	space     chan struct{}
	sequence  uint64
	sizeHint  int
	started   bool
	closed    bool
	connected bool   // a node was reached once
	lastErr   *Error // why there is no stream
	reset     context.CancelFunc

	wake    chan struct{}
	stop    context.CancelFunc
	workers sync.WaitGroup
}

func newBatcher(c *Client) *batcher {
	return &batcher{client: c, maxBytes: maxWaitingBytes, wake: make(chan struct{}, 1)}
}

// add appends a task to the order and returns its place.
func (b *batcher) add(ctx context.Context, t *fenfav1.Task) (*batch, int, error) {
	size := sizeOf(t)
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.bytes > 0 && b.bytes+size > b.maxBytes && !b.closed {
		if err := b.awaitSpace(ctx); err != nil {
			return nil, 0, err
		}
	}
	if b.closed {
		return nil, 0, errClosed(false)
	}
	if !b.started {
		b.start() //nolint:contextcheck // The sender outlives the call that starts it.
	}
	if n := len(b.waiting); n == 0 || b.waiting[n-1].full(b.client.cfg.maxBatch) {
		b.sequence++
		b.waiting = append(b.waiting, &batch{
			sequence: b.sequence,
			tasks:    make([]*fenfav1.Task, 0, b.sizeHint),
			born:     time.Now(),
			settled:  make(chan struct{}),
		})
	}
	last := b.waiting[len(b.waiting)-1]
	last.tasks = append(last.tasks, t)
	last.bytes += size
	b.bytes += size
	if b.ready() {
		b.signal()
	}
	return last, len(last.tasks) - 1, nil
}

// awaitSpace gives up the lock until there is room.
func (b *batcher) awaitSpace(ctx context.Context) error {
	if b.space == nil {
		b.space = make(chan struct{})
	}
	space := b.space
	b.mu.Unlock()
	defer b.mu.Lock()
	select {
	case <-space:
		return nil
	case <-ctx.Done():
		return &Error{
			Code:    CodeUnavailable,
			Message: fmt.Sprintf("the task was not sent: %d MiB of tasks wait for confirms, and meanwhile: %v", b.maxBytes>>20, context.Cause(ctx)),
			cause:   context.Cause(ctx),
			unsent:  true,
		}
	}
}

// ready reports whether the first waiting batch should leave now.
func (b *batcher) ready() bool {
	switch {
	case len(b.waiting) == 0:
		return false
	case len(b.inFlight) == 0:
		return true
	}
	return len(b.inFlight) < maxInFlight && b.waiting[0].full(b.client.cfg.maxBatch)
}

// signal wakes the sender. It never blocks.
func (b *batcher) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// next moves the first batch onto the wire, if it should leave now. Otherwise it
// says how long the batch lingers, or 0 for until the next signal.
func (b *batcher) next() (req *fenfav1.SubmitStreamRequest, linger time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.ready() {
		first := b.waiting[0]
		if b.client.cfg.linger > 0 && !first.full(b.client.cfg.maxBatch) {
			if linger := time.Until(first.born.Add(b.client.cfg.linger)); linger > 0 {
				return nil, linger
			}
		}
		b.waiting[0] = nil
		b.waiting = b.waiting[1:]
		if first.holes == len(first.tasks) {
			b.settle(first)
			continue
		}
		b.inFlight = append(b.inFlight, first)
		b.sizeHint = len(first.tasks)
		return first.request(), 0
	}
	return nil, 0
}

// answered settles the batch that the answer is for.
func (b *batcher) answered(resp *fenfav1.SubmitStreamResponse) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.inFlight) == 0 || b.inFlight[0].sequence != resp.GetSequence() {
		return errorf(CodeInternal, "the node answered submit %d out of order", resp.GetSequence())
	}
	first := b.inFlight[0]
	if !first.answer(resp) {
		return errorf(CodeInternal, "the node's answer to submit %d does not fit its %d tasks", first.sequence, len(first.tasks))
	}
	b.inFlight[0] = nil
	b.inFlight = b.inFlight[1:]
	b.connected = true
	b.lastErr = nil
	b.settle(first)
	if b.ready() {
		b.signal()
	}
	return nil
}

// settle lets the callers of a batch go on, which must be in no list any more.
func (b *batcher) settle(done *batch) {
	close(done.settled)
	b.bytes -= done.bytes
	if b.space != nil {
		close(b.space)
		b.space = nil
	}
}

// fail settles a batch without an answer. Its tasks may be durable if it was on
// the wire.
func (b *batcher) fail(lost *batch, code Code, reason string) {
	lost.err = &Error{Code: code, Message: "the task was not sent: " + reason, unsent: true}
	if lost.sent {
		lost.err = unknownOutcome(code, reason)
	}
	b.settle(lost)
}

func unknownOutcome(code Code, reason string) *Error {
	return &Error{
		Code:    code,
		Message: "no confirm: " + reason + "; the task may be durable or not, and submitting the same task again is safe and tells",
		unknown: true,
	}
}

func errClosed(sent bool) *Error {
	if sent {
		return unknownOutcome(CodeUnavailable, "the client was closed")
	}
	return &Error{Code: CodeUnavailable, Message: "the task was not sent: the client is closed", unsent: true}
}

// abandon lets one caller go whose context ended, without disturbing others. It
// returns nil where the batch was settled meanwhile.
func (b *batcher) abandon(ctx context.Context, left *batch, index int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-left.settled:
		return nil
	default:
	}
	cause := context.Cause(ctx)
	e := unknownOutcome(b.whyLost(), cause.Error())
	if !left.sent {
		left.tasks[index] = nil
		left.holes++
		e = &Error{Code: b.whyLost(), Message: "the task was not sent: " + cause.Error(), unsent: true}
	}
	if b.lastErr != nil {
		e.Message += " (" + b.lastErr.Message + ")"
	}
	e.cause = cause
	return e
}

// whyLost is the code of tasks that nobody answers: that of a token which does not do,
// where that is why.
func (b *batcher) whyLost() Code {
	if e := b.lastErr; e != nil && (e.Code == CodeUnauthenticated || e.Code == CodePermissionDenied) {
		return e.Code
	}
	return CodeUnavailable
}

// lost puts what was in flight back in front, to be sent again.
func (b *batcher) lost(err *Error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lastErr = err
	b.waiting = slices.Concat(b.inFlight, b.waiting)
	b.inFlight = nil
	b.reset = nil
}

// refuse fails what a permanent error of the stream is about: what was in flight,
// or where nothing was, all that waits. One batch that was sent once is what was
// refused, and so not stored; which of several was, the error does not tell.
func (b *batcher) refuse(err *Error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.inFlight) == 1 && !b.inFlight[0].resent {
		refused := b.inFlight[0]
		b.inFlight = nil
		refused.err = &Error{Code: err.Code, Message: "the task was refused and not stored: " + err.Message, Field: err.Field, cause: err}
		b.settle(refused)
		return
	}
	about := b.inFlight
	if len(about) == 0 {
		about, b.waiting = b.waiting, nil
	}
	b.inFlight = nil
	for _, x := range about {
		b.fail(x, err.Code, err.Message)
	}
}

// expire fails batches that have waited too long, and resets a stream on which
// one of them hangs.
func (b *batcher) expire(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	limit := b.client.cfg.submitTimeout
	if !b.connected && b.lastErr != nil {
		limit = min(limit, b.client.cfg.dialTimeout)
	}
	reason := fmt.Sprintf("the node at %s did not answer within %v", b.client.addr, limit)
	if b.lastErr != nil {
		reason = b.lastErr.Message
	}
	hung := len(b.inFlight)
	b.inFlight = b.expireList(b.inFlight, now.Add(-limit), reason)
	hung -= len(b.inFlight)
	b.waiting = b.expireList(b.waiting, now.Add(-limit), reason)
	if hung > 0 && b.reset != nil {
		b.reset()
	}
}

func (b *batcher) expireList(list []*batch, before time.Time, reason string) []*batch {
	for len(list) > 0 && list[0].born.Before(before) {
		b.fail(list[0], b.whyLost(), reason)
		list = list[1:]
	}
	return list
}
