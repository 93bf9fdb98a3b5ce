package fenfatest

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/clock"
)

// taskClock is what a node's tasks go by: the machine's clock, and ahead of it by what
// the test has advanced. It knows the handlers that sleep by it.
type taskClock struct {
	*clock.Offset

	mu       sync.Mutex
	sleepers map[*sleeper]struct{}
	changes  uint64 // of sleepers
}

// sleeper is one call of Node.Sleep.
type sleeper struct {
	due   time.Time
	tasks []fenfa.ID
	woken chan struct{}
}

func newTaskClock() *taskClock {
	return &taskClock{Offset: clock.NewOffset(clock.System{}), sleepers: make(map[*sleeper]struct{})}
}

// to puts the clock forward to a moment, and wakes those who slept until then.
func (c *taskClock) to(at time.Time) {
	c.Advance(at.Sub(c.Now()))
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.Now()
	for s := range c.sleepers {
		if !s.due.After(now) {
			c.drop(s)
		}
	}
}

// sleep returns when d has passed, or fails with ctx.
func (c *taskClock) sleep(ctx context.Context, d time.Duration, tasks []fenfa.ID) error {
	s := &sleeper{due: c.Now().Add(d), tasks: tasks, woken: make(chan struct{})}
	c.mu.Lock()
	c.sleepers[s] = struct{}{}
	c.changes++
	c.mu.Unlock()
	defer c.AfterFunc(d, func() { c.wake(s) }).Stop()
	select {
	case <-s.woken:
		return nil
	case <-ctx.Done():
		c.wake(s)
		return context.Cause(ctx)
	}
}

func (c *taskClock) wake(s *sleeper) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, sleeps := c.sleepers[s]; sleeps {
		c.drop(s)
	}
}

// drop is under mu.
func (c *taskClock) drop(s *sleeper) {
	delete(c.sleepers, s)
	c.changes++
	close(s.woken)
}

// asleep is who sleeps by a clock at a moment.
type asleep struct {
	tasks   map[fenfa.ID]bool
	next    time.Time // when the first of them wakes; zero: nobody sleeps
	changes uint64    // until then
}

func (c *taskClock) asleep() asleep {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := asleep{tasks: make(map[fenfa.ID]bool), changes: c.changes}
	for s := range maps.Keys(c.sleepers) {
		for _, id := range s.tasks {
			a.tasks[id] = true
		}
		if a.next.IsZero() || s.due.Before(a.next) {
			a.next = s.due
		}
	}
	return a
}

// Now returns the time that the node's tasks go by.
func (n *Node) Now() time.Time { return n.clock.Now() }

// Ahead returns by how much Now is ahead of the machine's clock: what was advanced.
// Other clients than Client want it in fenfa.WithClockAhead.
func (n *Node) Ahead() time.Duration {
	_, ahead := n.clock.NowAhead()
	return ahead
}

// Sleep lets a handler take d of the node's time for the tasks that it works on: it
// returns when the clock has gone on by d, by itself or by Advance, which does not wait
// for these tasks meanwhile. It fails with the cause of ctx.
func (n *Node) Sleep(ctx context.Context, d time.Duration, tasks ...*fenfa.Task) error {
	ids := make([]fenfa.ID, len(tasks))
	for i, t := range tasks {
		ids[i] = t.ID()
	}
	return n.clock.sleep(ctx, d, ids)
}
