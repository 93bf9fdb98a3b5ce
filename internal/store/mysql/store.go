package mysql

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/gate"
)

// Store is a store.Store on databases that speak the MySQL protocol.
type Store struct {
	cfg       Config
	catalog   catalog
	shards    []*shard
	placement placement
	gate      gate.Gate
	metrics   *metrics
	flights   *flights
	stop      context.CancelFunc // ends the groups
	groups    sync.WaitGroup
	closing   sync.Once
	closeErr  error
}

var (
	_ store.Store   = (*Store)(nil)
	_ store.Grouper = (*Store)(nil)
	_ store.Hurrier = (*Store)(nil)
	_ store.Mover   = (*Store)(nil)
)

// New connects to all shards, brings their tables up to date, and makes sure that
// they are the shards of one cluster. ctx bounds that.
func New(ctx context.Context, cfg Config) (*Store, error) {
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("make mysql store: %w", err)
	}
	s := &Store{cfg: cfg, catalog: newCatalog(), metrics: newMetrics(), placement: placement{parts: map[int]int{}}}
	s.flights = newFlights(s.catalog)
	for number := range cfg.Shards {
		sh, err := newShard(&cfg, number, s.metrics)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("make mysql store: %w", err), s.disconnect())
		}
		sh.group = newGroup(sh, s.catalog)
		s.shards = append(s.shards, sh)
	}
	if err := errors.Join(s.open(ctx)); err != nil {
		return nil, errors.Join(fmt.Errorf("open mysql store: %w", err), s.disconnect())
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	for _, sh := range s.shards {
		s.groups.Go(func() { sh.group.run(running) })
		s.groups.Go(func() { sh.look(running) })
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	group, groupCtx := errgroup.WithContext(ctx)
	for _, sh := range s.shards {
		group.Go(func() error { return sh.migrate(groupCtx) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if err := s.identify(ctx); err != nil {
		return err
	}
	if err := s.recoverMoves(ctx); err != nil {
		return err
	}
	return s.metrics.register(s.cfg.Registerer)
}

func (s *Store) disconnect() error {
	var errs []error
	for _, sh := range s.shards {
		errs = append(errs, sh.close())
	}
	return errors.Join(errs...)
}

// Cluster is the name that the databases were given when they were first used
// together.
func (s *Store) Cluster() string { return s.placement.cluster }

// Claim implements store.Store. It reads anew which shard has the partition.
func (s *Store) Claim(ctx context.Context, part int, epoch uint64) (store.Fence, error) {
	fence, err := s.claim(ctx, part, epoch)
	if err != nil {
		return store.Fence{}, fmt.Errorf("claim partition %d: %w", part, err)
	}
	return fence, nil
}

func (s *Store) claim(ctx context.Context, part int, epoch uint64) (store.Fence, error) {
	if err := checkPartition(part); err != nil {
		return store.Fence{}, err
	}
	if err := s.gate.Enter(); err != nil {
		return store.Fence{}, err
	}
	defer s.gate.Leave()
	sh, err := s.place(ctx, part)
	if err != nil {
		return store.Fence{}, err
	}
	fence, err := sh.claim(ctx, part, epoch)
	if err == nil {
		s.flights.claimed(part, fence.Epoch)
	}
	return fence, err
}

// Group implements store.Grouper: a shard is a group.
func (s *Store) Group(part int) int {
	number, _ := s.placement.known(part)
	return number
}

// Hurry implements store.Hurrier.
func (s *Store) Hurry() {
	for _, sh := range s.shards {
		sh.group.hurry()
	}
}

// Commit implements store.Store. The batches of one shard become one transaction,
// together with those of other calls that wait. What was handed to a shard is
// waited for, even when ctx ends meanwhile.
func (s *Store) Commit(ctx context.Context, batches []store.Batch) error {
	if err := s.gate.Enter(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	defer s.gate.Leave()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	var waiting sync.WaitGroup
	failed := map[int]error{}
	requests := make([]*request, len(batches))
	byShard := map[*shard][]*request{}
	for i := range batches {
		b := &batches[i]
		sh, err := s.admit(ctx, b)
		if err != nil {
			failed[i] = err
			continue
		}
		waiting.Add(1)
		s.flights.begin(b)
		requests[i] = &request{batch: b, done: waiting.Done}
		byShard[sh] = append(byShard[sh], requests[i])
	}
	for sh, list := range byShard {
		sh.group.add(list)
	}
	waiting.Wait()
	for i, r := range requests {
		if r == nil {
			continue
		}
		s.flights.end(r.batch)
		if r.err != nil {
			failed[i] = r.err
		}
	}
	if len(failed) > 0 {
		return &store.CommitError{Failed: failed}
	}
	return nil
}

// admit refuses a batch that no fence admits and a row that has no columns, and
// finds the shard of others.
func (s *Store) admit(ctx context.Context, b *store.Batch) (*shard, error) {
	if err := checkPartition(b.Part); err != nil {
		return nil, err
	}
	if err := b.Prev.Admit(b); err != nil {
		return nil, err
	}
	return s.locate(ctx, b.Part)
}

// Meta implements store.Store.
func (s *Store) Meta() store.Meta { return meta{s} }

// Close refuses new calls, waits for those under way or for ctx, and closes the
// connections. It may be called again.
func (s *Store) Close(ctx context.Context) error {
	err := s.gate.Close(ctx)
	s.closing.Do(func() {
		s.stop()
		s.groups.Wait()
		s.metrics.unregister(s.cfg.Registerer)
		s.closeErr = s.disconnect()
	})
	if err := errors.Join(err, s.closeErr); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}
