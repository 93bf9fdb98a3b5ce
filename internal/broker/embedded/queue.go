package embedded

import (
	"context"
	"fmt"
	"maps"
	"math"
	"sync/atomic"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/task"
)

// maxPartitions is what fits into a key.
const maxPartitions = math.MaxUint16

// queue is a declared queue and its logs.
type queue struct {
	number  uint32
	decl    atomic.Pointer[broker.Declaration]
	logs    []*log
	removed bool         // under Broker.order
	tasks   atomic.Int64 // backlog over all logs
	bytes   atomic.Int64
}

func newQueue(row queueRow, m *memory) *queue {
	q := &queue{number: row.number, logs: make([]*log, row.Partitions)}
	q.decl.Store(&row.Declaration)
	for i := range q.logs {
		q.logs[i] = newLog(q, uint16(i), m)
	}
	return q
}

// window is how long an id is remembered after its publish.
func (q *queue) window() time.Duration { return q.decl.Load().DedupeWindow }

// queues is what the broker knows, replaced as a whole when it changes.
type queues struct {
	byName   map[string]*queue
	byNumber map[uint32]*queue
}

func (s *queues) with(q *queue) *queues {
	s = &queues{byName: maps.Clone(s.byName), byNumber: maps.Clone(s.byNumber)}
	s.byName[q.decl.Load().Queue] = q
	s.byNumber[q.number] = q
	return s
}

func (s *queues) without(q *queue) *queues {
	s = &queues{byName: maps.Clone(s.byName), byNumber: maps.Clone(s.byNumber)}
	delete(s.byName, q.decl.Load().Queue)
	delete(s.byNumber, q.number)
	return s
}

// find returns the queue with the name.
func (b *Broker) find(name string) (*queue, error) {
	if q := b.queues.Load().byName[name]; q != nil {
		return q, nil
	}
	return nil, fmt.Errorf("%w: %q", broker.ErrNoQueue, name)
}

// Declare implements broker.Broker. The number of partitions of a queue that
// exists cannot be changed.
func (b *Broker) Declare(ctx context.Context, decl broker.Declaration) error {
	if err := task.ValidateQueueName(decl.Queue); err != nil {
		return err
	}
	if decl.Partitions < 1 || decl.Partitions > maxPartitions {
		return task.Errorf(task.CodeInvalidArgument, "queue %q cannot have %d partitions: want 1 to %d",
			decl.Queue, decl.Partitions, maxPartitions).WithField("partitions")
	}
	decl.MaxTasks, decl.MaxBytes, decl.DedupeWindow = max(0, decl.MaxTasks), max(0, decl.MaxBytes), max(0, decl.DedupeWindow)

	b.declare.Lock()
	defer b.declare.Unlock()
	if b.isClosed() {
		return broker.ErrClosed
	}
	q := b.queues.Load().byName[decl.Queue]
	if q == nil {
		return b.addQueue(ctx, decl)
	}
	old := *q.decl.Load()
	if old == decl {
		return nil
	}
	if old.Partitions != decl.Partitions {
		return task.Errorf(task.CodeFailedPrecondition, "queue %q has %d partitions, which cannot be changed to %d",
			decl.Queue, old.Partitions, decl.Partitions).WithField("partitions")
	}
	batch := b.db.NewBatch()
	row := queueRow{number: q.number, Declaration: decl}
	batch.Set(queueKey(decl.Queue), row.encode())
	if err := b.db.CommitWait(ctx, batch); err != nil {
		return fmt.Errorf("declare queue %q: %w", decl.Queue, err)
	}
	q.decl.Store(&decl)
	return nil
}

func (b *Broker) addQueue(ctx context.Context, decl broker.Declaration) error {
	row := queueRow{number: b.lastNumber + 1, Declaration: decl}
	batch := b.db.NewBatch()
	batch.Set(lastNumberKey(), encodeNumber(row.number))
	batch.Set(queueKey(decl.Queue), row.encode())
	// The number counts as given even when the outcome is not known.
	b.lastNumber = row.number
	if err := b.db.CommitWait(ctx, batch); err != nil {
		return fmt.Errorf("declare queue %q: %w", decl.Queue, err)
	}
	b.queues.Store(b.queues.Load().with(newQueue(row, &b.memory)))
	return nil
}

// Remove implements broker.Broker. Ids of the queue's tasks may be published
// again at once.
func (b *Broker) Remove(ctx context.Context, name string) error {
	b.declare.Lock()
	defer b.declare.Unlock()
	if b.isClosed() {
		return broker.ErrClosed
	}
	q, err := b.find(name)
	if err != nil {
		return fmt.Errorf("remove queue: %w", err)
	}
	batch := b.db.NewBatch()
	batch.Delete(queueKey(name))
	for _, space := range []byte{kv.SpaceBrokerLog, kv.SpaceBrokerState} {
		lo, hi := queueBounds(space, q.number)
		batch.DeleteRange(lo, hi)
	}
	done := make(chan error, 1)
	b.order.Lock()
	// From here on nothing is written into the queue any more: publishes look at
	// removed under this lock, settles at the end of their reader.
	q.removed = true
	for _, l := range q.logs {
		l.replace(nil, fmt.Errorf("%w: %q was removed", broker.ErrNoQueue, name))
	}
	b.queues.Store(b.queues.Load().without(q))
	b.db.Commit(batch, func(err error) { done <- err })
	b.order.Unlock()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("remove queue %q: %w", name, err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("remove queue %q: %w", name, context.Cause(ctx))
	}
}

// Backlog implements broker.Broker.
func (b *Broker) Backlog(_ context.Context, name string) (broker.Backlog, error) {
	if b.isClosed() {
		return broker.Backlog{}, broker.ErrClosed
	}
	q, err := b.find(name)
	if err != nil {
		return broker.Backlog{}, fmt.Errorf("read backlog: %w", err)
	}
	backlog := broker.Backlog{Tasks: q.tasks.Load(), Bytes: q.bytes.Load()}
	for _, l := range q.logs {
		at, ok, err := b.oldest(l)
		if err != nil {
			return broker.Backlog{}, fmt.Errorf("read backlog of queue %q: %w", name, err)
		}
		if ok && (backlog.Oldest.IsZero() || at.Before(backlog.Oldest)) {
			backlog.Oldest = at
		}
	}
	return backlog, nil
}

// oldest returns when the first durable message of the log that is not settled
// was published.
func (b *Broker) oldest(l *log) (at time.Time, ok bool, err error) {
	from, to := l.bounds()
	if from >= to {
		return time.Time{}, false, nil
	}
	it, err := b.db.Iter(logKey(l.queue.number, l.part, from), logKey(l.queue.number, l.part, to))
	if err != nil {
		return time.Time{}, false, err
	}
	if it.First() {
		row, rowErr := decodeLogRow(it.Value())
		at, ok, err = time.UnixMicro(row.publishedAt).UTC(), rowErr == nil, rowErr
	}
	if closeErr := it.Close(); err == nil {
		err = closeErr
	}
	return at, ok, err
}
