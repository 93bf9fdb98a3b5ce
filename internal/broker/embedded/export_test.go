package embedded

import (
	"context"
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

// TailBytes is what the tails of all logs take.
func (b *Broker) TailBytes() int64 { return b.memory.used.Load() }

// Claims is how many ids are claimed by publishes under way.
func (b *Broker) Claims() int {
	b.order.Lock()
	defer b.order.Unlock()
	return len(b.claims)
}

// Backdated is how many publishes are under way where the sweeper may look.
func (b *Broker) Backdated() int {
	b.order.Lock()
	defer b.order.Unlock()
	return b.backdate.inFlight
}
