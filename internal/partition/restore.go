package partition

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// scanPage is how many rows one read of a table takes.
const scanPage = 1000

// restore brings back what waits in the store, before the first task is read.
func (own *ownership) restore(ctx context.Context, now time.Time) error {
	for _, q := range own.e.Queues() {
		own.core.configure(q)
	}
	// Counted before the first of these rows is read back, so the numbers are exact.
	waiting := make(chan struct{})
	own.rows.add(func(ctx context.Context) error {
		defer close(waiting)
		return own.count(ctx, store.TableSchedule, store.TableParked)
	})
	if err := own.restoreMarked(ctx); err != nil {
		return err
	}
	if err := own.restoreOutbox(ctx); err != nil {
		return err
	}
	if err := own.restoreTransactions(ctx); err != nil {
		return err
	}
	if err := own.restoreParked(ctx, now); err != nil {
		return err
	}
	for _, q := range own.e.Queues() {
		if err := own.serveQueue(ctx, q); err != nil {
			return err
		}
	}
	own.start(func(ctx context.Context) {
		if err := own.count(ctx, store.TableDead); err != nil {
			own.fail(err)
			return
		}
		select {
		case <-waiting:
			close(own.counted)
		case <-ctx.Done():
		}
	})
	own.start(func(ctx context.Context) {
		if err := own.loadCrons(ctx); err != nil {
			own.fail(err)
		}
	})
	own.start(func(ctx context.Context) {
		if err := own.loadSagas(ctx); err != nil {
			own.fail(err)
		}
	})
	if err := own.beginIndex(ctx); err != nil {
		return err
	}
	own.start(own.sweep)
	own.start(own.retireDead)
	own.start(own.findLocks)
	own.mail.poke()
	return nil
}

// restoreMarked finds out up to where tasks were cancelled that were not read yet.
func (own *ownership) restoreMarked(ctx context.Context) error {
	var bands []*band
	var keys []store.Row
	for _, q := range own.core.order {
		for _, b := range q.bands {
			bands, keys = append(bands, b), append(keys, &store.Dedup{ID: unreadID(b.log)})
		}
	}
	if len(bands) == 0 {
		return nil
	}
	rows, err := own.e.cfg.Store.Get(ctx, own.part, keys)
	if err != nil {
		return fmt.Errorf("load marks of queues: %w", err)
	}
	for i, row := range rows {
		if r, ok := row.(*store.Dedup); ok && r != nil {
			bands[i].marked = broker.Position(r.Ref)
		}
	}
	return nil
}

func (own *ownership) restoreOutbox(ctx context.Context) error {
	return own.each(ctx, store.Scan{Table: store.TableOutbox}, func(rows []store.Row) (store.Row, error) {
		outbox := make([]*store.Outbox, 0, len(rows))
		for _, row := range rows {
			if r, ok := row.(*store.Outbox); ok {
				outbox = append(outbox, r)
			}
		}
		own.core.env.Publish(outbox)
		return &store.Outbox{Seq: outbox[len(outbox)-1].Seq + 1}, nil
	})
}

// restoreParked finds the lanes with parked rows, and the keys that wait for a
// person, one read a lane.
func (own *ownership) restoreParked(ctx context.Context, now time.Time) error {
	return own.each(ctx, store.Scan{Table: store.TableParked, Limit: 1}, func(rows []store.Row) (store.Row, error) {
		r, ok := rows[0].(*store.Parked)
		if !ok {
			return nil, fmt.Errorf("table %s holds a %T", store.TableParked, rows[0])
		}
		own.core.restoreParked(now, r)
		return laneName{r.Queue, r.Key, r.Class}.row(math.MaxUint64), nil
	})
}

// each reads a table page by page; take returns where the next page begins.
func (own *ownership) each(ctx context.Context, scan store.Scan, take func([]store.Row) (store.Row, error)) error {
	scan.Part = own.part
	if scan.Limit == 0 {
		scan.Limit = scanPage
	}
	scan.Bytes = maxLeaseBytes
	for {
		rows, err := own.e.cfg.Store.Load(ctx, scan)
		if err != nil {
			return fmt.Errorf("load table %s: %w", scan.Table, err)
		}
		if len(rows) == 0 {
			return nil
		}
		if scan.From, err = take(rows); err != nil {
			return err
		}
	}
}

// count tells the core how many tasks waited in the store when it was claimed:
// rows that were written before this claim.
func (own *ownership) count(ctx context.Context, tables ...store.Table) error {
	type totals struct{ scheduled, parked, dead int64 }
	counts := make(map[string]*totals)
	of := func(queue string) *totals {
		if counts[queue] == nil {
			counts[queue] = &totals{}
		}
		return counts[queue]
	}
	before := own.core.first
	for _, table := range tables {
		err := own.each(ctx, store.Scan{Table: table}, func(rows []store.Row) (next store.Row, err error) {
			for _, row := range rows {
				switch r := row.(type) {
				case *store.Schedule:
					if t, err := task.Decode(r.Body); err == nil && r.Seq < before {
						of(t.Queue).scheduled++
					}
					next = &store.Schedule{Due: r.Due, Seq: r.Seq + 1}
				case *store.Parked:
					if r.Seq < before && (r.Seq != haltSeq || r.Key == "") {
						of(r.Queue).parked++
					}
					next = laneName{r.Queue, r.Key, r.Class}.row(r.Seq + 1)
				case *store.Dead:
					if uint64(r.DiedAt) < before {
						of(r.Queue).dead++
					}
					next = &store.Dead{Queue: r.Queue, Seq: r.Seq + 1}
				}
			}
			return next, nil
		})
		if err != nil {
			return err
		}
	}
	own.mail.post(func(c *core, _ time.Time) {
		for queue, n := range counts {
			c.counted(queue, n.scheduled, n.parked, n.dead)
		}
	})
	return nil
}
