package embedded

import (
	"bytes"
	"context"
	"fmt"

	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/codec"
)

// Load implements store.Store. Scan.Bytes counts stored values.
func (s *Store) Load(ctx context.Context, scan store.Scan) ([]store.Row, error) {
	rows, err := s.scan(ctx, scan)
	if err != nil {
		return nil, fmt.Errorf("load %s rows of partition %d: %w", scan.Table, scan.Part, translate(err))
	}
	return rows, nil
}

func (s *Store) scan(ctx context.Context, scan store.Scan) ([]store.Row, error) {
	if err := s.gate.Enter(); err != nil {
		return nil, err
	}
	defer s.gate.Leave()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	lo, hi, err := bounds(scan)
	if err != nil {
		return nil, err
	}
	rows, err := s.read(scan, lo, hi)
	if err != nil {
		return nil, err
	}
	return rows, s.db.Barrier(ctx)
}

// bounds returns the keys of the first row of the scan and behind its last one.
func bounds(scan store.Scan) (lo, hi []byte, err error) {
	if err := checkPartition(scan.Part); err != nil {
		return nil, nil, err
	}
	if scan.Limit < 1 {
		return nil, nil, fmt.Errorf("the limit is %d rows: want at least 1", scan.Limit)
	}
	prefix := appendTablePrefix(nil, scan.Part, scan.Table)
	lo, hi = prefix, kv.PrefixEnd(prefix)
	if scan.From != nil {
		if lo, err = bound(prefix, scan, scan.From); err != nil {
			return nil, nil, err
		}
	}
	if scan.To != nil {
		if hi, err = bound(prefix, scan, scan.To); err != nil {
			return nil, nil, err
		}
	}
	return lo, hi, nil
}

func bound(prefix []byte, scan store.Scan, r store.Row) ([]byte, error) {
	if r.Table() != scan.Table {
		return nil, fmt.Errorf("the scan is bounded by a %s row", r.Table())
	}
	return codec.AppendKey(bytes.Clone(prefix), r)
}

func (s *Store) read(scan store.Scan, lo, hi []byte) (rows []store.Row, err error) {
	if bytes.Compare(lo, hi) >= 0 {
		return nil, nil
	}
	it, err := s.db.Iter(lo, hi)
	if err != nil {
		return nil, err
	}
	defer func() {
		if closeErr := it.Close(); err == nil {
			err = closeErr
		}
	}()
	size := 0
	for ok := it.First(); ok; ok = it.Next() {
		r, n, err := decode(scan.Table, it)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
		size += n
		if len(rows) >= scan.Limit || scan.Bytes > 0 && size >= scan.Bytes {
			return rows, nil
		}
	}
	return rows, it.Error()
}

// decode returns the row that the iterator stands on, in memory of its own, and
// the size of its value.
func decode(table store.Table, it *kv.Iter) (store.Row, int, error) {
	value := bytes.Clone(it.Value())
	if err := it.Error(); err != nil {
		return nil, 0, err
	}
	r, err := codec.Decode(table, it.Key()[tablePrefix:], value)
	return r, len(value), err
}
