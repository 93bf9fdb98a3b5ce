package embedded

import (
	"context"
	"sync"

	"github.com/fenfa/fenfa/internal/store"
)

// gate counts the calls under way, so that Close can wait for them.
type gate struct {
	mu     sync.Mutex
	active int
	idle   chan struct{} // made by close; closed when active is 0
}

// enter is matched by leave unless it fails.
func (g *gate) enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.idle != nil {
		return store.ErrClosed
	}
	g.active++
	return nil
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.active--
	if g.idle != nil && g.active == 0 {
		close(g.idle)
	}
}

func (g *gate) close(ctx context.Context) error {
	g.mu.Lock()
	if g.idle == nil {
		g.idle = make(chan struct{})
		if g.active == 0 {
			close(g.idle)
		}
	}
	g.mu.Unlock()
	select {
	case <-g.idle:
		return nil
	default:
	}
	select {
	case <-g.idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
