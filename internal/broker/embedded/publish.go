package embedded

import (
	"context"
	"fmt"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/broker/idspace"
	"github.com/fenfa/fenfa/internal/broker/recent"
	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/task"
)

// Publish implements broker.Broker.
func (b *Broker) Publish(ctx context.Context, batch []broker.Message) error {
	if len(batch) == 0 {
		return nil
	}
	p, _ := b.pool.Get().(*publication) // The pool holds nothing else.
	now := b.cfg.Clock.Now()
	b.resolve(p, batch, now)
	p.sort()
	if err := b.admit(p, now); err != nil {
		return fmt.Errorf("publish %d messages: %w", len(batch), err)
	}
	if p.written > 0 {
		if err := p.wait(ctx); err != nil {
			return fmt.Errorf("publish %d messages: %w", len(batch), err)
		}
	}
	err := b.conclude(ctx, p)
	p.recycle()
	return err
}

// resolve finds each message's log and refuses what is wrong by itself.
func (b *Broker) resolve(p *publication, batch []broker.Message, now time.Time) {
	latest := recent.Latest(now)
	known := b.queues.Load()
	var q *queue
	var name string
	for i := range batch {
		m := &batch[i]
		p.items = append(p.items, item{id: m.ID, fingerprint: m.Fingerprint, body: m.Body, owed: m.Owed, next: -1})
		it := &p.items[i]
		if q == nil || m.Queue != name {
			name, q = m.Queue, known.byName[m.Queue]
		}
		switch {
		case q == nil:
			it.refuse(fmt.Errorf("%w: %q", broker.ErrNoQueue, m.Queue))
		case m.Partition < 0 || m.Partition >= len(q.logs):
			it.refuse(task.Errorf(task.CodeInvalidArgument, "queue %q has %d partitions: there is no partition %d", m.Queue, len(q.logs), m.Partition))
		default:
			it.log = q.logs[m.Partition]
			if err := recent.Check(&m.ID, latest); err != nil {
				it.refuse(err)
			}
		}
	}
}

func (it *item) refuse(err error) {
	it.verdict, it.err = verdictRefused, err
}

// admit claims the ids, finds out which are new, and hands those to kv.
func (b *Broker) admit(p *publication, now time.Time) error {
	b.order.Lock()
	defer b.order.Unlock()
	if b.closed {
		return broker.ErrClosed
	}
	if b.claim(p) > 0 {
		// What the index says stays true without the lock, because the ids are claimed.
		b.order.Unlock()
		err := b.lookUp(p, now)
		b.order.Lock()
		if err == nil && b.closed {
			err = broker.ErrClosed
		}
		if err != nil {
			b.releaseLocked(p, err)
			return err
		}
	}
	b.write(p, now)
	if p.written == 0 {
		b.releaseLocked(p, nil)
	}
	return nil
}

// claim claims the ids that nobody else has and returns how many of them must be
// looked up; order is held.
func (b *Broker) claim(p *publication) (unsure int) {
	for i := range p.items {
		it := &p.items[i]
		if it.verdict == verdictRefused {
			continue
		}
		if first, taken := b.claims[it.id]; taken {
			it.verdict, it.first = verdictWaits, first
			if first.publication != p && first.publication.finished == nil {
				first.publication.finished = make(chan struct{})
			}
			continue
		}
		b.claims[it.id] = claim{publication: p, item: int32(i)}
		if !b.recent.NeverAccepted(&it.id) {
			it.verdict = verdictUnsure
			unsure++
		}
	}
	return unsure
}

// lookUp asks the index about the ids that recent knows nothing about.
func (b *Broker) lookUp(p *publication, now time.Time) error {
	key := make([]byte, idspace.KeySize)
	looked := 0
	for i := range p.items {
		it := &p.items[i]
		if it.verdict != verdictUnsure {
			continue
		}
		looked++
		index.PutKey(key, &it.id)
		value, found, err := b.db.Get(key)
		if err != nil {
			return fmt.Errorf("look up task %s: %w", it.id, err)
		}
		it.verdict = verdictNew
		if !found {
			continue
		}
		row, err := decodeIndexRow(value)
		if err != nil {
			return fmt.Errorf("look up task %s: %w", it.id, err)
		}
		expired, err := b.expired(&row, &it.id, now)
		if err != nil {
			return fmt.Errorf("look up task %s: %w", it.id, err)
		}
		if expired {
			p.backdated = true
			continue
		}
		it.verdict, it.other = verdictKnown, row.fingerprint
	}
	b.metrics.lookups.Add(float64(looked))
	return nil
}

// write assigns positions to what is new and hands it to kv; order is held.
func (b *Broker) write(p *publication, now time.Time) {
	refusal := b.db.AcceptsNew()
	if refusal != nil {
		refusal = fmt.Errorf("%w: %w", broker.ErrFull, refusal)
	}
	for i := range p.items {
		it := &p.items[i]
		if it.verdict != verdictNew {
			continue
		}
		if err := it.log.queue.room(refusal, it.owed, len(it.body)); err != nil {
			it.refuse(err)
			continue
		}
		b.place(p, int32(i))
	}
	if p.written == 0 {
		return
	}
	batch := b.db.NewBatch()
	p.encode(batch, now.UnixMicro())
	if p.backdated {
		b.backdate.inFlight++
	}
	b.db.Commit(batch, p.done)
}

// room takes room in the backlog for a message, or says why there is none. What is
// owed gets it in any case.
func (q *queue) room(refusal error, owed bool, size int) error {
	decl := q.decl.Load()
	switch {
	case q.removed:
		return fmt.Errorf("%w: %q was removed", broker.ErrNoQueue, decl.Queue)
	case owed:
	case refusal != nil:
		return refusal
	case decl.MaxTasks > 0 && q.tasks.Load() >= decl.MaxTasks:
		return fmt.Errorf("%w: queue %q holds %d tasks of at most %d: let workers catch up, or raise max_backlog_tasks", broker.ErrFull, decl.Queue, q.tasks.Load(), decl.MaxTasks)
	case decl.MaxBytes > 0 && q.bytes.Load()+int64(size) > decl.MaxBytes:
		return fmt.Errorf("%w: queue %q holds %d bytes of at most %d: let workers catch up, or raise max_backlog_bytes", broker.ErrFull, decl.Queue, q.bytes.Load(), decl.MaxBytes)
	}
	q.tasks.Add(1)
	q.bytes.Add(int64(size))
	return nil
}

// place gives a message its position.
func (b *Broker) place(p *publication, i int32) {
	it := &p.items[i]
	l := it.log
	it.pos = l.published.pos
	l.published.pos++
	l.published.tasks++
	l.published.bytes += int64(len(it.body))
	p.link(i)
	b.recent.Add(&it.id)
	if ms, ok := it.id.Millis(); ok && ms < b.backdate.horizon {
		p.backdated = true
	}
	p.written++
}

// encode adds the rows of everything that was placed. Neighbours in the key space
// stand together, log by log and then the index in the order of ids: inserting next to
// the row before saves the engine most of its search.
func (p *publication) encode(batch *kv.Batch, at int64) {
	for _, t := range p.touched {
		for i := t.first; i >= 0; i = p.items[i].next {
			it := &p.items[i]
			key, value := batch.SetInPlace(logKeySize, logHeaderSize+len(it.body))
			putLogKey(key, t.log.queue.number, t.log.part, it.pos)
			(&logRow{fingerprint: it.fingerprint, id: it.id, publishedAt: at, body: it.body}).put(value)
		}
	}
	for _, t := range p.touched {
		key, value := batch.SetInPlace(stateKeySize, countsRowSize)
		putStateKey(key, t.log.queue.number, t.log.part, statePublished)
		t.log.published.put(value)
	}
	for _, i := range p.byID {
		it := &p.items[i]
		if it.verdict != verdictNew {
			continue
		}
		key, value := batch.SetInPlace(idspace.KeySize, indexRowSize)
		index.PutKey(key, &it.id)
		(&indexRow{queue: it.log.queue.number, part: it.log.part, pos: it.pos, fingerprint: it.fingerprint, publishedAt: at}).put(value)
	}
}

// link puts an item behind the others of its log.
func (p *publication) link(i int32) {
	l := p.items[i].log
	if t := int(l.touch); t < len(p.touched) && p.touched[t].log == l {
		p.items[p.touched[t].last].next = i
		p.touched[t].last = i
		return
	}
	l.touch = int32(len(p.touched))
	p.touched = append(p.touched, touch{log: l, first: i, last: i})
}

// wait returns when what was written is durable, and the claims are released; or
// when ctx ends, and then the outcome is not known and kv's callback takes over.
func (p *publication) wait(ctx context.Context) error {
	var err error
	select {
	case err = <-p.result:
	case <-ctx.Done():
		if p.state.CompareAndSwap(publishWaits, publishGaveUp) {
			return context.Cause(ctx)
		}
		err = <-p.result
	}
	p.broker.release(p, err)
	return err
}

// release ends the publication's claims. err is why nothing was written.
func (b *Broker) release(p *publication, err error) {
	b.order.Lock()
	defer b.order.Unlock()
	if p.backdated {
		b.backdate.inFlight--
		b.backdate.changes++
	}
	b.releaseLocked(p, err)
}

func (b *Broker) releaseLocked(p *publication, err error) {
	for i := range p.items {
		it := &p.items[i]
		if it.verdict != verdictWaits && b.claims[it.id].publication == p {
			delete(b.claims, it.id)
		}
	}
	p.err = err
	if p.finished != nil {
		close(p.finished)
	}
}

// conclude waits for the publications that had claimed some ids first, and makes
// the answer.
func (b *Broker) conclude(ctx context.Context, p *publication) error {
	var failed map[int]error
	duplicates := 0
	for i := range p.items {
		it := &p.items[i]
		err := it.err
		switch it.verdict {
		case verdictKnown:
			err = compare(it.other, it.fingerprint)
		case verdictWaits:
			first := it.first.publication
			if first != p {
				select {
				case <-first.finished:
				case <-ctx.Done():
					return fmt.Errorf("publish task %s again: %w", it.id, context.Cause(ctx))
				}
			}
			err = first.answer(it.first.item, it.fingerprint)
		case verdictNew, verdictUnsure, verdictRefused:
		}
		if err == nil {
			continue
		}
		if failed == nil {
			failed = make(map[int]error)
		}
		failed[i] = err
		duplicates++
	}
	b.metrics.published.Add(float64(p.written))
	if failed == nil {
		return nil
	}
	b.metrics.notTaken.Add(float64(duplicates))
	return &broker.PublishError{Failed: failed}
}
