package indexed

import (
	"context"
	"fmt"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/task"
)

// Locate implements broker.Locator. Tasks are found until the dedupe window of
// their queue is over; neither their position nor whether they were settled is
// known.
func (b *Broker) Locate(_ context.Context, id task.ID) (broker.Located, bool, error) {
	b.order.Lock()
	closed := b.closed
	row, written := b.onItsWay(id)
	unknown := !written && b.recent.NeverAccepted(&id)
	b.order.Unlock()
	switch {
	case closed:
		return broker.Located{}, false, broker.ErrClosed
	case unknown:
		return broker.Located{}, false, nil
	case !written:
		var found bool
		var err error
		if row, found, err = b.read(idRows.Key(&id)); err != nil || !found {
			if err != nil {
				err = fmt.Errorf("locate task %s: %w", id, err)
			}
			return broker.Located{}, false, err
		}
	}
	q := b.queues.Load().byNumber[row.queue]
	if q == nil || b.expired(&row, b.cfg.Clock.Now()) {
		return broker.Located{}, false, nil
	}
	return broker.Located{
		Queue: q.name, Partition: int(row.part), Fingerprint: row.fingerprint, PublishedAt: time.UnixMicro(row.publishedAt).UTC(),
	}, true, nil
}

// onItsWay returns the row of an id that was confirmed and may not be visible yet;
// order is held.
func (b *Broker) onItsWay(id task.ID) (row idRow, ok bool) {
	c, claimed := b.claims[id]
	if !claimed || !c.publication.answered {
		return idRow{}, false
	}
	it := &c.publication.items[c.item]
	return idRow{queue: it.queue.number, part: it.part, fingerprint: it.fingerprint, publishedAt: c.publication.at}, true
}
