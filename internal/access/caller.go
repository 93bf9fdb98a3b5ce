package access

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// Caller is who asks for something.
type Caller struct {
	ID   string // of the token
	Name string // of the token
	// Address is where the call came from; for people.
	Address string

	book   *Book
	holder *holder // nil: everything is allowed
	hash   [sha256.Size]byte
}

// Anyone is the caller of a node that asks for no token: everything is allowed.
func Anyone(address string) *Caller { return &Caller{Address: address} }

// May reports whether the caller may do this to what has the name.
func (c *Caller) May(a Action, name string) bool {
	return c.holder == nil || c.holder.rights.May(a, name)
}

// Covers reports whether the caller may do this to everything that begins so.
func (c *Caller) Covers(a Action, prefix string) bool {
	return c.holder == nil || c.holder.rights.Covers(a, prefix)
}

// Some reports whether the caller may do this to anything.
func (c *Caller) Some(a Action) bool { return c.holder == nil || c.holder.rights.Some(a) }

// Check is May with an error that says which scope is missing.
func (c *Caller) Check(a Action, name string) error {
	if c.May(a, name) {
		return nil
	}
	c.book.metrics.denied.WithLabelValues(string(a)).Inc()
	return task.Errorf(task.CodePermissionDenied, "the token %q may not do this to %s %q: it lacks the scope %s:%s", c.Name, a.target(), shorten(name), shorten(name), a)
}

// On is Check of one action, for those who find out what it is on.
func (c *Caller) On(a Action) func(name string) error {
	return func(name string) error { return c.Check(a, name) }
}

// CheckCovers is Covers with an error that says which scope is missing.
func (c *Caller) CheckCovers(a Action, prefix string) error {
	if c.Covers(a, prefix) {
		return nil
	}
	c.book.metrics.denied.WithLabelValues(string(a)).Inc()
	if prefix == "" {
		return task.Errorf(task.CodePermissionDenied, "the token %q lacks the scope *:%s", c.Name, a)
	}
	return task.Errorf(task.CodePermissionDenied, "the token %q may not do this to all %ss that begin with %q: it lacks the scope %s*:%s",
		c.Name, a.target(), shorten(prefix), shorten(prefix), a)
}

// CheckSome is Some with an error that says which scope is missing.
func (c *Caller) CheckSome(a Action) error {
	if c.Some(a) {
		return nil
	}
	c.book.metrics.denied.WithLabelValues(string(a)).Inc()
	return task.Errorf(task.CodePermissionDenied, "the token %q lacks a scope with the action %s, like *:%s", c.Name, a, a)
}

// Limited reports whether there are limits on what the caller submits.
func (c *Caller) Limited() bool {
	return c.holder != nil && (c.holder.meter.tasks != nil || c.holder.meter.bytes != nil)
}

// TakeRequest counts one request, or refuses it with CodeResourceExhausted.
func (c *Caller) TakeRequest() error {
	if c.holder == nil {
		return nil
	}
	return c.exceeded("requests", c.holder.meter.requests.take(c.book.cfg.Clock.Now(), 1), c.holder.meter.limits.Requests)
}

// TakeTasks counts tasks that are submitted and their bytes, or refuses them with
// CodeResourceExhausted and counts nothing.
func (c *Caller) TakeTasks(tasks, bytes int) error {
	if c.holder == nil {
		return nil
	}
	m, now := c.holder.meter, c.book.cfg.Clock.Now()
	if wait := m.tasks.take(now, tasks); wait > 0 {
		return c.exceeded("tasks", wait, m.limits.Tasks)
	}
	if wait := m.bytes.take(now, bytes); wait > 0 {
		m.tasks.giveBack(tasks)
		return c.exceeded("bytes", wait, m.limits.Bytes)
	}
	return nil
}

func (c *Caller) exceeded(what string, wait time.Duration, rate float64) error {
	if wait <= 0 {
		return nil
	}
	c.book.metrics.limited.WithLabelValues(what).Inc()
	return task.Errorf(task.CodeResourceExhausted, "the token %q has a limit of %v %s a second, which is used up: ask again after %v",
		c.Name, rate, what, wait.Round(time.Millisecond)).WithRetryAfter(wait)
}

// Session is something that goes on for a while with one token: a stream.
type Session struct {
	caller *Caller
	end    context.CancelCauseFunc
}

// Begin returns a context that ends when the caller's token counts no more, with
// the reason as its cause. Whoever begins calls done.
func (c *Caller) Begin(ctx context.Context) (_ context.Context, done func()) {
	if c.holder == nil {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	s := &Session{caller: c, end: cancel}
	b := c.book
	b.mu.Lock()
	b.sessions[s] = struct{}{}
	b.mu.Unlock()
	if err := b.counts(s); err != nil { // It was revoked in this moment.
		cancel(err)
	}
	return ctx, func() {
		b.mu.Lock()
		delete(b.sessions, s)
		b.mu.Unlock()
		cancel(nil)
	}
}
