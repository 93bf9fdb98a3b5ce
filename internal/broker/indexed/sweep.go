package indexed

import (
	"context"
	"time"

	"github.com/fenfa/fenfa/internal/broker/idspace"
	"github.com/fenfa/fenfa/internal/task"
)

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
		DB: b.db, Space: idRows, RowSize: idRowSize, Owner: idOwner{b}, Guard: guard,
		Clock: b.cfg.Clock, Interval: b.cfg.SweepInterval, Logger: b.cfg.Logger,
	})
}

// sweepGuard implements idspace.Guard. Rows that are on their way to the engine when
// a step begins are waited for by the step; later ones change the count.
type sweepGuard struct{ b *Broker }

func (g sweepGuard) Raise(horizon uint64) {
	g.b.order.Lock()
	defer g.b.order.Unlock()
	g.b.horizon = max(g.b.horizon, horizon)
}

func (g sweepGuard) Begin() (rewrites uint64, ok bool) {
	g.b.order.Lock()
	defer g.b.order.Unlock()
	return g.b.rewrites, true
}

func (g sweepGuard) Commit(rewrites uint64, commit func()) bool {
	g.b.order.Lock()
	defer g.b.order.Unlock()
	if g.b.rewrites != rewrites {
		return false
	}
	commit()
	return true
}

// idOwner implements idspace.Owner.
type idOwner struct{ b *Broker }

// ShortestWindow is the shortest dedupe window of all queues.
func (o idOwner) ShortestWindow() time.Duration {
	shortest := time.Duration(-1)
	for _, q := range o.b.queues.Load().byNumber {
		if shortest < 0 || q.window < shortest {
			shortest = q.window
		}
	}
	return shortest
}

// Removed counts.
func (o idOwner) Removed(rows int) { o.b.metrics.expired.Add(float64(rows)) }

// Expired reports whether the index may forget the row of an id.
func (o idOwner) Expired(_ *task.ID, value []byte, now time.Time) (bool, error) {
	row, err := decodeIDRow(value)
	if err != nil {
		return false, err
	}
	return o.b.expired(&row, now), nil
}
