package faulty

import (
	"context"
	"errors"

	"github.com/fenfa/fenfa/internal/clock"
	"github.com/fenfa/fenfa/internal/fault"
	"github.com/fenfa/fenfa/internal/store"
)

// Config says what goes wrong with which store.
type Config struct {
	Store store.Store // required
	Plan  fault.Plan  // required
	Clock clock.Clock // times the delays; default clock.System
}

// Store is a store.Store that goes wrong by plan.
type Store struct {
	*fault.Injector
	inner store.Store
}

var _ store.Store = (*Store)(nil)

// New returns a decorator over cfg.Store.
func New(cfg Config) (*Store, error) {
	if cfg.Store == nil || cfg.Plan == nil {
		return nil, errors.New("make faulty store: a store and a plan are required")
	}
	return &Store{Injector: fault.NewInjector(cfg.Plan, cfg.Clock), inner: cfg.Store}, nil
}

// Claim implements store.Store.
func (s *Store) Claim(ctx context.Context, part int, epoch uint64) (store.Fence, error) {
	var fence store.Fence
	err := s.Do(ctx, OpClaim, func() (err error) {
		fence, err = s.inner.Claim(ctx, part, epoch)
		return err
	})
	if err != nil {
		return store.Fence{}, err
	}
	return fence, nil
}

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, batches []store.Batch) error {
	return s.Do(ctx, OpCommit, func() error { return s.inner.Commit(ctx, batches) })
}

// Load implements store.Store.
func (s *Store) Load(ctx context.Context, scan store.Scan) ([]store.Row, error) {
	var rows []store.Row
	err := s.Do(ctx, OpLoad, func() (err error) {
		rows, err = s.inner.Load(ctx, scan)
		return err
	})
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, part int, keys []store.Row) ([]store.Row, error) {
	var rows []store.Row
	err := s.Do(ctx, OpGet, func() (err error) {
		rows, err = s.inner.Get(ctx, part, keys)
		return err
	})
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// Meta implements store.Store.
func (s *Store) Meta() store.Meta { return meta{s} }

// Close closes the store below; it never goes wrong by plan.
func (s *Store) Close(ctx context.Context) error { return s.inner.Close(ctx) }
