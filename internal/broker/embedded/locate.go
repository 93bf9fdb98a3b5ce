package embedded

import (
	"context"
	"fmt"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/task"
)

// Locate implements broker.Locator. Tasks are found for as long as their id is
// remembered: at least the queue's dedupe window.
func (b *Broker) Locate(ctx context.Context, id task.ID) (broker.Located, bool, error) {
	b.order.Lock()
	closed := b.closed
	_, claimed := b.claims[id]
	unknown := b.recent.NeverAccepted(&id)
	b.order.Unlock()
	switch {
	case closed:
		return broker.Located{}, false, broker.ErrClosed
	case unknown:
		return broker.Located{}, false, nil
	case claimed:
		// It may be visible and not durable; a moment later it is both.
		if err := b.db.Barrier(ctx); err != nil {
			return broker.Located{}, false, fmt.Errorf("locate task %s: %w", id, err)
		}
	}
	located, ok, err := b.locate(id)
	if err != nil {
		return broker.Located{}, false, fmt.Errorf("locate task %s: %w", id, err)
	}
	return located, ok, nil
}

func (b *Broker) locate(id task.ID) (broker.Located, bool, error) {
	value, ok, err := b.db.Get(index.Key(&id))
	if err != nil || !ok {
		return broker.Located{}, false, err
	}
	row, err := decodeIndexRow(value)
	if err != nil {
		return broker.Located{}, false, err
	}
	q := b.queues.Load().byNumber[row.queue]
	if q == nil || int(row.part) >= len(q.logs) {
		return broker.Located{}, false, nil
	}
	settled, err := b.isSettled(q.logs[row.part], &row, &id)
	if err != nil {
		return broker.Located{}, false, err
	}
	return broker.Located{
		Queue:       q.decl.Load().Queue,
		Partition:   int(row.part),
		Position:    row.pos,
		Fingerprint: row.fingerprint,
		Settled:     settled,
		PublishedAt: time.UnixMicro(row.publishedAt).UTC(),
	}, true, nil
}
