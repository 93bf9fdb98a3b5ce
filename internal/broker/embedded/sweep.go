package embedded

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

// backdate keeps the sweeper from deleting what is just being published. A
// publication is backdated when it replaces an expired row or adds one where the
// sweeper may look; none is under way, and none has ended, between the moment
// when the sweeper reads rows and the one when it deletes them.
type backdate struct {
	horizon  uint64 // the sweeper looks at version 7 ids below this millisecond
	inFlight int    // backdated publications that were handed to kv
	changes  uint64 // backdated publications that ended
}

// sweeper is where the search stands.
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

// sweep removes rows of expired ids from the index, a bounded number of them.
func (s *sweeper) sweep(ctx context.Context) error {
	b := s.broker
	now := b.cfg.Clock.Now()
	horizon := uint64(max(0, now.Add(-b.shortestWindow()).UnixMilli()))
	b.order.Lock()
	b.backdate.horizon = max(b.backdate.horizon, horizon)
	b.order.Unlock()
	// What was handed to kv before the horizon rose must be seen by the steps.
	if err := b.db.Barrier(ctx); err != nil {
		return err
	}
	lo, _ := indexBounds(idVersion)
	if err := s.sweepKind(ctx, idVersion, lo, millisKey(horizon), now); err != nil {
		return err
	}
	lo, hi := indexBounds(idOther)
	return s.sweepKind(ctx, idOther, lo, hi, now)
}

// millisKey returns the index key below which all version 7 ids are older than ms.
func millisKey(ms uint64) []byte {
	lo, _ := indexBounds(idVersion)
	return append(lo, byte(ms>>40), byte(ms>>32), byte(ms>>24), byte(ms>>16), byte(ms>>8), byte(ms))
}

// shortestWindow is the shortest dedupe window of all queues.
func (b *Broker) shortestWindow() time.Duration {
	shortest := time.Duration(-1)
	for _, q := range b.queues.Load().byNumber {
		if w := q.window(); shortest < 0 || w < shortest {
			shortest = w
		}
	}
	return max(shortest, shortestSweep)
}

// sweepKind goes on through [lo, hi), and starts again at its end the next time.
func (s *sweeper) sweepKind(ctx context.Context, kind byte, lo, hi []byte, now time.Time) error {
	for range sweepSteps {
		if err := ctx.Err(); err != nil {
			return err
		}
		from := s.next[kind]
		if from == nil {
			from = lo
		}
		next, removed, err := s.step(kind, from, hi, now)
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
func (s *sweeper) step(kind byte, lo, hi []byte, now time.Time) (next []byte, removed int, err error) {
	b := s.broker
	b.order.Lock()
	busy, changes := b.backdate.inFlight > 0, b.backdate.changes
	b.order.Unlock()
	if busy {
		return lo, 0, nil
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
	if b.backdate.inFlight > 0 || b.backdate.changes != changes {
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
		row, err := decodeIndexRow(it.Value())
		if err != nil {
			return nil, err
		}
		id, ok := indexID(it.Key())
		if !ok {
			return nil, task.ErrCorrupt
		}
		gone, err := s.broker.expired(&row, &id, now)
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

// expired reports whether the index may forget the row: its window is over and
// its message is settled, or its queue was removed.
func (b *Broker) expired(row *indexRow, id *task.ID, now time.Time) (bool, error) {
	q := b.queues.Load().byNumber[row.queue]
	if q == nil || int(row.part) >= len(q.logs) {
		return true, nil
	}
	if now.Sub(time.UnixMicro(row.publishedAt)) < q.window() {
		return false, nil
	}
	settled, err := b.isSettled(q.logs[row.part], row, id)
	return settled, err
}

// isSettled reports whether the row's message is not in the log any more.
func (b *Broker) isSettled(l *log, row *indexRow, id *task.ID) (bool, error) {
	if l.knownSettled(row.pos) {
		return true, nil
	}
	value, ok, err := b.db.Get(logKey(row.queue, row.part, row.pos))
	if err != nil || !ok {
		return !ok, err
	}
	message, err := decodeLogRow(value)
	return message.id != *id, err
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
		r.batch.DeleteRange(indexKey(&r.run[0]), append(indexKey(&r.run[n-1]), 0))
	} else {
		for i := range r.run {
			r.batch.DeleteSized(indexKey(&r.run[i]), indexRowSize)
		}
	}
	r.run = r.run[:0]
}
