package storefake

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/fenfa/fenfa/internal/store"
)

// meta is the store's store.Meta; the store's lock guards it.
type meta struct {
	s      *Store
	last   uint64 // the last version that was given to any value
	values map[string]store.Entry
}

// Get implements store.Meta.
func (m *meta) Get(ctx context.Context, name string) ([]byte, uint64, error) {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	if err := m.s.usable(ctx); err != nil {
		return nil, 0, fmt.Errorf("get named value %q: %w", name, err)
	}
	e := m.values[name]
	return bytes.Clone(e.Value), e.Version, nil
}

// Put implements store.Meta.
func (m *meta) Put(ctx context.Context, name string, value []byte, expected uint64) (uint64, error) {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	if err := m.s.usable(ctx); err != nil {
		return 0, fmt.Errorf("put named value %q: %w", name, err)
	}
	if current := m.values[name].Version; current != expected {
		return 0, fmt.Errorf("put named value %q: %w: version %d was expected, %d is there", name, store.ErrVersion, expected, current)
	}
	if value == nil {
		delete(m.values, name)
		return 0, nil
	}
	m.last++
	m.values[name] = store.Entry{Name: name, Value: bytes.Clone(value), Version: m.last}
	return m.last, nil
}

// List implements store.Meta.
func (m *meta) List(ctx context.Context, prefix string) ([]store.Entry, error) {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	if err := m.s.usable(ctx); err != nil {
		return nil, fmt.Errorf("list named values %q: %w", prefix, err)
	}
	var entries []store.Entry
	for name, e := range m.values {
		if strings.HasPrefix(name, prefix) {
			e.Value = bytes.Clone(e.Value)
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(a, b store.Entry) int { return cmp.Compare(a.Name, b.Name) })
	return entries, nil
}
