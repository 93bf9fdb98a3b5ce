package audit

import (
	"context"
	"fmt"

	"github.com/fenfa/fenfa/internal/store"
)

// deleted compares the deletes of a page of the op log with the index that history is
// found by, as far as that is complete.
func (a *auditor) deleted(ctx context.Context, rows []store.Row) error {
	var gone []*store.OpLog
	var keys []store.Row
	for _, row := range rows {
		if row, ok := row.(*store.OpLog); ok && row.Op == store.OpDelete && a.indexed && row.Seq > a.since {
			gone = append(gone, row)
			keys = append(keys, store.Gone(row.Key, row.Name, row.Seq))
		}
	}
	if len(keys) == 0 {
		return nil
	}
	found, err := a.get(ctx, keys)
	if err != nil {
		return err
	}
	for i, row := range gone {
		if r, ok := found[i].(*store.Record); ok && r != nil && string(r.Value) == row.Name {
			continue
		}
		d := Difference{Kind: KindIndex, Seq: row.Seq, Key: row.Key, Name: row.Name, Expected: "a row of the index for the delete", Found: "none"}
		if r, ok := found[i].(*store.Record); ok && r != nil {
			d.Found = fmt.Sprintf("one for record %q", clip(r.Value))
		}
		if err := a.found(d); err != nil {
			return err
		}
	}
	return nil
}

// sinceWhen reads from where on the index is complete.
func (a *auditor) sinceWhen(ctx context.Context) error {
	rows, err := a.get(ctx, []store.Row{store.Since(store.IndexGone, 0)})
	if err != nil {
		return err
	}
	a.since, a.indexed = store.SinceOf(rows[0])
	return nil
}
