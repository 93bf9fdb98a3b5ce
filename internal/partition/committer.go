package partition

import (
	"context"
	"errors"
	"sync"

	"github.com/fenfa/fenfa/internal/store"
)

// commitsInFlight is how many store commits may be under way at a time.
const commitsInFlight = 8

// committer merges what all partitions have ready into few store commits.
type committer struct {
	store store.Store
	room  chan struct{} // a value for each commit that may begin
	wake  chan struct{}
	group sync.WaitGroup

	mu      sync.Mutex
	batches []store.Batch
	dones   []func(error)
	closed  bool
}

func newCommitter(s store.Store) *committer {
	c := &committer{store: s, room: make(chan struct{}, commitsInFlight), wake: make(chan struct{}, 1)}
	for range commitsInFlight {
		c.room <- struct{}{}
	}
	return c
}

// submit hands in a batch; done is called once, from another goroutine.
func (c *committer) submit(b store.Batch, done func(error)) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		done(store.ErrClosed)
		return
	}
	c.batches = append(c.batches, b)
	c.dones = append(c.dones, done)
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run commits until ctx ends; then it fails what is left and waits for what is
// under way.
func (c *committer) run(ctx context.Context) {
	defer c.group.Wait()
	for {
		select {
		case <-ctx.Done():
			c.mu.Lock()
			c.closed = true
			left := c.dones
			c.batches, c.dones = nil, nil
			c.mu.Unlock()
			for _, done := range left {
				done(store.ErrClosed)
			}
			return
		case <-c.wake:
		}
		<-c.room
		c.mu.Lock()
		batches, dones := c.batches, c.dones
		c.batches, c.dones = nil, nil
		c.mu.Unlock()
		if len(batches) == 0 {
			c.room <- struct{}{}
			continue
		}
		c.group.Go(func() {
			err := c.store.Commit(context.WithoutCancel(ctx), batches)
			c.room <- struct{}{}
			answerEach(err, dones)
		})
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
