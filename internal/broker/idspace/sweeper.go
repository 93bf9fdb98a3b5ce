package idspace

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/fenfa/fenfa/internal/clock"
	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/task"
)

// Bounds of the search for expired ids.
const (
	sweepRows     = 10_000 // looked at in one step
	sweepSteps    = 20     // of each kind in one go, while most rows were expired
	shortestSweep = time.Minute
)

// Owner is whose rows they are.
type Owner interface {
	// ShortestWindow is how long a row lives at least; less than a minute counts as
	// one.
	ShortestWindow() time.Duration
	// Expired reports whether the row of an id may be forgotten.
	Expired(id *task.ID, row []byte, now time.Time) (bool, error)
	// Removed is called with the number of rows that were removed.
	Removed(rows int)
}

// Guard keeps a sweep from removing what is just being published.
type Guard interface {
	// Raise says that sweeps may look at version 7 ids below this millisecond, and at
	// all others, from now on. It never falls.
	Raise(horizon uint64)
	// Begin is called before a step looks at rows. It returns what Commit is to be
	// given; ok is false while a publish is under way that writes where sweeps look.
	Begin() (state uint64, ok bool)
	// Commit calls commit, and reports true, unless since Begin a publish wrote, or
	// began to write, where sweeps look. None does while commit runs.
	Commit(state uint64, commit func()) bool
}

// Config says which rows expire. All fields are required.
type Config struct {
	DB       *kv.DB
	Space    Space
	RowSize  int // bytes of a row, as the engine's estimate of what a deletion frees
	Owner    Owner
	Guard    Guard
	Clock    clock.Clock
	Interval time.Duration // between two sweeps
	Logger   *slog.Logger
}

func (c *Config) validate() error {
	if c.DB == nil || c.Owner == nil || c.Guard == nil || c.Clock == nil || c.Logger == nil {
		return errors.New("new sweeper of ids: something it needs was not given")
	}
	if c.RowSize <= 0 || c.Interval <= 0 {
		return fmt.Errorf("new sweeper of ids: rows of %d bytes every %v: both must be more than 0", c.RowSize, c.Interval)
	}
	return nil
}

// Sweeper removes the rows of ids that expired.
type Sweeper struct {
	cfg  Config
	next map[byte][]byte // by kind of id, the key to go on from
}

// NewSweeper returns a sweeper that begins at the front.
func NewSweeper(cfg Config) (*Sweeper, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Sweeper{cfg: cfg, next: make(map[byte][]byte)}, nil
}

// Run sweeps until ctx ends.
func (s *Sweeper) Run(ctx context.Context) {
	tick := make(chan struct{}, 1)
	for {
		timer := s.cfg.Clock.AfterFunc(s.cfg.Interval, func() { tick <- struct{}{} })
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-tick:
		}
		if err := s.Sweep(ctx); err != nil && !errors.Is(err, kv.ErrClosed) && ctx.Err() == nil {
			s.cfg.Logger.LogAttrs(ctx, slog.LevelError, "expired ids were not removed", slog.Any("error", err))
		}
	}
}

// Sweep removes rows of expired ids, a bounded number of them.
func (s *Sweeper) Sweep(ctx context.Context) error {
	now := s.cfg.Clock.Now()
	window := max(s.cfg.Owner.ShortestWindow(), shortestSweep)
	horizon := uint64(max(0, now.Add(-window).UnixMilli()))
	s.cfg.Guard.Raise(horizon)
	lo, _ := s.cfg.Space.Bounds(Timed)
	if err := s.sweepKind(ctx, Timed, lo, s.cfg.Space.MillisKey(horizon), now); err != nil {
		return err
	}
	lo, hi := s.cfg.Space.Bounds(Other)
	return s.sweepKind(ctx, Other, lo, hi, now)
}

// sweepKind goes on through [lo, hi), and starts again at its end the next time.
func (s *Sweeper) sweepKind(ctx context.Context, kind byte, lo, hi []byte, now time.Time) error {
	for range sweepSteps {
		if err := ctx.Err(); err != nil {
			return err
		}
		from := s.next[kind]
		if from == nil {
			from = lo
		}
		next, removed, err := s.step(ctx, kind, from, hi, now)
		if err != nil {
			return err
		}
		s.next[kind] = next
		if next == nil || removed < sweepRows/2 {
			return nil
		}
	}
	return nil
}

// step looks at some rows from lo on and removes the expired ones. It returns
// where to go on, or nil at the end; where publishes were in the way, at lo.
func (s *Sweeper) step(ctx context.Context, kind byte, lo, hi []byte, now time.Time) (next []byte, removed int, err error) {
	state, ok := s.cfg.Guard.Begin()
	if !ok {
		return lo, 0, nil
	}
	// What was handed to the engine until here must be seen.
	if err := s.cfg.DB.Barrier(ctx); err != nil {
		return nil, 0, err
	}
	expired := removal{batch: s.cfg.DB.NewBatch(), space: s.cfg.Space, rowSize: s.cfg.RowSize, ranges: kind == Timed}
	next, err = s.collect(&expired, lo, hi, now)
	expired.flush()
	if err != nil || expired.count == 0 {
		expired.batch.Discard()
		return next, 0, err
	}
	if !s.cfg.Guard.Commit(state, func() { s.cfg.DB.Commit(expired.batch, nil) }) {
		expired.batch.Discard()
		return lo, 0, nil
	}
	s.cfg.Owner.Removed(expired.count)
	return next, expired.count, nil
}

func (s *Sweeper) collect(expired *removal, lo, hi []byte, now time.Time) (next []byte, err error) {
	it, err := s.cfg.DB.Iter(lo, hi)
	if err != nil {
		return nil, err
	}
	defer func() {
		if closeErr := it.Close(); err == nil {
			err = closeErr
		}
	}()
	rows := 0
	for ok := it.First(); ok; ok = it.Next() {
		if rows++; rows > sweepRows {
			return append([]byte(nil), it.Key()...), nil
		}
		id, ok := s.cfg.Space.ID(it.Key())
		if !ok {
			return nil, fmt.Errorf("look for expired ids: %w: key %x", task.ErrCorrupt, it.Key())
		}
		gone, err := s.cfg.Owner.Expired(&id, it.Value(), now)
		if err != nil {
			return nil, err
		}
		if gone {
			expired.add(&id)
		} else {
			expired.flush()
		}
	}
	return nil, nil
}
