package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"golang.org/x/sync/errgroup"

	"github.com/fenfa/fenfa/internal/child"
)

// How the plain client is tuned. More of either changed nothing where it was tried.
const (
	rawInFlight = 2048 // messages of a producer that wait for their confirms
	rawPrefetch = 4096 // messages of a consumer that wait for its acks
	rawAckEvery = 256  // one ack for as many
	rawFlush    = 5 * time.Millisecond
	rawQueues   = 4 // quorum queues, dealt out to producers and consumers
)

// rawTimeout is how long nothing may arrive before the plain client gives up.
const rawTimeout = 30 * time.Second

// withBaseline adds what a plain client does on the same server to a result.
func withBaseline(ctx context.Context, cfg Config, result *Result) error {
	if cfg.Baseline != BaselineRaw {
		return nil
	}
	fmt.Fprintf(cfg.Log, "the same with a plain client: %d messages\n", cfg.Tasks)
	b := &baseline{cfg: cfg, prefix: cfg.place.Prefix() + ".raw."}
	if err := b.declare(); err != nil {
		return fmt.Errorf("baseline: %w", err)
	}
	client, broker, err := b.used()
	if err != nil {
		return err
	}
	began := time.Now()
	runErr := b.run(ctx)
	seconds := time.Since(began).Seconds()
	clientAfter, brokerAfter, err := b.used()
	if err := errors.Join(runErr, err, b.remove()); err != nil {
		return fmt.Errorf("baseline: %w", err)
	}
	perS := float64(cfg.Tasks) / seconds
	ratio := result.PerS / perS
	result.BaselinePerS, result.BaselineRatio = &perS, &ratio
	result.BaselineCPUClient = per100k(clientAfter-client, cfg.Tasks)
	if used := brokerAfter - broker; used > 0 {
		result.BaselineCPUBroker = per100k(used, cfg.Tasks)
	}
	return nil
}

// baseline is a plain client: producers with confirms and consumers with acks, as
// many as the benchmark has producers and workers, each on a connection of its own.
type baseline struct {
	cfg    Config
	prefix string
	acked  atomic.Int64
}

func (b *baseline) used() (client, broker time.Duration, err error) {
	own, err := child.UsageOf(os.Getpid())
	if err != nil {
		return 0, 0, err
	}
	broker, err = b.cfg.brokerCPU()
	return own.CPU, broker, err
}

func (b *baseline) name(n int) string { return b.prefix + strconv.Itoa(n%rawQueues) }

// each calls f for each queue, on a channel of its own connection.
func (b *baseline) each(f func(ch *amqp.Channel, name string) error) (err error) {
	conn, err := b.cfg.place.Dial()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	for n := range rawQueues {
		if err := f(ch, b.name(n)); err != nil {
			return err
		}
	}
	return nil
}

func (b *baseline) declare() error {
	return b.each(func(ch *amqp.Channel, name string) error {
		_, err := ch.QueueDeclare(name, true, false, false, false, amqp.Table{"x-queue-type": "quorum"})
		return err
	})
}

func (b *baseline) remove() error {
	return b.each(func(ch *amqp.Channel, name string) error {
		_, err := ch.QueueDelete(name, false, false, false)
		return err
	})
}

// run publishes all messages and consumes them; it returns when the last one is
// acked.
func (b *baseline) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	share := func(n, of int) int { return b.cfg.Tasks*(n+1)/of - b.cfg.Tasks*n/of }
	for n := range b.cfg.Producers {
		group.Go(func() error { return b.produce(ctx, n, share(n, b.cfg.Producers)) })
	}
	consuming, stop := context.WithCancel(ctx)
	for n := range b.cfg.Workers {
		group.Go(func() error { return b.consume(consuming, n, stop) })
	}
	err := group.Wait()
	stop()
	return err
}

func (b *baseline) produce(ctx context.Context, n, messages int) (err error) {
	conn, err := b.cfg.place.Dial()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	if err := ch.Confirm(false); err != nil {
		return err
	}
	waiting := make([]*amqp.DeferredConfirmation, 0, rawInFlight)
	for i := range messages {
		if len(waiting) == rawInFlight {
			if err := confirmed(ctx, waiting[:rawInFlight/2]); err != nil {
				return err
			}
			waiting = append(waiting[:0], waiting[rawInFlight/2:]...)
		}
		c, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", b.name(n+i/b.cfg.Batch), true, false, amqp.Publishing{
			DeliveryMode: amqp.Persistent, Body: stamp(b.cfg.Payload, 0, uint64(i)),
		})
		if err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		waiting = append(waiting, c)
	}
	return confirmed(ctx, waiting)
}

func confirmed(ctx context.Context, waiting []*amqp.DeferredConfirmation) error {
	for _, c := range waiting {
		if ok, err := c.WaitContext(ctx); err != nil || !ok {
			return fmt.Errorf("a message was not confirmed: %w", errors.Join(err, ctx.Err()))
		}
	}
	return nil
}

// consume takes its share of the queues until all messages are acked; whoever acks
// the last one stops the others.
func (b *baseline) consume(ctx context.Context, n int, stop func()) (err error) {
	conn, err := b.cfg.place.Dial()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	group, ctx := errgroup.WithContext(ctx)
	for q := n; q < max(rawQueues, b.cfg.Workers); q += b.cfg.Workers {
		group.Go(func() error { return b.consumeOne(ctx, conn, b.name(q), stop) })
	}
	return group.Wait()
}

func (b *baseline) consumeOne(ctx context.Context, conn *amqp.Connection, name string, stop func()) error {
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	if err := ch.Qos(rawPrefetch, 0, false); err != nil {
		return err
	}
	deliveries, err := ch.Consume(name, "", false, false, false, false, nil)
	if err != nil {
		return fmt.Errorf("consume: %w", err)
	}
	// Acks that did not fill up go out with the next tick.
	flush := time.NewTicker(rawFlush)
	defer flush.Stop()
	idle := time.NewTimer(rawTimeout)
	defer idle.Stop()
	unacked, last := 0, uint64(0)
	for {
		due := false
		select {
		case d, ok := <-deliveries:
			if !ok {
				return errors.New("the server ended the consumer")
			}
			last = d.DeliveryTag
			unacked++
			due = unacked == rawAckEvery
		case <-flush.C:
			due = unacked > 0
		case <-ctx.Done():
			return nil
		case <-idle.C:
			return fmt.Errorf("nothing arrived for %v: %d of %d messages are acked", rawTimeout, b.acked.Load(), b.cfg.Tasks)
		}
		if !due {
			continue
		}
		idle.Reset(rawTimeout)
		if err := ch.Ack(last, true); err != nil {
			return fmt.Errorf("ack: %w", err)
		}
		if b.acked.Add(int64(unacked)) == int64(b.cfg.Tasks) {
			stop()
		}
		unacked = 0
	}
}
