package fenfa

import (
	"context"
	"sync"
	"time"
)

// deadlineContext ends with its parent or at a deadline that can be moved, with the
// errors of the standard library's. What hangs below it does so through a context of
// the standard library, the only one that registers by AfterFunc.
type deadlineContext struct {
	parent context.Context //nolint:containedctx // This is a context itself.
	done   chan struct{}

	mu     sync.Mutex
	timer  *time.Timer
	err    error
	notify func()
	unhook func() bool
}

// newDeadlineContext returns one that ends at a deadline. It is to be stopped.
func newDeadlineContext(parent context.Context, deadline time.Time) *deadlineContext {
	c := &deadlineContext{parent: parent, done: make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer = time.AfterFunc(time.Until(deadline), func() { c.end(context.DeadlineExceeded) })
	c.unhook = context.AfterFunc(parent, func() { c.end(parent.Err()) })
	return c
}

// move sets another deadline, unless the context has ended, and reports whether it
// did.
func (c *deadlineContext) move(deadline time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return false
	}
	c.timer.Reset(time.Until(deadline))
	return true
}

// stop frees what the context holds.
func (c *deadlineContext) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer.Stop()
	c.unhook()
}

func (c *deadlineContext) end(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
		close(c.done)
	}
	notify := c.notify
	c.mu.Unlock()
	// Also where another goroutine has ended it: that may not have told yet.
	if notify != nil {
		notify()
	}
}

// Deadline implements context.Context: the one below it knows its own.
func (c *deadlineContext) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements context.Context.
func (c *deadlineContext) Done() <-chan struct{} { return c.done }

// Err implements context.Context.
func (c *deadlineContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Value implements context.Context. The cause of the parent's end is found by it.
func (c *deadlineContext) Value(key any) any { return c.parent.Value(key) }

// AfterFunc is what the standard library calls instead of waiting for Done in a
// goroutine.
func (c *deadlineContext) AfterFunc(f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		go f()
		return func() bool { return false }
	}
	c.notify = f
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		stopped := c.err == nil && c.notify != nil
		c.notify = nil
		return stopped
	}
}
