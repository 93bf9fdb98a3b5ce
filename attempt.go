package fenfa

import (
	"context"
	"sync"
	"time"
)

// attemptContext is a handler's context: it ends at the attempt's deadline, when
// the lease is lost, when the task is cancelled and when the handler has returned. Contexts of the standard
// library cost more than a short handler, so the real one is made only when
// somebody asks for Done; everything that hangs below it then hangs below the
// real one.
type attemptContext struct {
	lease *lease

	mu       sync.Mutex
	deadline time.Time
	extended bool // the deadline was moved
	timed    *deadlineContext
	inner    context.Context //nolint:containedctx // This is a context itself.
	stop     context.CancelFunc
	ended    bool
	abort    context.CancelCauseFunc
	cause    error // why it was cancelled; nil: it was not
}

var _ context.Context = (*attemptContext)(nil)

// Deadline implements context.Context.
func (c *attemptContext) Deadline() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.deadline, true
}

// begin sets the deadline of an attempt that begins.
func (c *attemptContext) begin(deadline time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = deadline
}

// extend moves the deadline, never to an earlier time. It fails with why the context
// has ended.
func (c *attemptContext) extend(deadline time.Time) error {
	if err := c.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ended:
		return context.Canceled
	case !deadline.After(c.deadline):
		return nil
	case c.timed != nil && !c.timed.move(deadline):
		return context.DeadlineExceeded
	}
	c.deadline, c.extended = deadline, true
	return nil
}

// isExtended reports whether the deadline was moved.
func (c *attemptContext) isExtended() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.extended
}

// Done implements context.Context.
func (c *attemptContext) Done() <-chan struct{} { return c.materialize().Done() }

// Err implements context.Context.
func (c *attemptContext) Err() error {
	c.mu.Lock()
	alive := c.inner == nil && !c.ended && c.cause == nil && !c.lease.lost.Load() && time.Now().Before(c.deadline)
	c.mu.Unlock()
	if alive {
		return nil
	}
	inner := c.materialize()
	c.catchUp()
	return inner.Err()
}

// catchUp ends a context that is over and was not told yet.
func (c *attemptContext) catchUp() {
	c.mu.Lock()
	timed, late := c.timed, !time.Now().Before(c.deadline)
	c.mu.Unlock()
	if err := timed.parent.Err(); err != nil {
		timed.end(err)
	} else if late {
		timed.end(context.DeadlineExceeded)
	}
}

// Value implements context.Context.
func (c *attemptContext) Value(key any) any {
	c.mu.Lock()
	inner := c.inner
	c.mu.Unlock()
	if inner == nil {
		return c.lease.session.ctx.Value(key)
	}
	return inner.Value(key)
}

func (c *attemptContext) materialize() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inner == nil {
		var base context.Context
		base, c.abort = context.WithCancelCause(c.lease.context())
		c.timed = newDeadlineContext(base, c.deadline)
		c.inner, c.stop = context.WithCancel(c.timed)
		if c.cause != nil {
			c.abort(c.cause)
		}
		if c.ended {
			c.end()
		}
	}
	return c.inner
}

// cancel ends the context with a cause.
func (c *attemptContext) cancel(cause error) {
	c.mu.Lock()
	c.cause = cause
	abort, timed := c.abort, c.timed
	c.mu.Unlock()
	if abort != nil {
		abort(cause)
		timed.end(context.Canceled)
	}
}

// isCancelled reports whether cancel was called.
func (c *attemptContext) isCancelled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause != nil
}

// returned is called when the handler has returned.
func (c *attemptContext) returned() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end()
}

// end ends the context, if there is a real one. The lock is held.
func (c *attemptContext) end() {
	c.ended = true
	if c.stop != nil {
		c.stop()
		c.timed.stop()
		c.abort(nil)
	}
}
