package gate

import (
	"context"
	"sync"

	"github.com/fenfa/fenfa/internal/store"
)

// Gate counts the calls under way, so that Close can wait for them.
type Gate struct {
	mu     sync.Mutex
	active int
	idle   chan struct{} // made by Close; closed when active is 0
}

// Enter is matched by Leave unless it fails.
func (g *Gate) Enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.idle != nil {
		return store.ErrClosed
	}
	g.active++
	return nil
}

// Leave ends a call.
func (g *Gate) Leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.active--
	if g.idle != nil && g.active == 0 {
		close(g.idle)
	}
}

// Close refuses later calls with store.ErrClosed, and waits for those under way or
// for ctx. It may be called again.
func (g *Gate) Close(ctx context.Context) error {
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
