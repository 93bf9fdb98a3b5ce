package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/fenfa/fenfa"
	broker "github.com/fenfa/fenfa/internal/broker/rabbitmq"
)

// ErrNoExchange ends Run: to go on does not help.
var ErrNoExchange = errors.New("there is no such exchange on the server")

// OutCounts says what Out did so far.
type OutCounts struct {
	Published  int64 // messages that the server confirmed
	Unroutable int64 // attempts that failed because no queue took the message
	Failed     int64 // attempts that failed otherwise
	GivenBack  int64 // tasks that were handed back because RabbitMQ was away: no attempts
	Rejected   int64 // tasks of which no message can be made, and which became dead letters
	Reconnects int64 // connections to RabbitMQ after the first one
}

type outCounts struct {
	published, unroutable, failed, givenBack, rejected, connects atomic.Int64
}

// Out publishes the tasks of a queue of fenfa to RabbitMQ, each at least once: a
// message that comes again has the same message-id, the task's ID.
type Out struct {
	cfg       OutConfig
	publisher *publisher
	counts    outCounts
}

// NewOut makes a bridge out of fenfa; Run starts it, once.
func NewOut(cfg OutConfig) (*Out, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Out{cfg: cfg, publisher: newPublisher()}, nil
}

// Counts returns what was done so far.
func (o *Out) Counts() OutCounts {
	c := &o.counts
	return OutCounts{
		Published: c.published.Load(), Unroutable: c.unroutable.Load(), Failed: c.failed.Load(), GivenBack: c.givenBack.Load(), Rejected: c.rejected.Load(),
		Reconnects: max(0, c.connects.Load()-1),
	}
}

// Run publishes until ctx ends, then finishes what is under way and returns nil. It
// fails when fenfa refuses the worker for good, or RabbitMQ the login or the
// exchange.
func (o *Out) Run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	events := o.cfg.OnEvent
	if events == nil {
		events = func(fenfa.Event) {}
	}
	worker := o.cfg.Client.Worker(fenfa.Concurrency(o.cfg.Concurrency), fenfa.DrainTimeout(o.cfg.DrainTimeout), fenfa.OnEvent(events))
	worker.Handle(o.cfg.From, o.handle)
	worker.Quiet() // Until there is a connection.
	// The connection outlives the worker, which finishes what it has begun.
	linkCtx, unlink := context.WithCancel(context.WithoutCancel(ctx))
	linked := make(chan error, 1)
	go func() {
		err := o.link(linkCtx, worker)
		stop(err)
		linked <- err
	}()
	err := worker.Run(ctx)
	unlink()
	return errors.Join(<-linked, err)
}

// handle publishes one task.
func (o *Out) handle(ctx context.Context, t *fenfa.Task) error {
	l, err := o.cfg.Route.letterOf(t)
	if err != nil {
		o.counts.rejected.Add(1)
		return fenfa.Reject(err)
	}
	err = o.publisher.publish(ctx, &l, o.cfg.Mandatory || o.cfg.Route.Reply)
	switch {
	case err == nil:
		o.counts.published.Add(1)
	case errors.Is(err, errAway):
		o.counts.givenBack.Add(1)
		return fenfa.GiveBack(err)
	case errors.Is(err, errUnroutable):
		o.counts.unroutable.Add(1)
	default:
		o.counts.failed.Add(1)
	}
	return err
}

// link keeps a connection until ctx ends, or there is no use in trying.
func (o *Out) link(ctx context.Context, worker *fenfa.Worker) error {
	delay := backoff{base: o.cfg.RetryBase, most: o.cfg.RetryMax}
	for ctx.Err() == nil {
		connected, err := o.session(ctx, worker)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // It was ended.
		}
		worker.Quiet()
		o.publisher.set(nil, err)
		if errors.Is(err, broker.ErrLogin) || errors.Is(err, ErrNoExchange) {
			return err
		}
		if connected {
			delay.reset()
		}
		o.cfg.Logger.Warn("no connection to RabbitMQ, trying again", "error", err)
		delay.wait(ctx)
	}
	return nil
}

// session serves one connection, until it breaks or ctx ends. A channel that the
// server closes takes the connection with it.
func (o *Out) session(ctx context.Context, worker *fenfa.Worker) (connected bool, err error) {
	conn, err := broker.Dial(ctx, o.cfg.Server, "bridge from "+o.cfg.From)
	if err != nil {
		return false, err
	}
	defer func() {
		// What is not confirmed yet is published again.
		_ = conn.CloseDeadline(time.Now().Add(closeGrace))
	}()
	out, err := o.open(conn)
	if err != nil {
		return false, err
	}
	closed := out.ch.NotifyClose(make(chan *amqp.Error, 1))
	const room = 16
	blocked := conn.NotifyBlocked(make(chan amqp.Blocking, room))
	o.counts.connects.Add(1)
	o.cfg.Logger.Info("publishing to RabbitMQ", "queue", o.cfg.From, "exchange", o.cfg.Route.Exchange)
	o.publisher.set(out, nil)
	worker.Resume()
	for {
		select {
		case b, ok := <-blocked:
			if !ok {
				blocked = nil
				continue
			}
			out.blocked.set(b.Active)
			o.blocked(worker, b)
		case cause := <-closed:
			out.why = errLost
			if cause != nil {
				out.why = fmt.Errorf("%w: %w", errLost, cause)
			}
			close(out.closed)
			return true, out.why
		case <-ctx.Done():
			out.why = context.Cause(ctx)
			close(out.closed)
			return true, out.why
		}
	}
}

// open opens a channel with confirms, and looks for the exchange.
func (o *Out) open(conn *amqp.Connection) (*outlet, error) {
	ch, err := conn.Channel()
	if err != nil {
		return nil, fmt.Errorf("open channel: %w", err)
	}
	if name := o.cfg.Route.Exchange; name != "" {
		// The kind is not compared.
		if err := ch.ExchangeDeclarePassive(name, amqp.ExchangeDirect, true, false, false, false, nil); err != nil {
			if e, ok := errors.AsType[*amqp.Error](err); ok && e.Code == amqp.NotFound {
				return nil, fmt.Errorf("publish to exchange %q: %w: %s", name, ErrNoExchange, e.Reason)
			}
			return nil, fmt.Errorf("look at exchange %q: %w", name, err)
		}
	}
	if err := ch.Confirm(false); err != nil {
		return nil, fmt.Errorf("ask for confirms: %w", err)
	}
	returns := ch.NotifyReturn(make(chan amqp.Return, o.cfg.Concurrency))
	return &outlet{ch: ch, closed: make(chan struct{}), returns: returns, returned: make(map[string]amqp.Return), blocked: newBlock()}, nil
}

// blocked keeps tasks away from a server that takes no messages.
func (o *Out) blocked(worker *fenfa.Worker, b amqp.Blocking) {
	if b.Active {
		o.cfg.Logger.Warn("RabbitMQ takes no messages", "reason", b.Reason)
		worker.Quiet()
		return
	}
	o.cfg.Logger.Info("RabbitMQ takes messages again")
	worker.Resume()
}
