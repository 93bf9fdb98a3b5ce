package embedded

import (
	"context"
	"time"

	"github.com/fenfa/fenfa/internal/broker/idspace"
	"github.com/fenfa/fenfa/internal/task"
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

// sweep starts the sweeper.
func (b *Broker) sweep() error {
	s, err := b.newSweeper(sweepGuard{b})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	b.stop = stop
	b.sweeps.Go(func() { s.Run(ctx) })
	return nil
}

func (b *Broker) newSweeper(guard idspace.Guard) (*idspace.Sweeper, error) {
	return idspace.NewSweeper(idspace.Config{
		DB: b.db, Space: index, RowSize: indexRowSize, Owner: indexOwner{b}, Guard: guard,
		Clock: b.cfg.Clock, Interval: b.cfg.SweepInterval, Logger: b.cfg.Logger,
	})
}

// sweepGuard implements idspace.Guard.
type sweepGuard struct{ b *Broker }

func (g sweepGuard) Raise(horizon uint64) {
	g.b.order.Lock()
	defer g.b.order.Unlock()
	g.b.backdate.horizon = max(g.b.backdate.horizon, horizon)
}

func (g sweepGuard) Begin() (changes uint64, ok bool) {
	g.b.order.Lock()
	defer g.b.order.Unlock()
	return g.b.backdate.changes, g.b.backdate.inFlight == 0
}

func (g sweepGuard) Commit(changes uint64, commit func()) bool {
	g.b.order.Lock()
	defer g.b.order.Unlock()
	if g.b.backdate.inFlight > 0 || g.b.backdate.changes != changes {
		return false
	}
	commit()
	return true
}

// indexOwner implements idspace.Owner.
type indexOwner struct{ b *Broker }

// ShortestWindow is the shortest dedupe window of all queues.
func (o indexOwner) ShortestWindow() time.Duration {
	shortest := time.Duration(-1)
	for _, q := range o.b.queues.Load().byNumber {
		if w := q.window(); shortest < 0 || w < shortest {
			shortest = w
		}
	}
	return shortest
}

// Removed counts.
func (o indexOwner) Removed(rows int) { o.b.metrics.expired.Add(float64(rows)) }

// Expired reports whether the index may forget the row of an id.
func (o indexOwner) Expired(id *task.ID, value []byte, now time.Time) (bool, error) {
	row, err := decodeIndexRow(value)
	if err != nil {
		return false, err
	}
	return o.b.expired(&row, id, now)
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
