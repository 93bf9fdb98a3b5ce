package fenfa

import (
	"context"
	"errors"
	"fmt"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// cell is a record as the next task sees it.
type cell struct {
	value   []byte
	version uint64 // what the node holds; 0: nothing
	exists  bool
	escrow  bool // the value is that of an Escrow
	chained bool // written by an earlier task of the lease, not confirmed when it was
}

// view is the records of a key as they are for the next task: what travelled with
// the lease, what was read since, and over it what earlier tasks of the same
// lease wrote. It belongs to the goroutine that runs the lease.
type view struct {
	client   *Client
	key      string
	complete bool // what is not in cells does not exist
	cells    map[string]cell
}

func newView(c *Client, key string, records []*fenfav1.Record, complete bool) *view {
	v := &view{client: c, key: key, complete: complete}
	v.take(records)
	return v
}

// take puts the node's records over what is there.
func (v *view) take(records []*fenfav1.Record) {
	for _, r := range records {
		if r.GetKey() == "" || r.GetKey() == v.key {
			v.set(r.GetName(), cell{value: r.GetValue(), version: r.GetVersion(), exists: r.GetVersion() > 0, escrow: r.GetEscrow()})
		}
	}
}

func (v *view) set(name string, c cell) {
	if v.cells == nil {
		v.cells = make(map[string]cell)
	}
	v.cells[name] = c
}

// merge puts the writes of a task that is done over what is there.
func (v *view) merge(writes []*fenfav1.Write) {
	for _, w := range writes {
		if w.GetKey() != "" {
			continue // Of another key, which later tasks ask for.
		}
		if w.Add != nil {
			// A guess: others add too. Who reads it is told when that is wrong.
			if c, known := v.cells[w.GetName()]; known {
				v.set(w.GetName(), cell{value: added(c.value, w.GetAdd()), exists: true, escrow: true, chained: true})
			}
			continue
		}
		if w.GetDelete() && !w.GetChained() && w.GetExpectedVersion() == 0 {
			continue // What was not there is still not there, and nobody wrote it.
		}
		v.set(w.GetName(), cell{value: w.GetValue(), exists: !w.GetDelete(), chained: true})
	}
}

// peek returns the record if no call is needed for it.
func (v *view) peek(name string) (cell, bool) {
	c, ok := v.cells[name]
	return c, ok || v.complete
}

// lookup returns the record, asking the node where needed.
func (v *view) lookup(ctx context.Context, name string) (cell, error) {
	if c, ok := v.peek(name); ok {
		return c, nil
	}
	r, err := v.client.State().Get(ctx, v.key, name)
	switch {
	case errors.Is(err, ErrNotFound):
		v.set(name, cell{})
	case err != nil:
		return cell{}, fmt.Errorf("read record %q of key %q: %w", name, clip(v.key, 64), err)
	default:
		v.set(name, cell{value: r.Value, version: r.Version, exists: true, escrow: r.Escrow})
	}
	return v.cells[name], nil
}
