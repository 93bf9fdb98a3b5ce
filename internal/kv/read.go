package kv

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Get returns a copy of the key's value; ok is false when there is none.
func (db *DB) Get(key []byte) (value []byte, ok bool, err error) {
	if err := db.enterRead(); err != nil {
		return nil, false, err
	}
	defer db.reads.Done()
	v, closer, err := db.pebble.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("get key %x: %w", key, err)
	}
	value = append(make([]byte, 0, len(v)), v...)
	if err := closer.Close(); err != nil {
		return nil, false, fmt.Errorf("get key %x: %w", key, err)
	}
	return value, true, nil
}

// Iter returns an iterator over the keys in [lo, hi) as they are now; nil means
// no bound. It must be closed.
func (db *DB) Iter(lo, hi []byte) (*Iter, error) {
	if err := db.enterRead(); err != nil {
		return nil, err
	}
	it, err := db.pebble.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		db.reads.Done()
		return nil, fmt.Errorf("iterate from key %x: %w", lo, err)
	}
	return &Iter{db: db, it: it}, nil
}

// enterRead keeps Close waiting until the matching db.reads.Done.
func (db *DB) enterRead() error {
	db.readsMu.RLock()
	defer db.readsMu.RUnlock()
	if db.readsClosed {
		return ErrClosed
	}
	db.reads.Add(1)
	return nil
}

// Iter walks over keys in order. It belongs to one goroutine. Keys and values
// are valid until the next move.
type Iter struct {
	db *DB
	it *pebble.Iterator
}

// First moves to the first key; the result says whether there is one.
func (i *Iter) First() bool { return i.it.First() }

// Last moves to the last key.
func (i *Iter) Last() bool { return i.it.Last() }

// SeekGE moves to the first key that is not less than the given one.
func (i *Iter) SeekGE(key []byte) bool { return i.it.SeekGE(key) }

// SeekLT moves to the last key that is less than the given one.
func (i *Iter) SeekLT(key []byte) bool { return i.it.SeekLT(key) }

// Next moves to the next key.
func (i *Iter) Next() bool { return i.it.Next() }

// Prev moves to the previous key.
func (i *Iter) Prev() bool { return i.it.Prev() }

// Valid reports whether the iterator stands on a key.
func (i *Iter) Valid() bool { return i.it.Valid() }

// Key returns the current key.
func (i *Iter) Key() []byte { return i.it.Key() }

// Value returns the current value, or nil when it could not be read; Error says
// why then.
func (i *Iter) Value() []byte {
	v, err := i.it.ValueAndErr()
	if err != nil {
		return nil
	}
	return v
}

// Error returns the first failure; a move that returned false may have met one.
func (i *Iter) Error() error {
	if err := i.it.Error(); err != nil {
		return fmt.Errorf("iterate: %w", err)
	}
	return nil
}

// Close releases the iterator and returns the first failure.
func (i *Iter) Close() error {
	defer i.db.reads.Done()
	if err := i.it.Close(); err != nil {
		return fmt.Errorf("iterate: %w", err)
	}
	return nil
}
