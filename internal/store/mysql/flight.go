package mysql

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/codec"
)

// flights knows the batches that are under way, and what those changed that ended
// while their partition was being moved.
type flights struct {
	catalog catalog

	mu    sync.Mutex
	parts map[int]*flight
}

// flight is what is known of one partition.
type flight struct {
	batches []*store.Batch // under way
	idle    chan struct{}  // closed when the last one ends; nil: nobody waits
	epoch   uint64         // of the latest claim by this store; 0: none
	capture *capture       // nil: it is not being moved
}

// capture is what changed of a partition: the keys of rows, named as lookups do.
type capture struct {
	rows   map[string]store.Row
	missed error // why not every change was seen; nil: all were
}

func newFlights(c catalog) *flights { return &flights{catalog: c, parts: map[int]*flight{}} }

// of returns what is known of a partition. The caller holds mu.
func (f *flights) of(part int) *flight {
	p := f.parts[part]
	if p == nil {
		p = &flight{}
		f.parts[part] = p
	}
	return p
}

// begin is matched by end, when the batch happened, did not happen, or nobody knows.
func (f *flights) begin(b *store.Batch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.of(b.Part)
	p.batches = append(p.batches, b)
}

func (f *flights) end(b *store.Batch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.of(b.Part)
	if i := slices.Index(p.batches, b); i >= 0 {
		p.batches = slices.Delete(p.batches, i, i+1)
	}
	if p.capture != nil {
		for _, rows := range [][]store.Row{b.Puts, b.Deletes} {
			for _, r := range rows {
				if err := f.add(p.capture, r); err != nil {
					p.capture.missed = err
				}
			}
		}
	}
	if len(p.batches) == 0 && p.idle != nil {
		close(p.idle)
		p.idle = nil
	}
}

// add remembers the key of a row, and nothing else of it.
func (f *flights) add(c *capture, r store.Row) error {
	name, err := rowName(r)
	if err != nil || c.rows[name] != nil {
		return err
	}
	t, err := f.catalog.of(r)
	if err != nil {
		return err
	}
	key, err := t.keyOf(r)
	c.rows[name] = key
	return err
}

// rowName is the name of a row within its partition: its table and its key.
func rowName(r store.Row) (string, error) {
	name, err := codec.AppendKey([]byte{byte(r.Table())}, r)
	return string(name), err
}

// keyOf returns a row that has the same key and nothing else.
func (t *table) keyOf(r store.Row) (store.Row, error) {
	key := t.make()
	for _, c := range t.key {
		raw, ok := c.bind(r).([]byte)
		if !ok {
			raw = fmt.Append(nil, c.bind(r))
		}
		if err := c.set(key, raw); err != nil {
			return nil, err
		}
	}
	return key, nil
}

// claimed says that this store claimed a partition.
func (f *flights) claimed(part int, epoch uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.of(part)
	if p.capture != nil && epoch != p.epoch+1 {
		p.capture.missed = fmt.Errorf("%w: it was claimed at epoch %d and then at %d", store.ErrFenced, p.epoch, epoch)
	}
	p.epoch = epoch
}

// watch begins to remember what changes, and returns the epoch of the owner.
func (f *flights) watch(part int) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.of(part)
	p.capture = &capture{rows: map[string]store.Row{}}
	return p.epoch
}

func (f *flights) unwatch(part int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.of(part).capture = nil
}

// changed is how many rows changed since they were taken last.
func (f *flights) changed(part int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.of(part).capture.rows)
}

// take returns the keys of all rows that changed since it was called last.
func (f *flights) take(part int) (map[string]store.Row, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.of(part).capture
	rows := c.rows
	c.rows = map[string]store.Row{}
	return rows, c.missed
}

// explains reports whether a row may have changed since the changes were taken last:
// it did, or a batch that is under way changes it.
func (f *flights) explains(part int, name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.of(part)
	if p.capture.rows[name] != nil {
		return true
	}
	is := func(r store.Row) bool {
		other, err := rowName(r)
		return err == nil && other == name
	}
	return slices.ContainsFunc(p.batches, func(b *store.Batch) bool {
		return slices.ContainsFunc(b.Puts, is) || slices.ContainsFunc(b.Deletes, is)
	})
}

// settle waits until no batch of a partition is under way, and returns the epoch of
// the latest claim by this store.
func (f *flights) settle(ctx context.Context, part int) (uint64, error) {
	f.mu.Lock()
	p := f.of(part)
	epoch, idle := p.epoch, p.idle
	if len(p.batches) == 0 {
		f.mu.Unlock()
		return epoch, nil
	}
	if idle == nil {
		idle = make(chan struct{})
		p.idle = idle
	}
	f.mu.Unlock()
	select {
	case <-idle:
		return epoch, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}
