package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// ErrInUse says that another node uses the prefix on the server.
var ErrInUse = errors.New("another node uses this prefix on the server")

// alone keeps other nodes away from the prefix: it holds a queue that belongs to
// the control connection, which the server removes with the connection. A node that
// dies without a word is thus gone at once where its machine lives on, and after a
// few heartbeats where it does not.
type alone struct {
	b *Broker

	mu      sync.Mutex
	held    *session  // over which it was taken last
	refused time.Time // since when another connection has it; zero: none has
}

// nodeName is the queue that a node holds, behind the prefix.
const nodeName = ".node"

// heldBySelf is how many heartbeats the server may take to see that this node's own
// connection of before has ended.
const heldBySelf = 4

// take takes the place on a new connection, or fails with ErrInUse.
func (a *alone) take(s *session) error {
	ch, err := s.conn.Channel()
	if err != nil {
		return fmt.Errorf("open channel: %w", err)
	}
	name := a.b.cfg.Prefix + nodeName
	_, err = ch.QueueDeclare(name, false, false, true, false, nil)
	if e, ok := errors.AsType[*amqp.Error](err); ok && e.Code == amqp.ResourceLocked {
		return fmt.Errorf("%w: queue %s belongs to the connection of another node, which the server shows as %q: stop that node, or set another prefix", ErrInUse, name, a.b.cfg.Prefix+" control")
	}
	if err != nil {
		return fmt.Errorf("declare queue %s: %w", name, err)
	}
	return ch.Close()
}

// first takes the place at the start, as soon as nobody has it, until ctx ends.
func (a *alone) first(ctx context.Context) error {
	var last error
	for {
		s, err := a.b.control.link.session(ctx)
		if err == nil {
			err = a.within(ctx, s)
		}
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		if !pause(ctx, jitter(a.b.cfg.RetryBase)) {
			return last
		}
	}
}

// within takes the place, and gives up when ctx ends.
func (a *alone) within(ctx context.Context, s *session) error {
	answer := make(chan error, 1)
	a.b.links.Go(func() { answer <- a.take(s) })
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return fmt.Errorf("take the prefix: %w", context.Cause(ctx))
	}
}

// run takes the place again on each later connection, until ctx ends.
func (a *alone) run(ctx context.Context) {
	for {
		s, err := a.b.control.link.session(ctx)
		if err != nil {
			return
		}
		if err := a.take(s); err != nil {
			a.note(nil, err)
			if !pause(ctx, jitter(a.b.cfg.RetryBase)) {
				return
			}
			continue
		}
		a.note(s, nil)
		select {
		case <-s.down:
		case <-ctx.Done():
			return
		}
	}
}

// note remembers over which connection the place was taken, or since when somebody
// else has it.
func (a *alone) note(held *session, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.held = held
	switch {
	case !errors.Is(err, ErrInUse):
		a.refused = time.Time{}
	case a.refused.IsZero():
		a.refused = time.Now()
	}
}

// problem says that another node has taken the place while this one was away.
func (a *alone) problem() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refused.IsZero() || time.Since(a.refused) < heldBySelf*a.b.cfg.Heartbeat {
		return nil
	}
	return fmt.Errorf("%w: prefix %s", ErrInUse, a.b.cfg.Prefix)
}
