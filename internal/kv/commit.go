package kv

import (
	"context"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// Bounds of the group commit. Few, large syncs beat many small ones: while one
// is under way the next batch fills.
const (
	maxInFlight    = 3       // merged batches that are written and not yet synced
	maxMergedBytes = 4 << 20 // a merged batch closes when it reaches this
)

// commitItem is one call of Commit; a nil batch is a mark in the order only.
type commitItem struct {
	batch *Batch
	done  func(error)
}

// merged is what one write to the log carries.
type merged struct {
	pb    *pebble.Batch
	items []commitItem
}

// committer is the queue between the callers and the log.
type committer struct {
	mu      sync.Mutex
	wake    *sync.Cond // signals the commit loop
	queue   []commitItem
	bytes   int  // encoded size of the queue
	closing bool // Commit refuses
	pending int  // items taken in and not yet completed

	free     chan *merged // idle merged batches
	inFlight chan *merged // written, in order, to be synced
	loops    sync.WaitGroup
}

// Commit queues the batch and returns at once. Batches become durable in the
// order of the calls; done, which may be nil, runs on the completion goroutine,
// in that order, when the batch is durable, or with ErrClosed or the failure. It
// must not block. After Close it runs in a goroutine of its own.
func (db *DB) Commit(b *Batch, done func(error)) {
	if done == nil {
		done = func(error) {}
	}
	c := &db.commits
	c.mu.Lock()
	if err := db.refusal(); err != nil {
		c.mu.Unlock()
		b.release()
		go done(err)
		return
	}
	c.enqueue(commitItem{batch: b, done: done}, b.Size())
	c.mu.Unlock()
}

func (c *committer) enqueue(item commitItem, size int) {
	c.queue = append(c.queue, item)
	c.bytes += size
	c.pending++
	if len(c.queue) == 1 {
		c.wake.Signal()
	}
}

// refusal says why no batch is taken any more; committer.mu is held.
func (db *DB) refusal() error {
	if err := db.failure.Load(); err != nil {
		return *err
	}
	if db.commits.closing {
		return ErrClosed
	}
	return nil
}

// CommitWait commits the batch and waits until it is durable, or for ctx: then
// whether it happens is not known.
func (db *DB) CommitWait(ctx context.Context, b *Batch) error {
	return db.wait(ctx, func(done func(error)) { db.Commit(b, done) })
}

// Barrier returns when everything that was visible at the call is durable.
func (db *DB) Barrier(ctx context.Context) error {
	c := &db.commits
	c.mu.Lock()
	if err := db.refusal(); err != nil {
		c.mu.Unlock()
		return err
	}
	if c.pending == 0 {
		c.mu.Unlock()
		return nil
	}
	ch := make(chan error, 1)
	c.enqueue(commitItem{done: func(err error) { ch <- err }}, 0)
	c.mu.Unlock()
	return db.await(ctx, ch)
}

func (db *DB) wait(ctx context.Context, start func(done func(error))) error {
	ch := make(chan error, 1)
	start(func(err error) { ch <- err })
	return db.await(ctx, ch)
}

func (db *DB) await(ctx context.Context, ch <-chan error) error {
	select {
	case err := <-ch:
		return err
	case <-db.failed:
		return *db.failure.Load()
	case <-ctx.Done():
		return fmt.Errorf("wait for commit: %w", context.Cause(ctx))
	}
}

func (db *DB) startCommits() {
	c := &db.commits
	c.wake = sync.NewCond(&c.mu)
	c.free = make(chan *merged, maxInFlight)
	c.inFlight = make(chan *merged, maxInFlight)
	for range maxInFlight {
		c.free <- &merged{pb: db.pebble.NewBatchWithSize(64<<10, pebble.WithMaxRetainedSizeBytes(2*maxMergedBytes))}
	}
	c.loops.Add(2)
	go db.commitLoop()
	go db.completeLoop()
}

// commitLoop merges what is queued and writes it to the log, until the queue is
// closed and empty.
func (db *DB) commitLoop() {
	c := &db.commits
	defer c.loops.Done()
	defer close(c.inFlight)
	for {
		// The slot is taken before the queue is looked at, so that what arrives
		// meanwhile joins the batch.
		m := <-c.free
		if !c.take(m) {
			return
		}
		for _, item := range m.items {
			if item.batch != nil && !item.batch.Empty() {
				must(m.pb.Apply(item.batch.pb, nil))
			}
		}
		if !m.pb.Empty() {
			if err := db.pebble.ApplyNoSyncWait(m.pb, pebble.Sync); err != nil {
				db.fail(fmt.Errorf("write to the log: %w", err))
				return
			}
		}
		c.inFlight <- m
	}
}

// take waits for queued items and moves a batch's worth of them into m.
func (c *committer) take(m *merged) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) == 0 {
		if c.closing {
			return false
		}
		c.wake.Wait()
	}
	n, size := 0, 0
	for n < len(c.queue) && size < maxMergedBytes {
		if b := c.queue[n].batch; b != nil {
			size += b.Size()
		}
		n++
	}
	m.items = append(m.items[:0], c.queue[:n]...)
	rest := copy(c.queue, c.queue[n:])
	clear(c.queue[rest:])
	c.queue = c.queue[:rest]
	c.bytes -= size
	return true
}

// completeLoop waits for the syncs in order and runs the callbacks.
func (db *DB) completeLoop() {
	c := &db.commits
	defer c.loops.Done()
	for m := range c.inFlight {
		if !m.pb.Empty() {
			if err := m.pb.SyncWait(); err != nil {
				db.fail(fmt.Errorf("sync the log: %w", err))
				return
			}
		}
		if db.failure.Load() != nil {
			return
		}
		for i := range m.items {
			m.items[i].done(nil)
			if b := m.items[i].batch; b != nil {
				b.release()
			}
		}
		c.mu.Lock()
		c.pending -= len(m.items)
		c.mu.Unlock()
		clear(m.items)
		m.pb.Reset()
		c.free <- m
	}
}
