package audit

import (
	"context"
	"errors"
	"fmt"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// records compares the records that are there with what the log says of them.
func (a *auditor) records(ctx context.Context, r *replay) error {
	var from store.Row
	for {
		rows, corrupt, err := a.load(ctx, store.Scan{Table: store.TableRecord, From: from})
		if err != nil {
			return err
		}
		if corrupt != nil {
			r.state = nil // What is behind it is not missing for sure.
			if r.which > 0 {
				return nil
			}
			return a.found(Difference{
				Kind: KindCorrupt, Expected: "records that can be read", Found: corrupt.Error() + ", and those behind it were not judged",
			})
		}
		page := make([]*store.Record, 0, len(rows))
		for _, row := range rows {
			rec, ok := row.(*store.Record)
			if !ok {
				continue
			}
			from = &store.Record{Key: rec.Key, Name: rec.Name + "\x00"}
			if _, mine := r.address(rec.Key, rec.Name); mine && !store.IsIndex(rec.Key) {
				page = append(page, rec)
			}
		}
		a.sum.Records += uint64(len(page))
		a.sum.Done += uint64(len(page))
		if err := a.compare(ctx, r, page); err != nil {
			return err
		}
		if len(rows) == 0 {
			return nil
		}
	}
}

// compare judges a page of records.
func (a *auditor) compare(ctx context.Context, r *replay, page []*store.Record) error {
	var later []*store.Record // changed after the head, or not what the replay says
	for _, rec := range page {
		if part := task.PartitionOf(rec.Key, a.cfg.Partitions); part != a.cfg.Part {
			err := a.found(Difference{
				Kind: KindForeign, Seq: rec.Version, Key: rec.Key, Name: rec.Name,
				Expected: fmt.Sprintf("a key of partition %d", a.cfg.Part), Found: fmt.Sprintf("one of partition %d", part),
			})
			if err != nil {
				return err
			}
		}
		at, _ := r.address(rec.Key, rec.Name)
		e, ok := r.state[at]
		if ok {
			e.seen = true
			r.state[at] = e
		}
		if !ok || rec.Version != e.version || r.digest(rec.Value, rec.UpdatedAt, rec.TaskID, rec.Escrow) != e.digest {
			later = append(later, rec)
		}
	}
	if err := a.differing(ctx, r, later); err != nil {
		return err
	}
	return a.marks(ctx, page)
}

// differing looks closer at records that the replay does not explain: one that was
// changed after the head is compared with the row that changed it.
func (a *auditor) differing(ctx context.Context, r *replay, records []*store.Record) error {
	if len(records) == 0 {
		return nil
	}
	keys := make([]store.Row, 0, 2*len(records))
	for _, rec := range records {
		at, _ := r.address(rec.Key, rec.Name)
		keys = append(keys, &store.OpLog{Seq: rec.Version}, &store.OpLog{Seq: r.state[at].version})
	}
	rows, err := a.each(ctx, keys)
	if err != nil {
		return err
	}
	for i, rec := range records {
		wrote, last := rows[2*i], rows[2*i+1]
		switch {
		case rec.Version > a.cfg.Head.Seq:
			last = wrote
		case last == nil || last.Key != rec.Key || last.Name != rec.Name:
			last = nil
		}
		d := difference(rec, wrote, last)
		if d == nil {
			continue
		}
		if err := a.found(*d); err != nil {
			return err
		}
	}
	return nil
}

// each gets rows of the op log, one by one where some of them cannot be read: those
// were named when the log was.
func (a *auditor) each(ctx context.Context, keys []store.Row) ([]*store.OpLog, error) {
	found := make([]*store.OpLog, len(keys))
	rows, err := a.get(ctx, keys)
	if err == nil {
		for i := range rows {
			found[i], _ = rows[i].(*store.OpLog)
		}
		return found, nil
	}
	if !errors.Is(err, task.ErrCorrupt) {
		return nil, err
	}
	for i := range keys {
		row, err := a.get(ctx, keys[i:i+1])
		switch {
		case err == nil:
			found[i], _ = row[0].(*store.OpLog)
		case !errors.Is(err, task.ErrCorrupt):
			return nil, err
		}
	}
	return found, nil
}

// difference says how a record is not what the log says: wrote is the row of the
// record's version, last the last row of the record; either may be nil.
func difference(rec *store.Record, wrote, last *store.OpLog) *Difference {
	d := &Difference{Kind: KindDiffers, Seq: rec.Version, Key: rec.Key, Name: rec.Name}
	switch {
	case last == nil && wrote == nil:
		d.Kind, d.Expected, d.Found = KindExtra, "no record", fmt.Sprintf("version %d, whose row the op log does not have", rec.Version)
	case last == nil && wrote.Key == rec.Key && wrote.Name == rec.Name:
		d.Kind, d.Expected, d.Found = KindExtra, "no record, for it was deleted", fmt.Sprintf("version %d", rec.Version)
	case last == nil:
		d.Kind, d.Expected, d.Found = KindExtra, "no record", fmt.Sprintf("version %d, whose row is of record %q of key %q", rec.Version, wrote.Name, wrote.Key)
	case last.Key != rec.Key || last.Name != rec.Name:
		d.Expected, d.Found = fmt.Sprintf("a row %d of this record", rec.Version), fmt.Sprintf("one of record %q of key %q", last.Name, last.Key)
	case last.Seq != rec.Version && wrote == nil:
		d.Expected, d.Found = fmt.Sprintf("version %d", last.Seq), fmt.Sprintf("version %d, whose row the op log does not have", rec.Version)
	case last.Seq != rec.Version:
		d.Expected, d.Found = fmt.Sprintf("version %d", last.Seq), fmt.Sprintf("version %d", rec.Version)
	case string(last.Value) != string(rec.Value):
		d.Expected, d.Found = "value "+clip(last.Value), "value "+clip(rec.Value)
	case last.HLC != rec.UpdatedAt:
		d.Expected, d.Found = "updated at "+stamp(last.HLC), stamp(rec.UpdatedAt)
	case last.TaskID != rec.TaskID:
		d.Expected, d.Found = "written by task "+last.TaskID.String(), "by task "+rec.TaskID.String()
	case rec.Escrow != (last.Op == store.OpEscrow):
		d.Expected, d.Found = fmt.Sprintf("escrow %v, as op %s made it", !rec.Escrow, last.Op), fmt.Sprintf("escrow %v", rec.Escrow)
	default:
		return nil
	}
	return d
}

// clip shows the begin of a value.
func clip(value []byte) string {
	const most = 60
	if len(value) > most {
		return fmt.Sprintf("%q… (%d bytes)", value[:most], len(value))
	}
	return fmt.Sprintf("%q", value)
}

// marks compares the records of a page with the marks of the tasks that wrote them,
// as far as the marks are still kept.
func (a *auditor) marks(ctx context.Context, page []*store.Record) error {
	var keys []store.Row
	var wrote []*store.Record
	for _, rec := range page {
		if !rec.TaskID.IsZero() {
			keys = append(keys, &store.Dedup{ID: rec.TaskID})
			wrote = append(wrote, rec)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	rows, err := a.get(ctx, keys)
	if err != nil {
		return err
	}
	for i, row := range rows {
		mark, ok := row.(*store.Dedup)
		if !ok || mark == nil {
			continue
		}
		a.sum.Marks++
		rec := wrote[i]
		if !mark.State.Final() || mark.CreatedAt > rec.UpdatedAt {
			continue // It is of a later task of the same ID.
		}
		d := Difference{Kind: KindMark, Seq: rec.Version, Key: rec.Key, Name: rec.Name}
		switch {
		case mark.State != task.StateDone:
			d.Expected, d.Found = fmt.Sprintf("task %s done, for it wrote the record", rec.TaskID), mark.State.String()
		case mark.FinishedAt < rec.UpdatedAt:
			d.Expected, d.Found = fmt.Sprintf("no write of task %s after its end, %s", rec.TaskID, stamp(mark.FinishedAt)), "one at "+stamp(rec.UpdatedAt)
		default:
			continue
		}
		if err := a.found(d); err != nil {
			return err
		}
	}
	return nil
}
