package mysql

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/fenfa/fenfa/internal/store"
)

const (
	// transactions is how many of a shard are under way at a time: while one is being
	// made durable the next one is being sent.
	transactions = 2
	// lazyDelay is how long batches are held back that nobody waits for.
	lazyDelay = 5 * time.Millisecond
	// maxGroupRows bounds a transaction: it ends with the batch that reaches it.
	maxGroupRows = 20_000
)

// request is one batch of a call of Commit, for one shard.
type request struct {
	batch *store.Batch
	err   error
	done  func() // called once, when err is set
}

// group merges the batches of many calls into few transactions of a shard.
type group struct {
	shard   *shard
	catalog catalog
	room    chan struct{} // a value for each transaction that may begin
	wake    chan struct{}
	running sync.WaitGroup

	mu      sync.Mutex
	pending []*request
	urgent  bool // somebody waits for what is pending
	closed  bool
}

func newGroup(s *shard, c catalog) *group {
	g := &group{shard: s, catalog: c, room: make(chan struct{}, transactions), wake: make(chan struct{}, 1)}
	for range transactions {
		g.room <- struct{}{}
	}
	return g
}

// add hands requests in. The batches of one partition are handed in one after
// another, so no two transactions under way have one in common.
func (g *group) add(requests []*request) {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		answerClosed(requests)
		return
	}
	g.pending = append(g.pending, requests...)
	g.urgent = g.urgent || slices.ContainsFunc(requests, func(r *request) bool { return !r.batch.Lazy })
	g.mu.Unlock()
	g.signal()
}

// hurry ends the wait of what is held back now.
func (g *group) hurry() {
	g.mu.Lock()
	g.urgent = len(g.pending) > 0
	g.mu.Unlock()
	g.signal()
}

func (g *group) signal() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// run carries out what is handed in until ctx ends, then refuses what is left and
// waits for what is under way.
func (g *group) run(ctx context.Context) {
	defer g.running.Wait()
	defer g.refuse()
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.wake:
		}
		if !g.hold(ctx) {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-g.room:
		}
		requests := g.take()
		g.running.Go(func() {
			g.write(ctx, requests)
			g.room <- struct{}{}
		})
	}
}

// refuse answers what is pending, and what is handed in later: the store is
// closed.
func (g *group) refuse() {
	g.mu.Lock()
	left := g.pending
	g.pending, g.closed = nil, true
	g.mu.Unlock()
	answerClosed(left)
}

func answerClosed(requests []*request) {
	for _, r := range requests {
		r.err = store.ErrClosed
		r.done()
	}
}

// hold waits while everything that is pending is lazy, and reports whether
// anything is pending.
func (g *group) hold(ctx context.Context) bool {
	over := make(chan struct{})
	timer := g.shard.clock.AfterFunc(lazyDelay, func() { close(over) })
	defer timer.Stop()
	for {
		g.mu.Lock()
		pending, urgent := len(g.pending) > 0, g.urgent
		g.mu.Unlock()
		if !pending || urgent {
			return pending
		}
		select {
		case <-over:
			return true
		case <-g.wake:
		case <-ctx.Done():
			return true
		}
	}
}

// take returns the requests of the next transaction.
func (g *group) take() []*request {
	g.mu.Lock()
	defer g.mu.Unlock()
	rows, n := 0, 0
	for n < len(g.pending) && rows < maxGroupRows {
		rows += len(g.pending[n].batch.Puts) + len(g.pending[n].batch.Deletes)
		n++
	}
	taken := g.pending[:n:n]
	g.pending = slices.Clone(g.pending[n:])
	if len(g.pending) == 0 {
		g.urgent = false
	} else {
		g.signal()
	}
	return taken
}

// write carries requests out. Each transaction has one batch of a partition at
// most, so batches that follow each other go into one after the other.
func (g *group) write(ctx context.Context, requests []*request) {
	for len(requests) > 0 {
		var now, later []*request
		seen := map[int]bool{}
		for _, r := range requests {
			if seen[r.batch.Part] {
				later = append(later, r)
				continue
			}
			seen[r.batch.Part] = true
			now = append(now, r)
		}
		slices.SortFunc(now, func(a, b *request) int { return a.batch.Part - b.batch.Part })
		t := &transaction{shard: g.shard, catalog: g.catalog, requests: now}
		t.run(ctx)
		for _, r := range now {
			r.done()
		}
		requests = later
	}
}
