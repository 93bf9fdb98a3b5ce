package fenfa

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"google.golang.org/grpc"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

type submitStream = grpc.BidiStreamingClient[fenfav1.SubmitStreamRequest, fenfav1.SubmitStreamResponse]

// start begins to send. The lock is held.
func (b *batcher) start() {
	b.started = true
	ctx, stop := context.WithCancel(context.Background())
	b.stop = stop
	b.workers.Go(func() { b.run(ctx) })
	b.workers.Go(func() { b.watch(ctx) })
}

// close fails what still waits, and waits for the batcher's goroutines.
func (b *batcher) close() {
	b.mu.Lock()
	b.closed = true
	for _, x := range slices.Concat(b.inFlight, b.waiting) {
		x.err = errClosed(x.sent)
		b.settle(x)
	}
	b.inFlight, b.waiting = nil, nil
	if b.space != nil {
		close(b.space)
		b.space = nil
	}
	stop := b.stop
	b.mu.Unlock()
	if stop != nil {
		stop()
	}
	b.workers.Wait()
}

// watch keeps the submit timeout, coarsely, so that no submit needs a timer.
func (b *batcher) watch(ctx context.Context) {
	const parts = 4
	ticker := time.NewTicker(max(min(b.client.cfg.submitTimeout, b.client.cfg.dialTimeout)/parts, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			b.expire(now)
		case <-ctx.Done():
			return
		}
	}
}

// run keeps a stream while there is something to send, until ctx ends.
func (b *batcher) run(ctx context.Context) {
	failures := 0
	for b.awaitWork(ctx) {
		reached, answers, err := b.serve(ctx)
		if ctx.Err() != nil {
			return
		}
		if answers || !reached { // The connection has a backoff of its own.
			failures = 0
		}
		failures++
		e := b.client.errorOf(ctx, err)
		if permanent(e.Code) || b.client.cfg.refused(e.Code) {
			b.refuse(e)
		}
		b.lost(e)
		b.expire(time.Now())
		b.client.cfg.logger.WarnContext(ctx, "submit stream lost",
			"addr", b.client.addr, "code", e.Code.String(), "error", e.Message, "failures", failures)
		pause(ctx, backoffDelay(failures))
	}
}

// awaitWork reports false when ctx ends before there is anything to send.
func (b *batcher) awaitWork(ctx context.Context) bool {
	for {
		b.mu.Lock()
		ready := b.ready()
		b.mu.Unlock()
		if ready {
			return ctx.Err() == nil
		}
		select {
		case <-b.wake:
		case <-ctx.Done():
			return false
		}
	}
}

// serve opens a stream and works on it until it breaks, and says why, whether
// there was a connection, and whether anything was answered.
func (b *batcher) serve(ctx context.Context) (reached, answers bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	reached = b.client.await(ctx, b.client.conn)
	stream, err := b.client.tasks.SubmitStream(ctx)
	if err != nil {
		return reached, false, err
	}
	b.mu.Lock()
	b.reset = cancel
	b.connected = b.connected || reached
	b.mu.Unlock()
	broken := make(chan struct{})
	go func() {
		defer close(broken)
		defer cancel()
		answers, err = b.receive(stream)
	}()
	unsent := b.send(stream, broken)
	cancel()
	<-broken
	if unsent != nil {
		err = unsent
	}
	return reached, answers, err
}

// send sends batches until the stream is broken. The error is nil where the
// receiver knows the reason.
func (b *batcher) send(stream submitStream, broken <-chan struct{}) error {
	for {
		req, linger := b.next()
		if req != nil {
			switch err := stream.Send(req); {
			case errors.Is(err, io.EOF):
				<-broken
				return nil
			case err != nil:
				return err
			}
			continue
		}
		var timer <-chan time.Time
		if linger > 0 {
			timer = time.After(linger)
		}
		select {
		case <-b.wake:
			// Whoever is about to submit as well, like all that one answer has just
			// woken, gets its turn first: one large batch is cheaper than two.
			runtime.Gosched()
		case <-timer:
		case <-broken:
			return nil
		}
	}
}

func (b *batcher) receive(stream submitStream) (answers bool, err error) {
	for {
		resp, err := stream.Recv()
		if err != nil {
			return answers, err
		}
		if err := b.answered(resp); err != nil {
			return answers, err
		}
		answers = true
	}
}

// permanent reports whether a repeat of what was refused is useless.
func permanent(c Code) bool {
	return c == CodeInvalidArgument || c == CodeUnimplemented || c == CodeTooLarge || c == CodeFailedPrecondition
}

// backoffDelay draws the delay after the n-th failure in a row, n from 1: between
// a half and the whole of what doubles each time.
func backoffDelay(n int) time.Duration {
	const mostDoublings = 10
	d := min(backoffBase<<min(n-1, mostDoublings), backoffMax)
	return d/2 + time.Duration(rand.Int64N(int64(d/2)+1))
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
