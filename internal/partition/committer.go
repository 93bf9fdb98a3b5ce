package partition

import (
	"context"
	"errors"
	"sync"

	"github.com/fenfa/fenfa/internal/store"
)

// commitsInFlight is how many store commits of one group may be under way at a time.
const commitsInFlight = 8

// committer merges what partitions have ready into few store commits: all of them, or
// where the store has groups, those of a group, which so wait for no other one.
type committer struct {
	store   store.Store
	groupOf func(part int) int
	wake    chan struct{}
	running sync.WaitGroup

	mu     sync.Mutex
	groups map[int]*commitGroup
	closed bool
}

// commitGroup is what the committer has of one group.
type commitGroup struct {
	batches []store.Batch
	dones   []func(error)
	flying  int // commits under way
}

func newCommitter(s store.Store) *committer {
	c := &committer{store: s, groupOf: func(int) int { return 0 }, wake: make(chan struct{}, 1), groups: make(map[int]*commitGroup)}
	if g, ok := s.(store.Grouper); ok {
		c.groupOf = g.Group
	}
	return c
}

// submit hands in a batch; done is called once: from another goroutine, or at once where
// the committer is closed.
func (c *committer) submit(b store.Batch, done func(error)) {
	number := c.groupOf(b.Part)
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		done(store.ErrClosed)
		return
	}
	g := c.groups[number]
	if g == nil {
		g = &commitGroup{}
		c.groups[number] = g
	}
	g.batches = append(g.batches, b)
	g.dones = append(g.dones, done)
	c.mu.Unlock()
	c.poke()
}

func (c *committer) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run commits until ctx ends; then it fails what is left and waits for what is
// under way.
func (c *committer) run(ctx context.Context) {
	defer c.running.Wait()
	for {
		select {
		case <-ctx.Done():
			c.close()
			return
		case <-c.wake:
		}
		c.begin(context.WithoutCancel(ctx))
	}
}

// begin commits what every group with room has ready.
func (c *committer) begin(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, g := range c.groups {
		if len(g.batches) == 0 || g.flying == commitsInFlight {
			continue
		}
		batches, dones := g.batches, g.dones
		g.batches, g.dones = nil, nil
		g.flying++
		c.running.Go(func() {
			err := c.store.Commit(ctx, batches)
			c.landed(g)
			answerEach(err, dones)
		})
	}
}

// landed makes room for the next commit of a group.
func (c *committer) landed(g *commitGroup) {
	c.mu.Lock()
	g.flying--
	more := len(g.batches) > 0
	c.mu.Unlock()
	if more {
		c.poke()
	}
}

// close fails what is left, and what is handed in later.
func (c *committer) close() {
	c.mu.Lock()
	c.closed = true
	var left []func(error)
	for _, g := range c.groups {
		left = append(left, g.dones...)
		g.batches, g.dones = nil, nil
	}
	c.mu.Unlock()
	for _, done := range left {
		done(store.ErrClosed)
	}
}

// answerEach tells every batch of a commit what became of it.
func answerEach(err error, dones []func(error)) {
	var partial *store.CommitError
	some := errors.As(err, &partial)
	for i, done := range dones {
		if some {
			done(partial.Failed[i])
			continue
		}
		done(err)
	}
}
