package storefake

import (
	"context"
	"fmt"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/codec"
)

// Load implements store.Store: it sees what is durable only.
func (s *Store) Load(ctx context.Context, scan store.Scan) ([]store.Row, error) {
	rows, err := s.load(ctx, scan)
	if err != nil {
		return nil, fmt.Errorf("load %s rows of partition %d: %w", scan.Table, scan.Part, err)
	}
	return rows, nil
}

func (s *Store) load(ctx context.Context, scan store.Scan) ([]store.Row, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	if scan.Limit < 1 {
		return nil, fmt.Errorf("the limit is %d rows: want at least 1", scan.Limit)
	}
	entries := s.part(scan.Part).tables[scan.Table]
	from, err := position(entries, scan.From, 0)
	if err != nil {
		return nil, err
	}
	to, err := position(entries, scan.To, len(entries))
	if err != nil {
		return nil, err
	}
	var rows []store.Row
	size := 0
	for i := from; i < to && len(rows) < scan.Limit; i++ {
		r, err := entries[i].decode(scan.Table)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
		if size += len(entries[i].value); scan.Bytes > 0 && size >= scan.Bytes {
			break
		}
	}
	return rows, nil
}

// position returns the place of the first row that is not less than r, or
// otherwise where there is no r.
func position(entries []entry, r store.Row, otherwise int) (int, error) {
	if r == nil {
		return otherwise, nil
	}
	key, err := codec.AppendKey(nil, r)
	if err != nil {
		return 0, err
	}
	at, _ := find(entries, string(key))
	return at, nil
}

// Get implements store.Store: it sees what is durable only.
func (s *Store) Get(ctx context.Context, part int, keys []store.Row) ([]store.Row, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return nil, fmt.Errorf("get %d rows of partition %d: %w", len(keys), part, err)
	}
	rows := make([]store.Row, len(keys))
	for i, r := range keys {
		key, err := codec.AppendKey(nil, r)
		if err != nil {
			return nil, fmt.Errorf("get row of partition %d: %w", part, err)
		}
		entries := s.part(part).tables[r.Table()]
		at, found := find(entries, string(key))
		if !found {
			continue
		}
		if rows[i], err = entries[at].decode(r.Table()); err != nil {
			return nil, fmt.Errorf("get row of partition %d: %w", part, err)
		}
	}
	return rows, nil
}

// Fence implements store.Inspector.
func (s *Store) Fence(ctx context.Context, part int) (store.Fence, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return store.Fence{}, fmt.Errorf("read head of partition %d: %w", part, err)
	}
	return s.part(part).durable, nil
}
