package indexed

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/task"
)

// Bounds of the search for expired ids.
const (
	sweepRows     = 10_000 // looked at in one step
	sweepSteps    = 20     // of each kind in one go, while most rows were expired
	rangeAtLeast  = 256    // neighbours that are deleted as one range
	shortestSweep = time.Minute
)

// sweeper is where the search for expired ids stands.
type sweeper struct {
	broker *Broker
	next   map[byte][]byte // by kind of id, the key to go on from
	// paused is called between looking and removing; tests publish there. Nil: nothing.
	paused func()
}

func (b *Broker) sweepLoop(ctx context.Context) {
	s := &sweeper{broker: b, next: make(map[byte][]byte)}
	tick := make(chan struct{}, 1)
	for {
		timer := b.cfg.Clock.AfterFunc(b.cfg.SweepInterval, func() { tick <- struct{}{} })
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-tick:
		}
		if err := s.sweep(ctx); err != nil && !errors.Is(err, kv.ErrClosed) && ctx.Err() == nil {
			b.cfg.Logger.LogAttrs(ctx, slog.LevelError, "expired ids were not removed", slog.Any("error", err))
		}
	}
}

// sweep removes rows of expired ids, a bounded number of them.
func (s *sweeper) sweep(ctx context.Context) error {
	b := s.broker
	now := b.cfg.Clock.Now()
	horizon := uint64(max(0, now.Add(-b.shortestWindow()).UnixMilli()))
	b.order.Lock()
	b.horizon = max(b.horizon, horizon)
	b.order.Unlock()
	lo, _ := idBounds(idVersion)
	if err := s.sweepKind(ctx, idVersion, lo, millisKey(horizon), now); err != nil {
		return err
	}
	lo, hi := idBounds(idOther)
	return s.sweepKind(ctx, idOther, lo, hi, now)
}

// shortestWindow is the shortest dedupe window of all queues: no younger id of
// version 7 needs a look.
func (b *Broker) shortestWindow() time.Duration {
	shortest := time.Duration(-1)
	for _, q := range b.queues.Load().byNumber {
		if shortest < 0 || q.window < shortest {
			shortest = q.window
		}
	}
	return max(shortest, shortestSweep)
}

// sweepKind goes on through [lo, hi), and starts again at its end the next time.
func (s *sweeper) sweepKind(ctx context.Context, kind byte, lo, hi []byte, now time.Time) error {
	for range sweepSteps {
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
func (s *sweeper) step(ctx context.Context, kind byte, lo, hi []byte, now time.Time) (next []byte, removed int, err error) {
	b := s.broker
	b.order.Lock()
	rewrites := b.rewrites
	b.order.Unlock()
	// What was handed to kv until here must be seen.
	if err := b.db.Barrier(ctx); err != nil {
		return nil, 0, err
	}
	expired := removal{batch: b.db.NewBatch(), ranges: kind == idVersion}
	next, err = s.collect(&expired, lo, hi, now)
	expired.flush()
	if err != nil || expired.count == 0 {
		expired.batch.Discard()
		return next, 0, err
	}
	if s.paused != nil {
		s.paused()
	}
	b.order.Lock()
	defer b.order.Unlock()
	if b.rewrites != rewrites {
		expired.batch.Discard()
		return lo, 0, nil
	}
	b.db.Commit(expired.batch, nil)
	b.metrics.expired.Add(float64(expired.count))
	return next, expired.count, nil
}

func (s *sweeper) collect(expired *removal, lo, hi []byte, now time.Time) (next []byte, err error) {
	it, err := s.broker.db.Iter(lo, hi)
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
		row, err := decodeIDRow(it.Value())
		if err != nil {
			return nil, err
		}
		id, ok := keyID(it.Key())
		switch {
		case !ok:
			return nil, task.ErrCorrupt
		case s.broker.expired(&row, now):
			expired.add(&id)
		default:
			expired.flush()
		}
	}
	return nil, nil
}

// removal collects rows that are neighbours, and deletes long runs of them as one
// range.
type removal struct {
	batch  *kv.Batch
	ranges bool
	run    []task.ID
	count  int
}

func (r *removal) add(id *task.ID) {
	r.run = append(r.run, *id)
	r.count++
}

// flush deletes the run.
func (r *removal) flush() {
	if n := len(r.run); r.ranges && n >= rangeAtLeast {
		r.batch.DeleteRange(idKey(&r.run[0]), append(idKey(&r.run[n-1]), 0))
	} else {
		for i := range r.run {
			r.batch.DeleteSized(idKey(&r.run[i]), idRowSize)
		}
	}
	r.run = r.run[:0]
}
