package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"

	amqp "github.com/rabbitmq/amqp091-go"
	"golang.org/x/sync/errgroup"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/task"
)

// queue is a queue as this process knows it.
type queue struct {
	name   string
	logs   []*log
	limits atomic.Pointer[broker.Declaration]
	gauge  gauge
}

// log is the queue on the server for one partition.
type log struct {
	name string // on the server
	lane *lane
	part int

	mu     sync.Mutex
	epoch  uint64  // the highest that was heard of
	reader *reader // nil: not read here

	leftover leftover
}

func (b *Broker) newQueue(name string, partitions int) *queue {
	q := &queue{name: name, logs: make([]*log, partitions)}
	q.limits.Store(&broker.Declaration{Queue: name, Partitions: partitions})
	for part := range q.logs {
		server := b.cfg.queueName(name, part)
		q.logs[part] = &log{name: server, part: part, lane: b.laneOf(server)}
	}
	b.inherited.adopt(q)
	return q
}

// end ends all readers of the queue.
func (q *queue) end(cause error) {
	for _, l := range q.logs {
		l.mu.Lock()
		if l.reader != nil {
			l.reader.end(cause)
			l.reader = nil
		}
		l.mu.Unlock()
	}
}

// Declare implements broker.Broker.
func (b *Broker) Declare(ctx context.Context, d broker.Declaration) error {
	if err := task.ValidateQueueName(d.Queue); err != nil {
		return err
	}
	if d.Partitions < 1 || d.Partitions > maxPartitions {
		return task.Errorf(task.CodeInvalidArgument, "queue %q is to have %d partitions: it must have 1 to %d", d.Queue, d.Partitions, maxPartitions)
	}
	b.declaring.Lock()
	defer b.declaring.Unlock()
	if b.isClosed() {
		return closedError("declare queue " + d.Queue)
	}
	q := (*b.queues.Load())[d.Queue]
	if q != nil && len(q.logs) == d.Partitions {
		q.limits.Store(&d)
		return nil
	}
	if q != nil {
		return task.Errorf(task.CodeFailedPrecondition, "queue %q has %d partitions, which cannot become %d", d.Queue, len(q.logs), d.Partitions)
	}
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	q = b.newQueue(d.Queue, d.Partitions)
	q.limits.Store(&d)
	if err := b.declareLogs(ctx, q); err != nil {
		return err
	}
	if err := b.count(ctx, q); err != nil {
		return err
	}
	b.keep(q)
	return nil
}

// declareLogs makes the logs that do not exist, and checks the others.
func (b *Broker) declareLogs(ctx context.Context, q *queue) error {
	var made atomic.Bool
	err := b.eachLog(ctx, "declare queue "+q.name, q.logs, func(ch *amqp.Channel, l *log) error {
		_, err := ch.QueueDeclarePassive(l.name, true, false, false, false, nil)
		if isNotFound(err) {
			made.Store(true)
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	args := b.cfg.queueArguments()
	err = b.eachLog(ctx, "declare queue "+q.name, q.logs, func(ch *amqp.Channel, l *log) error {
		_, err := ch.QueueDeclare(l.name, true, false, false, false, args)
		return explainDeclare(err)
	})
	if err != nil || !made.Load() || !b.control.forgetful() {
		return err
	}
	if !pause(ctx, b.cfg.NewQueue) {
		return b.on("wait until queue "+q.name+" is on the disk", "", context.Cause(ctx))
	}
	return nil
}

// parallelCalls is how many calls about the logs of one queue are made at a time.
const parallelCalls = 8

// eachLog makes a call about each log, several at a time.
func (b *Broker) eachLog(ctx context.Context, operation string, logs []*log, call func(*amqp.Channel, *log) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelCalls)
	for _, l := range logs {
		group.Go(func() error {
			return b.control.do(ctx, operation, func(ch *amqp.Channel) error { return call(ch, l) })
		})
	}
	return group.Wait()
}

// keep remembers a queue; declaring is held.
func (b *Broker) keep(q *queue) {
	next := maps.Clone(*b.queues.Load())
	next[q.name] = q
	b.queues.Store(&next)
	b.inherited.forget(q.name)
}

// drop forgets a queue; declaring is held.
func (b *Broker) drop(q *queue) {
	next := maps.Clone(*b.queues.Load())
	if next[q.name] == q {
		delete(next, q.name)
		b.queues.Store(&next)
	}
}

// find returns a queue that was declared, here or by another process.
func (b *Broker) find(ctx context.Context, name string) (*queue, error) {
	if q := (*b.queues.Load())[name]; q != nil {
		return q, nil
	}
	if err := task.ValidateQueueName(name); err != nil {
		return nil, fmt.Errorf("%w: %q cannot be one", broker.ErrNoQueue, name)
	}
	b.declaring.Lock()
	defer b.declaring.Unlock()
	if q := (*b.queues.Load())[name]; q != nil {
		return q, nil
	}
	partitions := 0
	for partitions < maxPartitions {
		server := b.cfg.queueName(name, partitions)
		err := b.control.do(ctx, "look up queue "+name, func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclarePassive(server, true, false, false, false, nil)
			return err
		})
		if isNotFound(err) {
			break
		}
		if err != nil {
			return nil, err
		}
		partitions++
	}
	if partitions == 0 {
		return nil, fmt.Errorf("%w: %q", broker.ErrNoQueue, name)
	}
	q := b.newQueue(name, partitions)
	if err := b.count(ctx, q); err != nil {
		return nil, err
	}
	b.keep(q)
	return q, nil
}

// Remove implements broker.Broker.
func (b *Broker) Remove(ctx context.Context, name string) error {
	if b.isClosed() {
		return closedError("remove queue " + name)
	}
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	q, err := b.find(ctx, name)
	if err != nil {
		return fmt.Errorf("remove queue: %w", err)
	}
	b.declaring.Lock()
	defer b.declaring.Unlock()
	b.drop(q)
	q.end(fmt.Errorf("%w: %q was removed", broker.ErrNoQueue, name))
	// The first partition goes last: while it is there, the queue is found.
	for _, logs := range [][]*log{q.logs[1:], q.logs[:1]} {
		err := b.eachLog(ctx, "remove queue "+name, logs, func(ch *amqp.Channel, l *log) error {
			if _, err := ch.QueueDelete(l.name, false, false, false); err != nil && !isNotFound(err) {
				return err
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// forget drops a queue that the server says does not exist any more.
func (b *Broker) forget(q *queue) {
	b.declaring.Lock()
	defer b.declaring.Unlock()
	b.drop(q)
	q.end(fmt.Errorf("%w: %q is not on the server any more", broker.ErrNoQueue, q.name))
}

// Backlog implements broker.Broker. Tasks and bytes are what this process published
// and did not settle, corrected by the messages that the servers and the readers of
// this process have beyond that, or miss and cannot be on their way to such a reader;
// those count as messages of the mean size. What a reader of another process holds is
// not counted. While the server does not read the connection, because of an alarm,
// they are what this process knows.
func (b *Broker) Backlog(ctx context.Context, name string) (broker.Backlog, error) {
	if b.isClosed() {
		return broker.Backlog{}, closedError("count backlog of queue " + name)
	}
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	q, err := b.find(ctx, name)
	if err != nil {
		return broker.Backlog{}, fmt.Errorf("count backlog: %w", err)
	}
	if err := b.count(ctx, q); err != nil && !errors.Is(err, broker.ErrFull) {
		if isNotFound(err) {
			b.forget(q)
			err = errors.Join(fmt.Errorf("%w: %q", broker.ErrNoQueue, name), err)
		}
		return broker.Backlog{}, err
	}
	tasks, bytes := q.gauge.read()
	return broker.Backlog{Tasks: tasks, Bytes: bytes}, nil
}
