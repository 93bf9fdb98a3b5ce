package partition

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// Bounds of one read of an entity's records; a larger entity is read record by
// record.
const (
	entityRows  = 256
	entityBytes = 64 << 10
)

// LoadRecords implements env.
func (own *ownership) LoadRecords(key, name string) {
	own.jobs.add(func(ctx context.Context) error {
		s := own.e.cfg.Store
		if name != "" {
			rows, err := s.Get(ctx, own.part, []store.Row{&store.Record{Key: key, Name: name}})
			if err != nil {
				return fmt.Errorf("load record: %w", err)
			}
			var found []*store.Record
			if r, ok := rows[0].(*store.Record); ok && r != nil {
				found = append(found, r)
			}
			own.mail.post(func(c *core, now time.Time) { c.recordsLoaded(now, key, name, found, false) })
			return nil
		}
		rows, err := s.Load(ctx, store.Scan{
			Part: own.part, Table: store.TableRecord, From: &store.Record{Key: key}, To: &store.Record{Key: key + "\x00"},
			Limit: entityRows, Bytes: entityBytes,
		})
		if err != nil {
			return fmt.Errorf("load records: %w", err)
		}
		found := make([]*store.Record, 0, len(rows))
		size := 0
		for _, row := range rows {
			if r, ok := row.(*store.Record); ok {
				found = append(found, r)
				size += len(r.Value)
			}
		}
		complete := len(rows) < entityRows && size < entityBytes
		own.mail.post(func(c *core, now time.Time) { c.recordsLoaded(now, key, "", found, complete) })
		return nil
	})
}

// LoadMark implements env.
func (own *ownership) LoadMark(id task.ID) {
	own.jobs.add(func(ctx context.Context) error {
		rows, err := own.e.cfg.Store.Get(ctx, own.part, []store.Row{&store.Dedup{ID: id}})
		if err != nil {
			return fmt.Errorf("load mark: %w", err)
		}
		mark, _ := rows[0].(*store.Dedup)
		own.mail.post(func(c *core, now time.Time) { c.markLoaded(now, id, mark) })
		return nil
	})
}

// LoadRows implements env. Whoever counts rows at the beginning comes before.
func (own *ownership) LoadRows(keys []store.Row, then func(now time.Time, rows []store.Row)) {
	own.rows.add(func(ctx context.Context) error {
		rows, err := own.e.cfg.Store.Get(ctx, own.part, keys)
		if err != nil {
			return fmt.Errorf("load rows: %w", err)
		}
		own.mail.post(func(_ *core, now time.Time) { then(now, rows) })
		return nil
	})
}

// LoadParked implements env.
func (own *ownership) LoadParked(at laneName, after uint64, limit int) {
	own.rows.add(func(ctx context.Context) error {
		rows, err := own.e.cfg.Store.Load(ctx, store.Scan{
			Part: own.part, Table: store.TableParked,
			From:  at.row(after + 1),
			To:    at.row(math.MaxUint64),
			Limit: limit, Bytes: maxLeaseBytes,
		})
		if err != nil {
			return fmt.Errorf("load parked tasks: %w", err)
		}
		arrivals, err := own.revive(ctx, rows)
		if err != nil {
			return err
		}
		more := len(rows) > 0
		own.mail.post(func(c *core, now time.Time) { c.parkedLoaded(now, at, arrivals, more) })
		return nil
	})
}

// LoadSchedule implements env.
func (own *ownership) LoadSchedule(due time.Time, seq uint64) {
	own.rows.add(func(ctx context.Context) error {
		scan := store.Scan{Part: own.part, Table: store.TableSchedule, Limit: schedulePage, Bytes: scheduleBytes}
		if !due.IsZero() {
			scan.From = &store.Schedule{Due: due, Seq: seq + 1}
		}
		rows, err := own.e.cfg.Store.Load(ctx, scan)
		if err != nil {
			return fmt.Errorf("load schedule: %w", err)
		}
		arrivals, err := own.revive(ctx, rows)
		if err != nil {
			return err
		}
		more := len(rows) > 0
		own.mail.post(func(c *core, now time.Time) { c.scheduleLoaded(now, arrivals, more) })
		return nil
	})
}

// revive makes tasks of schedule and parked rows, with what is known of them.
func (own *ownership) revive(ctx context.Context, rows []store.Row) ([]arrival, error) {
	arrivals := make([]arrival, 0, len(rows))
	which := make([]int, 0, len(rows))
	for _, row := range rows {
		var (
			body []byte
			due  time.Time
			seq  uint64
		)
		switch r := row.(type) {
		case *store.Schedule:
			body, due, seq = r.Body, r.Due, r.Seq
		case *store.Parked:
			body, seq = r.Body, r.Seq
		default:
			continue
		}
		t, err := task.Decode(body)
		if err != nil {
			own.log.Error("waiting task cannot be read", "seq", seq, "error", err)
			own.e.counts.corrupt.Inc()
			arrivals = append(arrivals, arrival{item: item{due: due, seq: seq}, corrupt: true})
			continue
		}
		it := newItem(t, body)
		it.due, it.seq = due, seq
		which = append(which, len(arrivals))
		arrivals = append(arrivals, arrival{item: it})
	}
	if err := own.lookUp(ctx, arrivals, which); err != nil {
		return nil, err
	}
	return arrivals, nil
}

// publish hands follow-up tasks to the broker, again and again until it has them
// or refuses them for good; then their rows go.
func (own *ownership) publish(ctx context.Context, rows []*store.Outbox) error {
	left := rows
	delay := reclaimBase
	for {
		sent, refused, failed := own.publishOnce(ctx, left)
		own.mail.post(func(c *core, now time.Time) {
			c.published(sent)
			for _, r := range refused {
				c.emitRefused(now, r.row, r.task, r.err)
			}
		})
		if len(failed) == 0 {
			return nil
		}
		own.e.counts.outboxRetry.Inc()
		left = failed
		if !own.e.wait(ctx, delay) {
			return nil
		}
		delay = min(2*delay, reclaimMax)
	}
}

// refusedEmit is a follow-up task that the broker will never take.
type refusedEmit struct {
	row  *store.Outbox
	task task.Task
	err  error
}

func (own *ownership) publishOnce(ctx context.Context, rows []*store.Outbox) (sent []*store.Outbox, refused []refusedEmit, failed []*store.Outbox) {
	messages := make([]broker.Message, 0, len(rows))
	tasks := make([]task.Task, 0, len(rows))
	source := make([]*store.Outbox, 0, len(rows))
	route, queues := router{e: own.e}, *own.e.queues.Load()
	for _, row := range rows {
		t, err := task.Decode(row.Body)
		if err != nil {
			refused = append(refused, refusedEmit{row: row, err: err})
			continue
		}
		m := route.message(queues[t.Queue], &t, row.Body)
		m.Owed = true
		messages = append(messages, m)
		tasks = append(tasks, t)
		source = append(source, row)
	}
	err := own.e.cfg.Broker.Publish(ctx, messages)
	var partial *broker.PublishError
	if err != nil && !errors.As(err, &partial) {
		own.log.Warn("follow-up tasks are not published yet", "tasks", len(source), "error", err)
		return nil, refused, source
	}
	for i, row := range source {
		var reason error
		if partial != nil {
			reason = partial.Failed[i]
		}
		switch {
		case reason == nil, errors.Is(reason, broker.ErrDuplicate):
			sent = append(sent, row)
		case errors.Is(reason, broker.ErrMismatch), errors.Is(reason, broker.ErrNoQueue):
			refused = append(refused, refusedEmit{row: row, task: tasks[i], err: reason})
		default:
			failed = append(failed, row)
		}
	}
	return sent, refused, failed
}
