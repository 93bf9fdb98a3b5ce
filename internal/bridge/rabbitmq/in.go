package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	broker "github.com/fenfa/fenfa/internal/broker/rabbitmq"
)

// Errors that end Run, because to go on does not help. So does broker.ErrLogin.
var (
	ErrNoQueue  = errors.New("there is no such queue on the server")
	ErrStream   = errors.New("it is a stream, which keeps its messages whoever reads them: only classic and quorum queues can be moved")
	ErrRefused  = errors.New("a message was refused")
	ErrNoTarget = errors.New("fenfa does not take the tasks")
)

// consumer names the bridge in the server's list of consumers.
const consumer = "fenfa bridge"

// closeGrace is how long a connection may take to say goodbye.
const closeGrace = 2 * time.Second

// In moves the messages of a queue of RabbitMQ into a queue of fenfa, at least
// once: what is delivered again, because an ack was lost, is recognized by its ID
// for as long as fenfa remembers it, the queue's dedupe window.
type In struct {
	cfg     InConfig
	mapping mapping
	refused *keeper
	counts  inCounts
	settled int64 // messages that were dealt with; the pump's
}

// NewIn makes a bridge into fenfa; Run starts it, once.
func NewIn(cfg InConfig) (*In, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	vhost := cfg.Server.VHost
	def(&vhost, broker.DefaultVHost)
	return &In{
		cfg:     cfg,
		mapping: mapping{vhost: vhost, queue: cfg.Queue, to: cfg.To, key: cfg.Key, id: cfg.ID, typeHeader: cfg.TypeHeader},
		refused: &keeper{path: cfg.RefusedFile},
	}, nil
}

// Counts returns what was done so far.
func (in *In) Counts() InCounts { return in.counts.read() }

// Run moves messages until the limit is reached, the queue is empty where that ends
// it, or ctx ends: then it takes no more, finishes the submits that are under way
// and returns nil. It waits while RabbitMQ or fenfa is away. It fails when to go on
// does not help; what it held then goes back to its queue.
func (in *In) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, in.refused.close()) }()
	delay := backoff{base: in.cfg.RetryBase, most: in.cfg.RetryMax}
	for ctx.Err() == nil {
		useful, err := in.session(ctx)
		if err == nil || ends(err) {
			return err
		}
		if ctx.Err() != nil || in.cfg.Limit > 0 && in.settled >= in.cfg.Limit {
			return nil // What was lost with the connection is delivered again.
		}
		if useful {
			delay.reset()
		}
		if errors.Is(err, errMore) {
			continue
		}
		in.cfg.Logger.Warn("no connection to RabbitMQ, trying again", "error", err)
		delay.wait(ctx)
	}
	return nil
}

func ends(err error) bool {
	for _, final := range []error{ErrNoQueue, ErrStream, ErrRefused, ErrNoTarget, broker.ErrLogin, errKeep} {
		if errors.Is(err, final) {
			return true
		}
	}
	return false
}

// session moves messages over one connection. It reports whether it got to
// consuming.
func (in *In) session(ctx context.Context) (useful bool, err error) {
	conn, err := broker.Dial(ctx, in.cfg.Server, "bridge "+in.cfg.Queue)
	if err != nil {
		return false, err
	}
	defer func() {
		// What was not acked goes back to the queue, however the connection ends.
		_ = conn.CloseDeadline(time.Now().Add(closeGrace))
	}()
	ch, deliveries, err := in.consume(conn)
	if err != nil {
		return false, err
	}
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	in.counts.connects.Add(1)
	in.cfg.Logger.Info("taking messages from RabbitMQ", "queue", in.cfg.Queue, "to", in.cfg.To)
	p := newPump(in, ch, deliveries)
	err = p.run(ctx)
	if !errors.Is(err, errLost) {
		// The server has read all acks when it answers.
		err = errors.Join(err, ch.Close())
	}
	if errors.Is(err, errLost) {
		select {
		case cause := <-closed:
			if cause != nil {
				err = fmt.Errorf("%w: %w", errLost, cause)
			}
		default:
		}
	}
	return true, err
}

// consume opens a channel and begins to consume a queue that is there.
func (in *In) consume(conn *amqp.Connection) (*amqp.Channel, <-chan amqp.Delivery, error) {
	// Only a stream knows an offset. A server refuses it for other queues, or it makes
	// a stream show itself with its first message.
	ch, deliveries, err := in.tryConsume(conn, amqp.Table{headerStreamOffset: "first"})
	if e, ok := errors.AsType[*amqp.Error](err); ok && e.Code == amqp.PreconditionFailed && strings.Contains(e.Reason, headerStreamOffset) {
		return in.tryConsume(conn, nil)
	}
	return ch, deliveries, err
}

func (in *In) tryConsume(conn *amqp.Connection, args amqp.Table) (*amqp.Channel, <-chan amqp.Delivery, error) {
	ch, err := conn.Channel()
	if err != nil {
		return nil, nil, fmt.Errorf("open channel: %w", err)
	}
	name := in.cfg.Queue
	if _, err := ch.QueueDeclarePassive(name, true, false, false, false, nil); err != nil {
		// The same code may say that a queue which exists cannot be reached now.
		if e, ok := errors.AsType[*amqp.Error](err); ok && e.Code == amqp.NotFound && strings.Contains(e.Reason, "no queue") {
			return nil, nil, fmt.Errorf("consume queue %q of vhost %q: %w: %s", name, in.mapping.vhost, ErrNoQueue, e.Reason)
		}
		return nil, nil, fmt.Errorf("look at queue %q: %w", name, err)
	}
	if err := ch.Qos(in.cfg.Prefetch, 0, false); err != nil {
		return nil, nil, fmt.Errorf("set prefetch: %w", err)
	}
	deliveries, err := ch.Consume(name, consumer, false, false, false, false, args)
	if err != nil {
		return nil, nil, fmt.Errorf("consume queue %q: %w", name, err)
	}
	return ch, deliveries, nil
}

// backoff draws delays that double up to a bound, spread over half to one and a
// half of each.
type backoff struct {
	base, most time.Duration
	next       time.Duration
}

func (b *backoff) reset() { b.next = 0 }

func (b *backoff) draw() time.Duration {
	b.next = min(max(b.base, 2*b.next), b.most)
	return b.next/2 + rand.N(b.next+1)
}

// wait waits for the next delay, or until ctx ends.
func (b *backoff) wait(ctx context.Context) {
	timer := time.NewTimer(b.draw())
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
