package partition

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// historyScan bounds how many rows one call of History or ScanRecords looks at.
const historyScan = 20_000

// pageBytes is about how many bytes of values one page of an answer holds.
const pageBytes = 4 << 20

// TaskStatus tells where a task is, from what the owner has in memory, else from
// the store, else from the broker.
func (e *Engine) TaskStatus(ctx context.Context, id task.ID) (TaskStatus, error) {
	located, found, err := e.locate(ctx, id)
	if err != nil {
		return TaskStatus{}, err
	}
	owners := e.owners
	if found {
		owners = e.owners[located.Partition : located.Partition+1]
	}
	for _, o := range owners {
		st, ok, err := e.statusIn(ctx, o, id)
		if err != nil {
			return TaskStatus{}, err
		}
		if ok {
			if found && st.CreatedAt.IsZero() { // cancelled before it was read
				st.CreatedAt = located.PublishedAt
			}
			return st, nil
		}
	}
	if found && !located.Settled {
		return TaskStatus{ID: id, State: task.StateQueued, Queue: located.Queue, CreatedAt: located.PublishedAt}, nil
	}
	return TaskStatus{}, errUnknownTask(id)
}

func errUnknownTask(id task.ID) error {
	return task.Errorf(task.CodeNotFound, "task %s is not known: it was never submitted, or it ended longer ago than its queue keeps results", id).WithField("id")
}

func (e *Engine) locate(ctx context.Context, id task.ID) (place, bool, error) {
	locator, ok := e.cfg.Broker.(broker.Locator)
	if !ok {
		return place{}, false, nil
	}
	located, found, err := locator.Locate(ctx, id)
	if err != nil {
		return place{}, false, fmt.Errorf("locate task %s: %w", id, err)
	}
	if !found || located.Partition >= len(e.owners) {
		return place{}, false, nil
	}
	p, known := e.placeIn(located)
	return p, known, nil
}

func (e *Engine) statusIn(ctx context.Context, o *owner, id task.ID) (TaskStatus, bool, error) {
	type reply struct {
		st TaskStatus
		ok bool
	}
	r, err := look(ctx, o, func(c *core, now time.Time, answer func(reply)) {
		st, ok := c.status(now, id)
		if ok {
			answer(reply{st, true})
			return
		}
		c.afterDurable(func() { answer(reply{}) }) // then its mark can be read
	})
	if err != nil || r.ok {
		return r.st, r.ok, err
	}
	rows, err := e.cfg.Store.Get(ctx, o.part, []store.Row{&store.Dedup{ID: id}, &store.Attempt{ID: id}})
	if err != nil {
		return TaskStatus{}, false, fmt.Errorf("read mark of task %s: %w", id, err)
	}
	mark, ok := rows[0].(*store.Dedup)
	if !ok || mark == nil || mark.Queue == "" { // a mark without a queue is that of a commit
		return TaskStatus{}, false, nil
	}
	st := statusOf(mark)
	if attempt, ok := rows[1].(*store.Attempt); ok && attempt != nil {
		st.NextAt, st.Attempts, st.Deliveries, st.History = attempt.NextAt, attempt.Attempts, attempt.Deliveries, exportTries(attempt.Tries)
		if st.State == task.StateQueued && st.NextAt.After(e.cfg.Clock.Now()) {
			st.State = task.StateScheduled // parked until its next attempt
		}
	}
	if mark.State == task.StateDead {
		if dead, err := e.deadOf(ctx, o.part, mark); err == nil {
			st.History = exportTries(dead.Tries)
			if t, err := task.Decode(dead.Body); err == nil {
				st.Task = &t
			}
		}
	}
	return st, true, nil
}

func badLimit(limit int) error {
	return task.Errorf(task.CodeInvalidArgument, "the limit is %d: want at least 1", limit).WithField("limit")
}

// GetRecord returns a record as it is now, durably.
func (e *Engine) GetRecord(ctx context.Context, key, name string) (task.Record, error) {
	if err := task.ValidateRecord(key, name, 0); err != nil {
		return task.Record{}, err
	}
	if err := task.CheckRecordName(name); err != nil {
		return task.Record{}, err
	}
	type reply struct {
		r   task.Record
		err error
	}
	got, err := look(ctx, e.of(key), func(c *core, now time.Time, answer func(reply)) {
		c.getRecord(now, key, name, func(r task.Record, err error) { answer(reply{r, err}) })
	})
	if err == nil {
		err = got.err
	}
	if err == nil && got.r.Version == 0 {
		err = task.Errorf(task.CodeNotFound, "key %q has no record %q", key, name)
	}
	return got.r, err
}

// PutRecord writes or deletes a record if its version is the expected one, or
// whatever it is with anyVersion. It returns the version after the write, 0 after
// a delete.
func (e *Engine) PutRecord(ctx context.Context, w task.Write, anyVersion bool) (uint64, error) {
	if err := task.ValidateRecord(w.Key, w.Name, len(w.Value)); err != nil {
		return 0, err
	}
	if err := task.CheckRecordName(w.Name); err != nil {
		return 0, err
	}
	if w.Fence != nil {
		if err := w.Fence.Validate(); err != nil {
			return 0, err
		}
	}
	if err := task.CheckRecordKey(w.Key); err != nil {
		return 0, err
	}
	type reply struct {
		version uint64
		err     error
	}
	r, err := ask(ctx, e.of(w.Key), func(c *core, now time.Time, answer func(reply)) {
		c.putRecord(now, &w, anyVersion, func(version uint64, err error) { answer(reply{version, err}) })
	})
	if err != nil {
		return 0, err
	}
	return r.version, r.err
}

// ScanRecords lists records whose key has the prefix, and whose name is the given
// one if it is not empty, partition by partition, and returns the token of the
// next page, empty after the last; a page may be short, or empty, and not be the
// last.
func (e *Engine) ScanRecords(ctx context.Context, prefix, name string, limit int, pageToken string) ([]task.Record, string, error) {
	part, rest, err := e.parsePage(pageToken)
	if err != nil {
		return nil, "", err
	}
	if limit < 1 {
		return nil, "", badLimit(limit)
	}
	from := &store.Record{Key: prefix}
	if rest != "" {
		place := task.NewParser([]byte(rest))
		key, last := place.String(), place.String()
		if place.End() != nil {
			return nil, "", badPage(pageToken)
		}
		from = &store.Record{Key: key, Name: last}
	}
	var found []task.Record
	looked, size := 0, 0
	for ; part < len(e.owners); part, from = part+1, (&store.Record{Key: prefix}) {
		for within := true; within; {
			rows, err := e.cfg.Store.Load(ctx, store.Scan{Part: part, Table: store.TableRecord, From: from, Limit: scanPage, Bytes: pageBytes})
			if err != nil {
				return nil, "", fmt.Errorf("scan records: %w", err)
			}
			within = len(rows) > 0
			for _, row := range rows {
				r, ok := row.(*store.Record)
				if !ok || !strings.HasPrefix(r.Key, prefix) {
					within = false
					break
				}
				if store.IsIndex(r.Key) {
					from = &store.Record{Key: store.AfterIndex}
					break
				}
				if strings.HasPrefix(r.Key, task.ActivityPrefix) {
					from = &store.Record{Key: task.AfterActivity}
					break
				}
				from = &store.Record{Key: r.Key, Name: r.Name + "\x00"}
				looked++
				if (name == "" || r.Name == name) && !task.Reserved(r.Name) {
					found = append(found, task.Record{Key: r.Key, Name: r.Name, Version: r.Version, Value: r.Value, UpdatedAt: r.UpdatedAt, TaskID: r.TaskID, Escrow: r.Escrow})
					size += len(r.Value)
				}
				if len(found) >= limit || size >= pageBytes || looked >= historyScan {
					return found, pageOf(part, string(task.AppendBytes(task.AppendBytes(nil, from.Key), from.Name))), nil
				}
			}
		}
	}
	return found, "", nil
}

func exportChange(r *store.OpLog) Change {
	return Change{
		Seq: r.Seq, At: r.HLC.Time(), Op: r.Op.String(), Key: r.Key, Name: r.Name, Before: r.Before, After: r.After, Value: r.Value,
		TaskID: r.TaskID, Attempt: r.Attempt, Node: r.Node, Worker: r.Worker, Tx: r.Tx, Hash: r.Hash,
	}
}

// pageOf makes the token of the page that begins after the given place.
func pageOf(part int, rest string) string {
	return strconv.Itoa(part) + ":" + hex.EncodeToString([]byte(rest))
}

func (e *Engine) parsePage(token string) (part int, rest string, err error) {
	if token == "" {
		return 0, "", nil
	}
	head, tail, ok := strings.Cut(token, ":")
	part, err = strconv.Atoi(head)
	decoded, hexErr := hex.DecodeString(tail)
	if !ok || err != nil || hexErr != nil || part < 0 || part >= len(e.owners) {
		return 0, "", badPage(token)
	}
	return part, string(decoded), nil
}

func badPage(token string) error {
	return task.Errorf(task.CodeInvalidArgument, "page token %q is not one that this API gave: begin without one", token).WithField("page_token")
}
