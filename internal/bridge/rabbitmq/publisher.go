package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Errors of a publish, which make a failed attempt.
var (
	errUnroutable = errors.New("no queue of RabbitMQ takes the message")
	errNacked     = errors.New("RabbitMQ refused the message: a queue has reached its limit, or failed")
)

// errAway says that the server takes nothing now: it is no failed attempt.
var errAway = errors.New("RabbitMQ is away")

// awayPatience is how long a task waits for a connection before it is given back.
const awayPatience = time.Second

// channelsMost is how many channels one publish tries: a server closes the channel
// on a message that it does not like.
const channelsMost = 3

// publisher publishes on the channel of now, and waits while there is none.
type publisher struct {
	mu      sync.Mutex
	now     *outlet       // nil while there is none
	changed chan struct{} // closed when now changes
	reason  error         // why there is none
}

// outlet is one channel.
type outlet struct {
	ch      *amqp.Channel
	closed  chan struct{} // after why was set
	why     error
	returns chan amqp.Return // has room for all that may be under way
	blocked block

	mu       sync.Mutex
	returned map[string]amqp.Return // by message-id
}

// block is whether the server takes no messages now.
type block struct {
	mu    sync.Mutex
	begun chan struct{} // closed while it is so
}

func newBlock() block { return block{begun: make(chan struct{})} }

func (b *block) set(blocked bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-b.begun:
		if !blocked {
			b.begun = make(chan struct{})
		}
	default:
		if blocked {
			close(b.begun)
		}
	}
}

// is returns a channel that is closed when the server takes no messages.
func (b *block) is() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.begun
}

func newPublisher() *publisher {
	return &publisher{changed: make(chan struct{}), reason: errors.New("not connected yet")}
}

func (p *publisher) set(now *outlet, reason error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now, p.reason = now, reason
	close(p.changed)
	p.changed = make(chan struct{})
}

// outlet waits for a channel other than the broken one, for a while.
func (p *publisher) outlet(ctx context.Context, broken *outlet) (*outlet, error) {
	patience := time.NewTimer(awayPatience)
	defer patience.Stop()
	for {
		p.mu.Lock()
		now, changed, reason := p.now, p.changed, p.reason
		p.mu.Unlock()
		if now != nil && now != broken {
			return now, nil
		}
		if reason == nil {
			reason = errLost
		}
		select {
		case <-changed:
		case <-patience.C:
			return nil, fmt.Errorf("%w: %w", errAway, reason)
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w: %w", errAway, context.Cause(ctx), reason)
		}
	}
}

// publish returns nil when the server has confirmed the message, which with
// mandatory set means that a queue has it.
func (p *publisher) publish(ctx context.Context, l *letter, mandatory bool) error {
	var (
		out  *outlet
		last error
	)
	for range channelsMost {
		next, err := p.outlet(ctx, out)
		if err != nil {
			return errors.Join(err, last)
		}
		out = next
		again, err := out.publish(ctx, l, mandatory)
		if !again {
			return err
		}
		last = err
	}
	return last
}

// publish publishes once. Where again is true the channel broke and the fate of the
// message is unknown.
func (o *outlet) publish(ctx context.Context, l *letter, mandatory bool) (again bool, err error) {
	select {
	case <-o.blocked.is():
		return false, fmt.Errorf("%w: it takes no messages, which is an alarm", errAway)
	default:
	}
	confirm, err := o.ch.PublishWithDeferredConfirmWithContext(ctx, l.exchange, l.key, mandatory, false, l.message)
	if err != nil {
		if o.ch.IsClosed() {
			return true, fmt.Errorf("publish: %w", o.broken(ctx))
		}
		return false, fmt.Errorf("publish: %w", err)
	}
	select {
	case <-confirm.Done():
	case <-o.blocked.is():
		return false, fmt.Errorf("%w: it takes no messages, which is an alarm", errAway)
	case <-ctx.Done():
		return false, fmt.Errorf("wait for the confirm: %w", context.Cause(ctx))
	}
	acked := confirm.Acked()
	// A return came before the confirm of its message.
	if back, ok := o.isReturned(l.message.MessageId); ok {
		return false, fmt.Errorf("%w: exchange %q, routing key %q: %s", errUnroutable, l.exchange, l.key, back.ReplyText)
	}
	if acked {
		return false, nil
	}
	if o.ch.IsClosed() {
		return true, fmt.Errorf("wait for the confirm: %w", o.broken(ctx))
	}
	return false, errNacked
}

// broken is why the channel was closed.
func (o *outlet) broken(ctx context.Context) error {
	select {
	case <-o.closed:
		return o.why
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (o *outlet) isReturned(id string) (amqp.Return, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		select {
		case r, ok := <-o.returns:
			if ok {
				o.returned[r.MessageId] = r
				continue
			}
		default:
		}
		break
	}
	r, ok := o.returned[id]
	delete(o.returned, id)
	return r, ok
}
