package partition

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// haltedWaiting is how many tasks behind a dead letter are counted.
const haltedWaiting = 100

// haltedLanes is how many lanes with tasks in the store one call looks at.
const haltedLanes = 1000

// HaltedKey is a key that waits for a decision about a dead letter.
type HaltedKey struct {
	Queue string
	Key   string
	Dead  task.ID
	Since time.Time
	// Waiting is how many tasks wait behind it, as far as the partition has read them;
	// with More there are at least so many.
	Waiting int
	More    bool
}

// haltNote returns what a key waits for, nil if it waits for no person.
func (e *Engine) haltNote(ctx context.Context, part int, queue, key string) (*halted, error) {
	if key == "" {
		return nil, nil
	}
	rows, err := e.cfg.Store.Get(ctx, part, []store.Row{&store.Parked{Queue: queue, Key: key, Seq: haltSeq}})
	if err != nil {
		return nil, fmt.Errorf("read what key %s waits for: %w", key, err)
	}
	if note, ok := rows[0].(*store.Parked); ok && note != nil {
		return parseHalted(note.Body), nil
	}
	return nil, nil
}

// HaltedKeys lists the keys of a queue that wait for a person, or only the given one
// unless that is empty, and returns the token of the next page, empty after the last.
// A page may be short, or empty, and not be the last.
func (e *Engine) HaltedKeys(ctx context.Context, queue, key string, limit int, pageToken string) ([]HaltedKey, string, error) {
	if _, ok := e.Queue(queue); !ok {
		return nil, "", e.unknownQueue(queue)
	}
	if limit < 1 {
		return nil, "", badLimit(limit)
	}
	if key != "" {
		return e.haltedKey(ctx, queue, key)
	}
	part, after, err := e.parsePage(pageToken)
	if err != nil {
		return nil, "", err
	}
	var found []HaltedKey
	for looked := 0; part < len(e.owners); looked++ {
		rows, err := e.cfg.Store.Load(ctx, store.Scan{
			Part: part, Table: store.TableParked, From: &store.Parked{Queue: queue, Key: after + "\x00"},
			To: &store.Parked{Queue: queue + "\x00"}, Limit: 1,
		})
		if err != nil {
			return nil, "", fmt.Errorf("list halted keys: %w", err)
		}
		if len(rows) == 0 {
			part, after = part+1, ""
			continue
		}
		first, ok := rows[0].(*store.Parked)
		if !ok {
			return nil, "", fmt.Errorf("table %s holds a %T", store.TableParked, rows[0])
		}
		after = first.Key
		if first.Seq == haltSeq {
			h, err := e.exportHalted(ctx, part, queue, after, parseHalted(first.Body))
			if err != nil {
				return nil, "", err
			}
			found = append(found, h)
		}
		if len(found) == limit || looked >= haltedLanes {
			return found, pageOf(part, after), nil
		}
	}
	return found, "", nil
}

func (e *Engine) haltedKey(ctx context.Context, queue, key string) ([]HaltedKey, string, error) {
	part := task.PartitionOf(key, e.cfg.Partitions)
	note, err := e.haltNote(ctx, part, queue, key)
	if err != nil || note == nil {
		return nil, "", err
	}
	h, err := e.exportHalted(ctx, part, queue, key, note)
	return []HaltedKey{h}, "", err
}

func (e *Engine) exportHalted(ctx context.Context, part int, queue, key string, note *halted) (HaltedKey, error) {
	at := laneName{queue: queue, key: key}
	rows, err := e.cfg.Store.Load(ctx, store.Scan{
		Part: part, Table: store.TableParked, From: at.row(haltSeq + 1), To: at.row(math.MaxUint64), Limit: haltedWaiting, Bytes: maxLeaseBytes,
	})
	if err != nil {
		return HaltedKey{}, fmt.Errorf("count tasks behind key %s: %w", key, err)
	}
	size := 0
	for _, row := range rows {
		if p, ok := row.(*store.Parked); ok {
			size += len(p.Body)
		}
	}
	return HaltedKey{
		Queue: queue, Key: key, Dead: note.task, Since: note.at.Time(), Waiting: len(rows), More: len(rows) == haltedWaiting || size >= maxLeaseBytes,
	}, nil
}
