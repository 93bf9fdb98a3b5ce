package embedded

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/gate"
)

// Config says where the store keeps its rows.
type Config struct {
	// DB is required. It is shared with others; whoever opened it closes it, after
	// the store.
	DB *kv.DB
}

// Store is a store.Store on the embedded engine.
type Store struct {
	db      *kv.DB
	gate    gate.Gate
	meta    meta
	commits sync.Pool // of *commit

	headsMu sync.Mutex
	heads   map[int]*head
}

var _ store.Store = (*Store)(nil)

// New returns a store over the engine.
func New(cfg Config) (*Store, error) {
	if cfg.DB == nil {
		return nil, errors.New("make embedded store: no engine was given")
	}
	s := &Store{db: cfg.DB, heads: map[int]*head{}}
	s.meta.s = s
	return s, nil
}

// Meta implements store.Store.
func (s *Store) Meta() store.Meta { return &s.meta }

// Close refuses new calls and waits for those under way, or for ctx. It does
// not close the engine.
func (s *Store) Close(ctx context.Context) error {
	if err := s.gate.Close(ctx); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// translate makes an error of the engine one of the port.
func translate(err error) error {
	if errors.Is(err, kv.ErrClosed) {
		return fmt.Errorf("%w: %w", store.ErrClosed, err)
	}
	return err
}
