package partition

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// trimPage is how many records are removed at a time.
const trimPage = 100

// PutActivity writes a record of a day, durably.
func (e *Engine) PutActivity(ctx context.Context, day, name string, value []byte) error {
	return e.keepActivity(ctx, &task.Write{Key: task.ActivityPrefix + day, Name: name, Value: value})
}

func (e *Engine) keepActivity(ctx context.Context, w *task.Write) error {
	err, asked := ask(ctx, e.of(w.Key), func(c *core, now time.Time, answer func(error)) {
		c.putRecord(now, w, true, func(_ uint64, err error) { answer(err) })
	})
	if asked != nil {
		return asked
	}
	return err
}

// Activity returns records of a day behind the given name, by name.
func (e *Engine) Activity(ctx context.Context, day, after string, limit int) ([]task.Record, error) {
	key := task.ActivityPrefix + day
	rows, err := e.cfg.Store.Load(ctx, store.Scan{
		Part: task.PartitionOf(key, e.cfg.Partitions), Table: store.TableRecord, From: &store.Record{Key: key, Name: after + "\x00"}, Limit: limit,
	})
	if err != nil {
		return nil, fmt.Errorf("read activity: %w", err)
	}
	found := make([]task.Record, 0, len(rows))
	for _, row := range rows {
		r, ok := row.(*store.Record)
		if !ok || r.Key != key {
			break
		}
		found = append(found, task.Record{Key: r.Key, Name: r.Name, Version: r.Version, Value: r.Value, UpdatedAt: r.UpdatedAt})
	}
	return found, nil
}

// TrimActivity removes the records of days before the given one, and returns how many
// there were.
func (e *Engine) TrimActivity(ctx context.Context, before string) (int, error) {
	removed := 0
	for part := range e.owners {
		for {
			rows, err := e.cfg.Store.Load(ctx, store.Scan{Part: part, Table: store.TableRecord, From: &store.Record{Key: task.ActivityPrefix}, Limit: trimPage})
			if err != nil {
				return removed, fmt.Errorf("read activity: %w", err)
			}
			n := 0
			for _, row := range rows {
				r, ok := row.(*store.Record)
				if !ok || !strings.HasPrefix(r.Key, task.ActivityPrefix) || r.Key >= task.ActivityPrefix+before {
					break
				}
				if err := e.keepActivity(ctx, &task.Write{Key: r.Key, Name: r.Name, Delete: true}); err != nil {
					return removed, fmt.Errorf("remove activity: %w", err)
				}
				n++
			}
			removed += n
			if n < trimPage {
				break
			}
		}
	}
	return removed, nil
}
