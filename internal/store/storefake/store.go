package storefake

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/fenfa/fenfa/internal/store"
)

// ErrCrashed answers those who waited for a commit in Commit when the store
// crashed: whether it happened is not known to them.
var ErrCrashed = errors.New("the store crashed")

// Config says how the store behaves.
type Config struct {
	Seed uint64
	// KeepSome lets a crash keep some of what was not durable, as a disk may.
	KeepSome bool
	// AutoSync makes every commit durable at once.
	AutoSync bool
}

// Store is a store.Store in memory.
type Store struct {
	cfg  Config
	meta meta

	mu      sync.Mutex
	rng     *rand.Rand
	parts   map[int]*partition
	pending []*call // not durable, in order
	closed  bool
}

// call is one Start that is not durable yet.
type call struct {
	changes []change
	err     error // the *store.CommitError of batches that were refused
	done    func(error)
	crashed func() // nil: nobody waits
}

var _ store.Store = (*Store)(nil)

// New returns an empty store.
func New(cfg Config) *Store {
	s := &Store{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 0x66616b65)), parts: map[int]*partition{}}
	s.meta.s = s
	s.meta.values = map[string]store.Entry{}
	return s
}

// Start hands batches in without waiting. done, which may be nil, runs inside
// the Sync that makes them durable; after a crash it never runs. What is wrong
// with the call as a whole is returned, and then done does not run either.
func (s *Store) Start(batches []store.Batch, done func(error)) error {
	return s.start(batches, done, nil)
}

func (s *Store) start(batches []store.Batch, done func(error), crashed func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	c := &call{done: done, crashed: crashed}
	failed := map[int]error{}
	for i := range batches {
		change, err := encode(&batches[i])
		if err != nil {
			return fmt.Errorf("batch %d: %w", i, err)
		}
		p := s.part(batches[i].Part)
		if err := p.admit(&batches[i]); err != nil {
			failed[i] = err
			continue
		}
		p.head = batches[i].Next
		c.changes = append(c.changes, change)
	}
	if len(failed) > 0 {
		c.err = &store.CommitError{Failed: failed}
	}
	s.pending = append(s.pending, c)
	return nil
}

// Commit implements store.Store. Without Config.AutoSync it waits for somebody
// to call Sync.
func (s *Store) Commit(ctx context.Context, batches []store.Batch) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	answer := make(chan error, 1)
	if err := s.start(batches, func(err error) { answer <- err }, func() { answer <- ErrCrashed }); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if s.cfg.AutoSync {
		s.Sync()
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return fmt.Errorf("commit: %w", ctx.Err())
	}
}

// Pending is how many calls are not durable.
func (s *Store) Pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pending)
}

// Sync makes everything durable, answers the callers in order and returns how
// many calls there were.
func (s *Store) Sync() int { return s.SyncOldest(int(^uint(0) >> 1)) }

// SyncOldest does the same for at most n of the oldest calls.
func (s *Store) SyncOldest(n int) int {
	s.mu.Lock()
	synced := s.take(n)
	s.mu.Unlock()
	for _, c := range synced {
		if c.done != nil {
			c.done(c.err)
		}
	}
	return len(synced)
}

// take moves the oldest calls from pending into the durable state.
func (s *Store) take(n int) []*call {
	n = min(n, len(s.pending))
	taken := s.pending[:n:n]
	s.pending = s.pending[n:]
	for _, c := range taken {
		for i := range c.changes {
			s.part(c.changes[i].part).apply(&c.changes[i])
		}
	}
	return taken
}

// Crash loses what is not durable, and all claims. Waiting callers of Commit
// get ErrCrashed; callbacks of Start do not run, for their process died.
func (s *Store) Crash() {
	s.mu.Lock()
	lost := s.pending
	if s.cfg.KeepSome && len(s.pending) > 0 {
		s.take(s.rng.IntN(len(s.pending) + 1))
	}
	s.pending = nil
	for _, p := range s.parts {
		p.head, p.owned = p.durable, false
	}
	s.mu.Unlock()
	for _, c := range lost {
		if c.crashed != nil {
			c.crashed()
		}
	}
}

// Claim implements store.Store. It makes everything that was handed in before
// durable too.
func (s *Store) Claim(ctx context.Context, part int, epoch uint64) (store.Fence, error) {
	fence, err := s.claim(ctx, part, epoch)
	if err != nil {
		return store.Fence{}, fmt.Errorf("claim partition %d: %w", part, err)
	}
	s.Sync()
	return fence, nil
}

func (s *Store) claim(ctx context.Context, part int, epoch uint64) (store.Fence, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return store.Fence{}, err
	}
	if part < 0 {
		return store.Fence{}, fmt.Errorf("there is no partition %d", part)
	}
	p := s.part(part)
	next, err := p.head.Claimed(epoch)
	if err != nil {
		return store.Fence{}, err
	}
	p.head, p.owned = next, true
	s.pending = append(s.pending, &call{changes: []change{{part: part, fence: next}}})
	return next, nil
}

// usable says why no call may be carried out; s.mu is held.
func (s *Store) usable(ctx context.Context) error {
	if s.closed {
		return store.ErrClosed
	}
	return ctx.Err()
}

// Meta implements store.Store. Named values are durable at once.
func (s *Store) Meta() store.Meta { return &s.meta }

// Close makes everything durable and refuses further calls.
func (s *Store) Close(context.Context) error {
	s.Sync()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}
