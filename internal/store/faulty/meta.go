package faulty

import (
	"context"

	"github.com/fenfa/fenfa/internal/store"
)

// meta is the store's store.Meta.
type meta struct{ s *Store }

// Get implements store.Meta.
func (m meta) Get(ctx context.Context, name string) ([]byte, uint64, error) {
	var value []byte
	var version uint64
	err := m.s.Do(ctx, OpMetaGet, func() (err error) {
		value, version, err = m.s.inner.Meta().Get(ctx, name)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return value, version, nil
}

// Put implements store.Meta.
func (m meta) Put(ctx context.Context, name string, value []byte, expected uint64) (uint64, error) {
	var version uint64
	err := m.s.Do(ctx, OpMetaPut, func() (err error) {
		version, err = m.s.inner.Meta().Put(ctx, name, value, expected)
		return err
	})
	if err != nil {
		return 0, err
	}
	return version, nil
}

// List implements store.Meta.
func (m meta) List(ctx context.Context, prefix string) ([]store.Entry, error) {
	var entries []store.Entry
	err := m.s.Do(ctx, OpMetaList, func() (err error) {
		entries, err = m.s.inner.Meta().List(ctx, prefix)
		return err
	})
	if err != nil {
		return nil, err
	}
	return entries, nil
}
