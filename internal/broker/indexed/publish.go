package indexed

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/broker/idspace"
	"github.com/fenfa/fenfa/internal/broker/recent"
	"github.com/fenfa/fenfa/internal/kv"
)

// Publish implements broker.Broker. The answer "duplicate" is given for what this
// node published within the dedupe window of the queue that it was published to.
func (b *Broker) Publish(ctx context.Context, batch []broker.Message) error {
	if len(batch) == 0 {
		return nil
	}
	if !b.enter() {
		return fmt.Errorf("publish %d messages: %w", len(batch), broker.ErrClosed)
	}
	defer b.publishes.Done()
	p, _ := b.pool.Get().(*publication) // The pool holds nothing else.
	now := b.cfg.Clock.Now()
	p.take(batch, b.queues.Load(), recent.Latest(now))
	unsure, err := b.claim(ctx, p)
	if err == nil && unsure > 0 {
		err = b.lookUp(p, now)
	}
	if err == nil {
		err = b.forward(ctx, p, batch)
	}
	if err != nil {
		b.release(p)
		p.recycle()
		return fmt.Errorf("publish %d messages: %w", len(batch), err)
	}
	err = p.answer()
	b.remember(p)
	return err
}

// take makes the items and refuses what is wrong by itself.
func (p *publication) take(batch []broker.Message, known *queues, latest uint64) {
	var q *queue
	var name string
	for i := range batch {
		m := &batch[i]
		if i == 0 || m.Queue != name {
			name, q = m.Queue, known.byName[m.Queue]
		}
		p.items = append(p.items, item{id: m.ID, fingerprint: m.Fingerprint, queue: q, part: uint16(m.Partition)})
		it := &p.items[i]
		if err := recent.Check(&m.ID, latest); err != nil {
			it.refuse(err)
		} else if q == nil || m.Partition < 0 || m.Partition > math.MaxUint16 {
			it.verdict = verdictFree // the broker below refuses it, or knows more
		}
	}
}

// claim claims the ids of the call, all at once, when no other publish that is
// under way has one of them. It returns how many must be looked up.
func (b *Broker) claim(ctx context.Context, p *publication) (unsure int, err error) {
	for ctx.Err() == nil {
		unsure, busy := b.tryClaim(p)
		if busy == nil {
			return unsure, nil
		}
		select {
		case <-busy:
		case <-ctx.Done():
		}
	}
	return 0, context.Cause(ctx)
}

// tryClaim claims all ids or none: then it returns a channel that is closed when a
// publish that has one of them is over.
func (b *Broker) tryClaim(p *publication) (unsure int, busy <-chan struct{}) {
	b.order.Lock()
	defer b.order.Unlock()
	for i := range p.items {
		it := &p.items[i]
		if it.verdict != verdictNew {
			continue
		}
		first, taken := b.claims[it.id]
		switch {
		case !taken:
			b.claims[it.id] = claim{publication: p, item: int32(i)}
			if !b.recent.NeverAccepted(&it.id) {
				it.verdict = verdictUnsure
				unsure++
			}
		case first.publication == p:
			it.verdict, it.first = verdictAgain, first.item
		case first.publication.answered: // published, and its row is on its way
			it.verdict, it.other = verdictKnown, first.publication.items[first.item].fingerprint
		default:
			b.withdraw(p, i)
			return 0, first.publication.over()
		}
	}
	return unsure, nil
}

// withdraw takes the claims of the first n items back; order is held.
func (b *Broker) withdraw(p *publication, n int) {
	for i := range n {
		it := &p.items[i]
		b.unclaim(p, i)
		if it.verdict == verdictUnsure || it.verdict == verdictAgain || it.verdict == verdictKnown {
			it.verdict = verdictNew
		}
	}
}

// lookUp looks for the rows of the ids that recent knows nothing about. What is
// known already is released at once.
func (b *Broker) lookUp(p *publication, now time.Time) error {
	key := make([]byte, idspace.KeySize)
	looked, known := 0, 0
	for i := range p.items {
		it := &p.items[i]
		if it.verdict != verdictUnsure {
			continue
		}
		looked++
		idRows.PutKey(key, &it.id)
		row, found, err := b.read(key)
		if err != nil {
			return fmt.Errorf("look up task %s: %w", it.id, err)
		}
		switch {
		case !found:
			it.verdict = verdictNew
		case b.expired(&row, now):
			it.verdict, it.rewrites = verdictNew, true
		default:
			it.verdict, it.other = verdictKnown, row.fingerprint
			known++
		}
	}
	b.metrics.lookups.Add(float64(looked))
	if known == 0 {
		return nil
	}
	b.order.Lock()
	defer b.order.Unlock()
	for i := range p.items {
		if p.items[i].verdict == verdictKnown {
			b.unclaim(p, i)
		}
	}
	return nil
}

// unclaim gives the claim of an item back, if it has one; order is held. A later
// item with the same id has none.
func (b *Broker) unclaim(p *publication, i int) {
	id := &p.items[i].id
	if c := b.claims[*id]; c.publication == p && c.item == int32(i) {
		delete(b.claims, *id)
	}
}

// forward publishes what is new. It fails when the fate of the messages is not
// known.
func (b *Broker) forward(ctx context.Context, p *publication, batch []broker.Message) error {
	if err := b.db.AcceptsNew(); err != nil {
		p.refuseNew(batch, fmt.Errorf("%w: %w", broker.ErrFull, err))
	}
	n := p.toPublish()
	if n == 0 {
		return nil
	}
	var index []int // of the messages in the call; nil: all of them
	if n < len(batch) {
		some := make([]broker.Message, 0, n)
		for i := range p.items {
			if p.items[i].publishes() {
				some = append(some, batch[i])
				index = append(index, i)
			}
		}
		batch = some
	}
	ctx, cancel := b.inTime(ctx)
	defer cancel()
	err := b.inner.Publish(ctx, batch)
	if err == nil {
		return nil
	}
	partial, ok := errors.AsType[*broker.PublishError](err)
	if !ok {
		return err
	}
	for i, reason := range partial.Failed {
		if index != nil {
			i = index[i]
		}
		p.items[i].err = reason
	}
	return nil
}

// awayPatience is how long a publish waits for a broker that is known to be away:
// enough for a connection that is made anew, and short for whoever waits.
const awayPatience = time.Second

// inTime ends a call to the broker below a little before the caller stops waiting,
// so that the caller hears why it got no answer, and soon when the broker is away.
func (b *Broker) inTime(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, bounded := ctx.Deadline()
	left := time.Until(deadline)
	if bounded {
		const share = 10 // a tenth of it is for the answer
		left -= left / share
	}
	if b.Problem() != nil && (!bounded || left > awayPatience) {
		left, bounded = awayPatience, true
	}
	if !bounded {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, left)
}

// remember answers those who wait for the publication and hands the rows of what
// was taken to kv. The claims of these stay until the rows are durable.
func (b *Broker) remember(p *publication) {
	p.sort()
	p.at = b.cfg.Clock.Now().UnixMicro()
	var rows *kv.Batch
	if len(p.byID) > 0 {
		rows = b.db.NewBatch()
		p.encode(rows)
	}
	b.order.Lock()
	for i := range p.items {
		it := &p.items[i]
		if !it.claimed() {
			b.unclaim(p, i)
			continue
		}
		b.recent.Add(&it.id)
		if ms, ok := it.id.Millis(); it.rewrites || ok && ms < b.horizon {
			b.rewrites++
		}
	}
	p.answered = true
	p.wake()
	if rows != nil {
		b.db.CommitLater(rows, p.done)
	}
	b.order.Unlock()
	if rows == nil {
		p.recycle()
	}
}

// encode adds the rows of what was taken.
func (p *publication) encode(batch *kv.Batch) {
	for _, i := range p.byID {
		it := &p.items[i]
		key, value := batch.SetInPlace(idspace.KeySize, idRowSize)
		idRows.PutKey(key, &it.id)
		(&idRow{queue: it.queue.number, part: it.part, fingerprint: it.fingerprint, publishedAt: p.at}).put(value)
	}
}

// release gives all claims of the publication back.
func (b *Broker) release(p *publication) {
	b.order.Lock()
	defer b.order.Unlock()
	for i := range p.items {
		b.unclaim(p, i)
	}
	p.wake()
}

// onDurable runs when the rows are durable, or never will be.
func (p *publication) onDurable(error) {
	p.broker.release(p)
	p.recycle()
}

// read returns the row under a key.
func (b *Broker) read(key []byte) (row idRow, found bool, err error) {
	value, found, err := b.db.Get(key)
	if err == nil && found {
		row, err = decodeIDRow(value)
	}
	return row, found, err
}

// expired reports whether the index may forget the row: the dedupe window is over,
// or its queue was removed.
func (b *Broker) expired(row *idRow, now time.Time) bool {
	q := b.queues.Load().byNumber[row.queue]
	return q == nil || now.Sub(time.UnixMicro(row.publishedAt)) >= q.window
}
