package indexed

import (
	"context"
	"fmt"
	"maps"

	"github.com/fenfa/fenfa/internal/broker"
)

// queue is a declared queue. Its number is that of no other one, also not of one
// that had its name before: the ids of a removed queue are forgotten with it.
type queue struct {
	queueRow
	name string
}

// queues is what the index knows, replaced as a whole when it changes.
type queues struct {
	byName   map[string]*queue
	byNumber map[uint32]*queue
}

func (s *queues) with(q *queue) *queues {
	s = &queues{byName: maps.Clone(s.byName), byNumber: maps.Clone(s.byNumber)}
	s.byName[q.name], s.byNumber[q.number] = q, q
	return s
}

func (s *queues) without(q *queue) *queues {
	s = &queues{byName: maps.Clone(s.byName), byNumber: maps.Clone(s.byNumber)}
	delete(s.byName, q.name)
	delete(s.byNumber, q.number)
	return s
}

// Declare implements broker.Broker.
func (b *Broker) Declare(ctx context.Context, d broker.Declaration) error {
	b.declare.Lock()
	defer b.declare.Unlock()
	if b.isClosed() {
		return broker.ErrClosed
	}
	if err := b.inner.Declare(ctx, d); err != nil {
		return err
	}
	q := &queue{name: d.Queue, queueRow: queueRow{window: max(0, d.DedupeWindow)}}
	batch := b.db.NewBatch()
	switch known := b.queues.Load().byName[d.Queue]; {
	case known == nil:
		// The number counts as given even when the outcome is not known.
		b.lastNumber++
		q.number = b.lastNumber
		batch.Set(lastNumberKey(), encodeNumber(q.number))
	case known.window == q.window:
		batch.Discard()
		return nil
	default:
		q.number = known.number
	}
	batch.Set(queueKey(q.name), q.encode())
	if err := b.db.CommitWait(ctx, batch); err != nil {
		return fmt.Errorf("declare queue %q in the index: %w", q.name, err)
	}
	b.queues.Store(b.queues.Load().with(q))
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
	// The index forgets first: it must not call duplicates what is gone.
	if q := b.queues.Load().byName[name]; q != nil {
		batch := b.db.NewBatch()
		batch.Delete(queueKey(name))
		if err := b.db.CommitWait(ctx, batch); err != nil {
			return fmt.Errorf("remove queue %q from the index: %w", name, err)
		}
		b.queues.Store(b.queues.Load().without(q))
	}
	return b.inner.Remove(ctx, name)
}
