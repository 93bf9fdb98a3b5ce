package embedded

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/codec"
)

// What is in the space of named values.
const (
	metaLast  = 'l' // the last version that was given to any value
	metaNamed = 'n' // followed by the name
)

// meta is the store's store.Meta. Versions come from one counter, so that none
// is used again after a delete.
type meta struct {
	s  *Store
	mu sync.Mutex // held while a change is read, checked and made durable
}

func metaKey(name string) []byte {
	return append([]byte{kv.SpaceStoreMeta, metaNamed}, name...)
}

// Get implements store.Meta.
func (m *meta) Get(ctx context.Context, name string) ([]byte, uint64, error) {
	value, version, err := m.get(ctx, name)
	if err != nil {
		return nil, 0, fmt.Errorf("get named value %q: %w", name, translate(err))
	}
	return value, version, nil
}

func (m *meta) get(ctx context.Context, name string) ([]byte, uint64, error) {
	if err := m.s.gate.Enter(); err != nil {
		return nil, 0, err
	}
	defer m.s.gate.Leave()
	value, version, err := m.read(name)
	if err != nil {
		return nil, 0, err
	}
	return value, version, m.s.db.Barrier(ctx)
}

func (m *meta) read(name string) ([]byte, uint64, error) {
	stored, ok, err := m.s.db.Get(metaKey(name))
	if err != nil || !ok {
		return nil, 0, err
	}
	version, value, err := codec.DecodeMeta(stored)
	return value, version, err
}

// Put implements store.Meta. Like a commit it waits until it is durable, even
// when ctx ends meanwhile.
func (m *meta) Put(ctx context.Context, name string, value []byte, expected uint64) (uint64, error) {
	version, err := m.put(ctx, name, value, expected)
	if err != nil {
		return 0, fmt.Errorf("put named value %q: %w", name, translate(err))
	}
	return version, nil
}

func (m *meta) put(ctx context.Context, name string, value []byte, expected uint64) (uint64, error) {
	if err := m.s.gate.Enter(); err != nil {
		return 0, err
	}
	defer m.s.gate.Leave()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_, current, err := m.read(name)
	if err != nil {
		return 0, err
	}
	if current != expected {
		return 0, fmt.Errorf("%w: version %d was expected, %d is there", store.ErrVersion, expected, current)
	}
	if value == nil && current == 0 {
		return 0, nil
	}
	b := m.s.db.NewBatch()
	version, err := m.change(b, name, value)
	if err != nil {
		b.Discard()
		return 0, err
	}
	if err := m.s.db.CommitWait(context.WithoutCancel(ctx), b); err != nil {
		return 0, err
	}
	return version, nil
}

// change adds the change to b and returns the version that it makes.
func (m *meta) change(b *kv.Batch, name string, value []byte) (uint64, error) {
	if value == nil {
		b.Delete(metaKey(name))
		return 0, nil
	}
	counter := []byte{kv.SpaceStoreMeta, metaLast}
	stored, ok, err := m.s.db.Get(counter)
	if err != nil {
		return 0, err
	}
	version := uint64(1)
	if ok {
		if len(stored) != 8 {
			return 0, errors.New("the counter of versions is damaged")
		}
		version += binary.BigEndian.Uint64(stored)
	}
	b.Set(counter, binary.BigEndian.AppendUint64(nil, version))
	b.Set(metaKey(name), codec.AppendMeta(nil, version, value))
	return version, nil
}

// List implements store.Meta.
func (m *meta) List(ctx context.Context, prefix string) ([]store.Entry, error) {
	entries, err := m.list(ctx, prefix)
	if err != nil {
		return nil, fmt.Errorf("list named values %q: %w", prefix, translate(err))
	}
	return entries, nil
}

func (m *meta) list(ctx context.Context, prefix string) (entries []store.Entry, err error) {
	if err := m.s.gate.Enter(); err != nil {
		return nil, err
	}
	defer m.s.gate.Leave()
	lo := metaKey(prefix)
	it, err := m.s.db.Iter(lo, kv.PrefixEnd(lo))
	if err != nil {
		return nil, err
	}
	defer func() {
		if closeErr := it.Close(); err == nil {
			err = closeErr
		}
	}()
	for ok := it.First(); ok; ok = it.Next() {
		version, value, err := codec.DecodeMeta(bytes.Clone(it.Value()))
		if err != nil {
			return nil, err
		}
		entries = append(entries, store.Entry{Name: string(it.Key()[len(metaKey("")):]), Value: value, Version: version})
	}
	if err := it.Error(); err != nil {
		return nil, err
	}
	return entries, m.s.db.Barrier(ctx)
}
