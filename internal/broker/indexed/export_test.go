package indexed

import (
	"context"

	"github.com/fenfa/fenfa/internal/task"
)

// Sweep looks for expired ids once, as the sweeper does by itself.
func (b *Broker) Sweep(ctx context.Context) error { return b.SweepPaused(ctx, nil) }

// SweepPaused calls paused in each step between looking and removing.
func (b *Broker) SweepPaused(ctx context.Context, paused func()) error {
	s, err := b.newSweeper(pausedGuard{sweepGuard{b}, paused})
	if err != nil {
		return err
	}
	return s.Sweep(ctx)
}

// pausedGuard lets a test do something before rows are removed.
type pausedGuard struct {
	sweepGuard
	paused func()
}

func (g pausedGuard) Commit(state uint64, commit func()) bool {
	if g.paused != nil {
		g.paused()
	}
	return g.sweepGuard.Commit(state, commit)
}

// Claims is how many ids are claimed by publishes whose rows are not durable.
func (b *Broker) Claims() int {
	b.order.Lock()
	defer b.order.Unlock()
	return len(b.claims)
}

// Awaited reports whether a publish waits for the one that has claimed an id.
func (b *Broker) Awaited(id task.ID) bool {
	b.order.Lock()
	defer b.order.Unlock()
	c, claimed := b.claims[id]
	return claimed && c.publication.finished != nil
}
