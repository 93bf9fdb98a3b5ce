package faulty

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fenfa/fenfa/internal/clock"
	"github.com/fenfa/fenfa/internal/store"
)

// Sentinels of planned failures.
var (
	// ErrInjected says that the call was not carried out.
	ErrInjected = errors.New("injected failure")
	// ErrUnknown says that the call may have been carried out.
	ErrUnknown = errors.New("injected loss of the answer")
)

// Config says what goes wrong with which store.
type Config struct {
	Store store.Store // required
	Plan  Plan        // required
	Clock clock.Clock // times the delays; default clock.System
}

// Store is a store.Store that goes wrong by plan.
type Store struct {
	inner store.Store
	clock clock.Clock

	mu    sync.Mutex
	plan  Plan
	count map[Kind]int
}

var _ store.Store = (*Store)(nil)

// New returns a decorator over cfg.Store.
func New(cfg Config) (*Store, error) {
	if cfg.Store == nil || cfg.Plan == nil {
		return nil, errors.New("make faulty store: a store and a plan are required")
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	return &Store{inner: cfg.Store, clock: cfg.Clock, plan: cfg.Plan, count: map[Kind]int{}}, nil
}

// SetPlan replaces the plan, for instance to heal the store.
func (s *Store) SetPlan(plan Plan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plan = plan
}

// Count returns how many calls went wrong in this way so far.
func (s *Store) Count(kind Kind) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count[kind]
}

func (s *Store) next(op Op) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.plan(op)
	s.count[f.Kind]++
	return f
}

// do carries call out as the plan says.
func (s *Store) do(ctx context.Context, op Op, call func() error) error {
	f := s.next(op)
	if err := s.wait(ctx, f.Delay); err != nil {
		return fmt.Errorf("%s: %w: %w", op, ErrInjected, err)
	}
	switch f.Kind {
	case Fail:
		return fmt.Errorf("%s: %w", op, ErrInjected)
	case Unknown:
		// Whatever the store says is what gets lost.
		_ = call()
		return fmt.Errorf("%s: %w", op, ErrUnknown)
	default:
		return call()
	}
}

func (s *Store) wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	over := make(chan struct{})
	timer := s.clock.AfterFunc(d, func() { close(over) })
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		timer.Stop()
		return ctx.Err()
	}
}

// Claim implements store.Store.
func (s *Store) Claim(ctx context.Context, part int, epoch uint64) (store.Fence, error) {
	var fence store.Fence
	err := s.do(ctx, OpClaim, func() (err error) {
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
	return s.do(ctx, OpCommit, func() error { return s.inner.Commit(ctx, batches) })
}

// Load implements store.Store.
func (s *Store) Load(ctx context.Context, scan store.Scan) ([]store.Row, error) {
	var rows []store.Row
	err := s.do(ctx, OpLoad, func() (err error) {
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
	err := s.do(ctx, OpGet, func() (err error) {
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
