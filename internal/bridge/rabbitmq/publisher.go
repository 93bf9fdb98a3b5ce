package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Errors of a publish, which make a failed attempt.
var (
	errUnroutable = errors.New("no queue of RabbitMQ takes the message")
	errNacked     = errors.New("RabbitMQ refused the message: a queue has reached its limit, or failed")
)

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

	mu       sync.Mutex
	returned map[string]amqp.Return // by message-id
}

func newPublisher() *publisher { return &publisher{changed: make(chan struct{})} }

func (p *publisher) set(now *outlet, reason error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now, p.reason = now, reason
	close(p.changed)
	p.changed = make(chan struct{})
}

// outlet waits for a channel.
func (p *publisher) outlet(ctx context.Context) (*outlet, error) {
	for {
		p.mu.Lock()
		now, changed, reason := p.now, p.changed, p.reason
		p.mu.Unlock()
		if now != nil {
			return now, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("no connection to RabbitMQ: %w: %w", context.Cause(ctx), reason)
		}
	}
}

// publish returns nil when the server has confirmed the message, which with
// mandatory set means that a queue has it.
func (p *publisher) publish(ctx context.Context, l *letter, mandatory bool) error {
	var last error
	for range channelsMost {
		out, err := p.outlet(ctx)
		if err != nil {
			return errors.Join(err, last)
		}
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
	confirm, err := o.ch.PublishWithDeferredConfirmWithContext(ctx, l.exchange, l.key, mandatory, false, l.message)
	if err != nil {
		if o.ch.IsClosed() {
			return true, fmt.Errorf("publish: %w", o.broken(ctx))
		}
		return false, fmt.Errorf("publish: %w", err)
	}
	acked, err := confirm.WaitContext(ctx)
	if err != nil {
		return false, fmt.Errorf("wait for the confirm: %w", context.Cause(ctx))
	}
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
