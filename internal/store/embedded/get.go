package embedded

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/codec"
)

// Get implements store.Store. Thousands of keys in one call are cheaper than in
// many: they are sorted and found by one walk.
func (s *Store) Get(ctx context.Context, part int, keys []store.Row) ([]store.Row, error) {
	rows, err := s.get(ctx, part, keys)
	if err != nil {
		return nil, fmt.Errorf("get %d rows of partition %d: %w", len(keys), part, translate(err))
	}
	return rows, nil
}

func (s *Store) get(ctx context.Context, part int, keys []store.Row) ([]store.Row, error) {
	if err := s.gate.Enter(); err != nil {
		return nil, err
	}
	defer s.gate.Leave()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := checkPartition(part); err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, nil
	}
	rows := make([]store.Row, len(keys))
	var err error
	if len(keys) == 1 {
		rows[0], err = s.point(part, keys[0])
	} else {
		err = s.walk(part, keys, rows)
	}
	if err != nil {
		return nil, err
	}
	return rows, s.db.Barrier(ctx)
}

// point reads one row; unlike a walk it profits from the engine's filters.
func (s *Store) point(part int, row store.Row) (store.Row, error) {
	key, err := appendRowKey(nil, part, row)
	if err != nil {
		return nil, err
	}
	value, ok, err := s.db.Get(key)
	if err != nil || !ok {
		return nil, err
	}
	return codec.Decode(row.Table(), key[tablePrefix:], value)
}

// wanted is a key of a Get and where its row goes.
type wanted struct {
	key []byte
	at  int
}

func (s *Store) walk(part int, keys, rows []store.Row) (err error) {
	list, err := sortKeys(part, keys)
	if err != nil {
		return err
	}
	last := list[len(list)-1].key
	it, err := s.db.Iter(list[0].key, append(bytes.Clone(last), 0))
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := it.Close(); err == nil {
			err = closeErr
		}
	}()
	for ok, i := it.First(), 0; ok && i < len(list); i++ {
		w := list[i]
		if ok = advance(it, w.key); !ok || !bytes.Equal(it.Key(), w.key) {
			continue
		}
		if rows[w.at], _, err = decode(keys[w.at].Table(), it); err != nil {
			return err
		}
	}
	return it.Error()
}

// advance moves forward to the first key that is not less. A neighbour is
// reached by a step, which costs less than a search.
func advance(it *kv.Iter, key []byte) bool {
	for range 2 {
		if bytes.Compare(it.Key(), key) >= 0 {
			return true
		}
		if !it.Next() {
			return false
		}
	}
	if bytes.Compare(it.Key(), key) >= 0 {
		return true
	}
	return it.SeekGE(key)
}

// sortKeys encodes the keys and sorts them.
func sortKeys(part int, keys []store.Row) ([]wanted, error) {
	const typical = tablePrefix + 16
	list := make([]wanted, len(keys))
	buf := make([]byte, 0, len(keys)*typical)
	for i, r := range keys {
		start := len(buf)
		var err error
		if buf, err = appendRowKey(buf, part, r); err != nil {
			return nil, err
		}
		// Where buf has grown, earlier keys stay in the memory that they are in.
		list[i] = wanted{key: buf[start:len(buf):len(buf)], at: i}
	}
	slices.SortFunc(list, func(a, b wanted) int { return bytes.Compare(a.key, b.key) })
	return list, nil
}
