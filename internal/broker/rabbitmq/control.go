package rabbitmq

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/fenfa/fenfa/internal/broker"
)

// control is for single calls over one connection: declarations, counts, deletions.
// It keeps channels of its connection for the next call; a call that fails costs
// its channel. One that the server does not answer keeps its channel and goroutine
// until it does or the connection ends, because the client cannot take a call back;
// so where too many do, no more are made.
type control struct {
	b    *Broker
	link *link
	left atomic.Int64 // calls that nobody waits for any more and that have no answer

	mu   sync.Mutex
	of   *session
	free []*amqp.Channel
}

// Of calls about a queue that the server knows and cannot reach: how often they are
// made, and how long it is between the first two; each time it is twice as long.
const (
	absentTries = 6
	absentPause = 50 * time.Millisecond
)

// maxLeft bounds the calls that nobody waits for any more.
const maxLeft = 256

var errSilent = fmt.Errorf("the server has not answered many calls before this one: %w", errTimeout)

// do calls f with a channel that nobody else uses. It returns when ctx ends, also
// when the server does not answer; f must not touch what its caller owns by then.
// While an alarm keeps the server from reading the connection it fails at once, with
// broker.ErrFull. It calls f again for a while where a queue is absent: what failed must
// have left nothing behind.
func (c *control) do(ctx context.Context, operation string, f func(*amqp.Channel) error) error {
	wait := absentPause
	for try := 1; ; try++ {
		err := c.once(ctx, operation, f)
		if !isAbsent(err) || try == absentTries || !pause(ctx, jitter(wait)) {
			return err
		}
		wait *= 2
	}
}

func (c *control) once(ctx context.Context, operation string, f func(*amqp.Channel) error) error {
	if c.b.isClosed() {
		return closedError(operation)
	}
	s, err := c.link.session(ctx)
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return c.failed(operation, "", err)
	}
	if now := s.blocked.Load(); now != nil {
		return c.failed(operation, s.endpoint, blockedError(now))
	}
	if c.left.Load() >= maxLeft {
		return c.failed(operation, s.endpoint, errSilent)
	}
	answer := make(chan error, 1)
	var over atomic.Bool // for one of the two sides
	spawned := c.b.spawn(func() {
		answer <- c.call(s, f)
		if over.Swap(true) {
			c.left.Add(-1)
		}
	})
	if !spawned {
		return closedError(operation)
	}
	select {
	case err = <-answer:
	case <-ctx.Done():
		err = context.Cause(ctx)
		if !over.Swap(true) {
			c.left.Add(1)
		}
		if now := s.blocked.Load(); now != nil {
			err = blockedError(now)
		}
	}
	if err != nil {
		return c.failed(operation, s.endpoint, err)
	}
	return nil
}

// failed says what failed where, or that it did because the broker was closed.
func (c *control) failed(operation, endpoint string, err error) error {
	if c.b.isClosed() {
		return fmt.Errorf("%s: %w: %w", operation, broker.ErrClosed, err)
	}
	return c.b.on(operation, endpoint, err)
}

func (c *control) call(s *session, f func(*amqp.Channel) error) error {
	ch, err := c.take(s)
	if err != nil {
		return fmt.Errorf("open channel: %w", err)
	}
	err = f(ch)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == s && !ch.IsClosed() {
		c.free = append(c.free, ch)
	}
	return err
}

func (c *control) take(s *session) (*amqp.Channel, error) {
	c.mu.Lock()
	if c.of != s {
		c.of, c.free = s, nil
	}
	if n := len(c.free); n > 0 {
		ch := c.free[n-1]
		c.free = c.free[:n-1]
		c.mu.Unlock()
		return ch, nil
	}
	c.mu.Unlock()
	return s.conn.Channel()
}

// forgetful reports whether the server may forget a queue that it has just made,
// when it is killed: those before 4.0 do, and those whose version is not known may.
func (c *control) forgetful() bool {
	s, _, _ := c.link.state()
	if s == nil {
		return true
	}
	version, _ := s.conn.Properties["version"].(string)
	major, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(major)
	const first = 4
	return err != nil || n < first
}
