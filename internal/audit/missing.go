package audit

import (
	"context"
	"fmt"

	"github.com/fenfa/fenfa/internal/store"
)

// mostAbsent bounds how many absent records are looked at together.
const mostAbsent = 100_000

// missing names the records that the log says are there, and are not.
func (a *auditor) missing(ctx context.Context, r *replay) error {
	absent := make(map[address]uint64) // to the version that is expected
	for at, e := range r.state {
		if e.seen {
			continue
		}
		if absent[at] = e.version; len(absent) == mostAbsent {
			if err := a.absent(ctx, r, absent); err != nil {
				return err
			}
			clear(absent)
		}
	}
	return a.absent(ctx, r, absent)
}

// absent names those that are missing for sure. A record that was deleted after the
// head has a row there that says so.
func (a *auditor) absent(ctx context.Context, r *replay, absent map[address]uint64) error {
	if len(absent) == 0 {
		return nil
	}
	for next := a.cfg.Head.Seq + 1; ; {
		rows, corrupt, err := a.load(ctx, store.Scan{Table: store.TableOpLog, From: &store.OpLog{Seq: next}})
		if err != nil {
			return err
		}
		if len(rows) == 0 || corrupt != nil {
			break
		}
		for _, row := range rows {
			if row, ok := row.(*store.OpLog); ok {
				at, _ := r.address(row.Key, row.Name)
				delete(absent, at)
				next = row.Seq + 1
			}
		}
	}
	for _, seq := range absent {
		d := Difference{Kind: KindMissing, Seq: seq, Expected: fmt.Sprintf("a record of version %d", seq), Found: "none"}
		rows, err := a.each(ctx, []store.Row{&store.OpLog{Seq: seq}})
		if err != nil {
			return err
		}
		if rows[0] != nil {
			d.Key, d.Name = rows[0].Key, rows[0].Name
		}
		if err := a.found(d); err != nil {
			return err
		}
	}
	return nil
}
