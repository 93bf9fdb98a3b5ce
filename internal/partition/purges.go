package partition

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// Bounds of one call of PurgeQueue.
const (
	purgePatience = 20 * time.Second // then it says that there is more
	purgeWorkers  = 8                // partitions that are purged at the same time
	purgePage     = 500              // rows that are taken out at a time
)

// Purge says which of a queue's waiting tasks are to be taken out.
type Purge struct {
	Queue string
	// Queued are those that could start now, but for workers, limits and tasks before
	// them; Scheduled those that wait for their time, or for that of their next attempt.
	Queued    bool
	Scheduled bool
	// Before is the moment before which tasks were accepted that are taken out. Zero:
	// all that were accepted before the call.
	Before task.Timestamp
	Reason string // kept with each task
	// Only says which tasks are meant; neither its queue nor its state counts.
	Only TaskFilter
}

// all reports whether every task is meant that waits.
func (p *Purge) all() bool { return p.Queued && p.Scheduled && p.Only == (TaskFilter{}) }

// Purged is how many tasks a purge has taken out, or would.
type Purged struct {
	Queued    int64
	Scheduled int64
	// Before is that of the purge, or the moment that was taken for it.
	Before task.Timestamp
	// More says that time was over before the end: call again, with the same Before.
	More bool
	// Unread says that tasks wait in the broker's log behind others that stay, where the
	// node has no room to read them: whether they are meant is not known.
	Unread bool
}

func (n *Purged) add(other Purged) {
	n.Queued += other.Queued
	n.Scheduled += other.Scheduled
}

// PreviewPurge counts what a purge would take out now. Tasks that nobody has read
// from the broker yet count as queued, whatever their time is.
func (e *Engine) PreviewPurge(ctx context.Context, p Purge) (Purged, error) {
	if _, ok := e.Queue(p.Queue); !ok {
		return Purged{}, e.unknownQueue(p.Queue)
	}
	if p.Only != (TaskFilter{}) {
		return e.previewOnly(ctx, p)
	}
	type counts struct{ queued, scheduled int64 }
	var sum counts
	for _, o := range e.owners {
		n, err := ask(ctx, o, func(c *core, now time.Time, answer func(counts)) {
			queued, scheduled := c.preview(now, p.Queue)
			answer(counts{queued, scheduled})
		})
		if err != nil {
			return Purged{}, err
		}
		sum.queued += n.queued
		sum.scheduled += n.scheduled
	}
	backlog, err := e.backlog(ctx, p.Queue)
	if err != nil {
		return Purged{}, err
	}
	var would Purged
	if p.Queued {
		would.Queued = max(0, sum.queued+backlog.Tasks)
	}
	if p.Scheduled {
		would.Scheduled = max(0, sum.scheduled)
	}
	return would, nil
}

// PurgeQueue cancels tasks of a queue that wait; those that run stay. It works for a
// few seconds at most and says whether there is more. What it says to have taken out
// is durable.
func (e *Engine) PurgeQueue(ctx context.Context, p Purge) (Purged, error) {
	if _, ok := e.Queue(p.Queue); !ok {
		return Purged{}, e.unknownQueue(p.Queue)
	}
	if p.Before == 0 {
		p.Before = e.stamp()
	}
	ctx, cancel := context.WithTimeout(ctx, purgePatience)
	defer cancel()
	var (
		mu    sync.Mutex
		sum   = Purged{Before: p.Before}
		first error
		late  bool
		group sync.WaitGroup
		room  = make(chan struct{}, purgeWorkers)
	)
	for _, o := range e.owners {
		if p.Only.Key != "" && o != e.of(p.Only.Key) {
			continue
		}
		room <- struct{}{}
		group.Go(func() {
			defer func() { <-room }()
			n, err := e.purgePart(ctx, o, p)
			mu.Lock()
			defer mu.Unlock()
			sum.add(n)
			switch {
			case err == nil:
			case errors.Is(ctx.Err(), context.DeadlineExceeded):
				late = true
			case first == nil:
				first = err
			}
		})
	}
	group.Wait()
	if late {
		// Where others stay, the log may be full of them, and would be for every call.
		sum.Unread = !p.all() && sum.Queued+sum.Scheduled == 0
		sum.More = !sum.Unread
	}
	return sum, first
}

// purgePart purges a queue in one partition.
func (e *Engine) purgePart(ctx context.Context, o *owner, p Purge) (removed Purged, err error) {
	reached := make(chan struct{})
	pg := &purging{Purge: p, markers: make(map[task.ID]struct{}), reached: sync.OnceFunc(func() { close(reached) })}
	messages := e.purgeMarkers(o, pg)
	own := o.serving(ctx)
	if own == nil {
		return Purged{}, o.notServed()
	}
	// Whoever goes away meanwhile leaves no purge behind.
	begun, err := askIn(context.WithoutCancel(ctx), own, func(c *core, now time.Time, answer func(bool)) {
		q := c.queues[p.Queue]
		if q == nil || q.purge != nil {
			answer(false)
			return
		}
		c.purge(now, q, pg)
		answer(true)
	})
	if err != nil {
		return Purged{}, err
	}
	if !begun {
		return Purged{}, task.Errorf(task.CodeUnavailable, "queue %q is being purged by another call: wait for that one", p.Queue).WithRetryAfter(reclaimMax)
	}
	if err = e.markPurge(ctx, p.Queue, messages); err == nil {
		if removed, err = e.purgeRows(ctx, o, p); err == nil {
			select {
			case <-reached:
			case <-own.gone:
				err = task.Errorf(task.CodeUnavailable, "partition %d stopped before it was purged: purge again", o.part)
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
	}
	// What is counted is durable when this answers, however the purge ended.
	n, endErr := askIn(context.WithoutCancel(ctx), own, func(c *core, _ time.Time, answer func(Purged)) {
		if q := c.queues[p.Queue]; q.purge == pg {
			q.purge = nil
		}
		c.afterDurable(func() { answer(pg.removed) })
	})
	removed.add(n)
	return removed, errors.Join(err, endErr)
}

// purgeMarkers makes the messages that mark the end of a purge, one for each log, and
// notes that it waits for them.
func (e *Engine) purgeMarkers(o *owner, p *purging) (messages []broker.Message) {
	q, _ := e.Queue(p.Queue)
	for _, log := range logs(&q) {
		t := task.Task{ID: task.NewID(e.cfg.Clock.Now()), Queue: p.Queue, CreatedAt: e.stamp(), Headers: []task.Header{{Name: headPurge}}}
		body := t.Append(nil)
		messages = append(messages, broker.Message{
			Queue: log, Partition: o.part, ID: t.ID, Fingerprint: task.Fingerprint(body), Body: body, Owed: true,
		})
		p.markers[t.ID] = struct{}{}
	}
	return messages
}

// markPurge puts a message behind everything in the partition's logs that is to be
// purged.
func (e *Engine) markPurge(ctx context.Context, queue string, messages []broker.Message) error {
	if err := e.cfg.Broker.Publish(ctx, messages); err != nil {
		return fmt.Errorf("mark the end of the purge of queue %s: %w", queue, err)
	}
	return nil
}

// purgeRows takes tasks out that wait in the store, page by page. Parked rows are of
// tasks that are queued, and of some that wait for their next attempt; schedule rows
// are all of tasks that wait for their time.
func (e *Engine) purgeRows(ctx context.Context, o *owner, p Purge) (removed Purged, err error) {
	err = e.purgeTable(ctx, o, p, &removed, store.Scan{
		Part: o.part, Table: store.TableParked, Limit: purgePage, Bytes: maxLeaseBytes,
		From: &store.Parked{Queue: p.Queue}, To: &store.Parked{Queue: p.Queue + "\x00"},
	})
	if p.Scheduled && err == nil {
		err = e.purgeTable(ctx, o, p, &removed, store.Scan{Part: o.part, Table: store.TableSchedule, Limit: purgePage, Bytes: maxLeaseBytes})
	}
	return removed, err
}

func (e *Engine) purgeTable(ctx context.Context, o *owner, p Purge, removed *Purged, scan store.Scan) error {
	for {
		rows, err := e.cfg.Store.Load(ctx, scan)
		if err != nil || len(rows) == 0 {
			return err
		}
		var ids []task.ID
		for _, row := range rows {
			var body []byte
			switch r := row.(type) {
			case *store.Parked:
				body, scan.From = r.Body, laneName{r.Queue, r.Key, r.Class}.row(r.Seq+1)
			case *store.Schedule:
				body, scan.From = r.Body, &store.Schedule{Due: r.Due, Seq: r.Seq + 1}
			}
			if t, err := task.Decode(body); err == nil && t.Queue == p.Queue && t.CreatedAt < p.Before && p.Only.match(&t) {
				ids = append(ids, t.ID)
			}
		}
		if len(ids) == 0 {
			continue
		}
		n, err := e.purgeIDs(ctx, o, p, ids)
		if removed.add(n); err != nil {
			return err
		}
	}
}

// purgeIDs cancels those of the tasks that still wait, and that the purge means: the
// core knows whether they wait for their next attempt.
func (e *Engine) purgeIDs(ctx context.Context, o *owner, p Purge, ids []task.ID) (removed Purged, err error) {
	x := &cancelling{why: p.Reason, purge: &p, waiting: true, results: make([]CancelResult, len(ids)), places: make([]place, len(ids))}
	for i, id := range ids {
		x.results[i].ID = id
	}
	return ask(ctx, o, func(c *core, now time.Time, answer func(Purged)) {
		x.answer = func([]CancelResult) { answer(x.ended) }
		c.cancel(now, x)
	})
}
