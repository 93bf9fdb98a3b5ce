package kv

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Bounds of the group commit. Few, large syncs beat many small ones: while one
// is under way the next batch fills.
const (
	maxInFlight    = 3       // merged batches that are written and not yet synced
	maxMergedBytes = 4 << 20 // a merged batch closes when it reaches this
	queueRetained  = 4096    // items of the idle queue whose memory is kept

	lazyDelay = 5 * time.Millisecond // how long CommitLater holds a batch back at most
	lazyBytes = 256 << 10            // size of the queue at which it does no longer
)

// commitItem is one call of Commit; a nil batch is a mark in the order only.
type commitItem struct {
	batch *Batch
	size  int
	done  func(error) // may be nil
}

// merged is what one write to the log carries.
type merged struct {
	pb         *pebble.Batch
	items      []commitItem
	started    time.Time
	completing bool // its callbacks run, or have run; under committer.mu
}

// committer is the queue between the callers and the log.
type committer struct {
	mu      sync.Mutex
	wake    sync.Cond // signals the commit loop that the queue has something
	queue   []commitItem
	bytes   int       // encoded size of the queue
	urgent  bool      // somebody waits for what is in the queue
	late    bool      // a timer is set to make it urgent
	active  []*merged // taken from the queue and not completed, in order
	closing bool      // Commit refuses

	free     chan *merged // idle merged batches
	inFlight chan *merged // written, in order, to be synced
	ended    chan struct{}
}

// Commit queues the batch and returns at once. Batches become durable in the
// order of the calls; done, which may be nil, runs on the completion goroutine,
// in that order, when the batch is durable, or with ErrClosed or the failure. It
// must not block, and must not wait for a later commit. After Close or a failure it
// runs on a goroutine of its own.
func (db *DB) Commit(b *Batch, done func(error)) {
	db.commit(b, true, done)
}

// CommitLater is Commit for what nobody waits for: the batch is held back for up
// to lazyDelay, so that it shares a sync with others. The order is kept.
func (db *DB) CommitLater(b *Batch, done func(error)) {
	db.commit(b, false, done)
}

// Hurry ends the wait of what CommitLater holds back now.
func (db *DB) Hurry() {
	c := &db.commits
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) > 0 {
		c.press()
	}
}

func (db *DB) commit(b *Batch, urgent bool, done func(error)) {
	c := &db.commits
	late := false
	c.mu.Lock()
	err := db.refusal()
	if err == nil {
		c.enqueue(commitItem{batch: b, size: b.Size(), done: done}, urgent || c.bytes > lazyBytes)
		late = !c.urgent && !c.late
		c.late = c.late || late
	}
	c.mu.Unlock()
	if late {
		db.cfg.Clock.AfterFunc(lazyDelay, func() {
			c.mu.Lock()
			c.late = false
			c.mu.Unlock()
			db.Hurry()
		})
	}
	if err != nil {
		b.release()
		if done != nil {
			go done(err)
		}
	}
}

func (c *committer) enqueue(item commitItem, urgent bool) {
	c.queue = append(c.queue, item)
	c.bytes += item.size
	if urgent {
		c.press()
	}
}

// press lets the commit loop take the queue; mu is held.
func (c *committer) press() {
	if !c.urgent {
		c.urgent = true
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
// it is not known whether it happens.
func (db *DB) CommitWait(ctx context.Context, b *Batch) error {
	ch := make(chan error, 1)
	db.Commit(b, func(err error) { ch <- err })
	return await(ctx, ch)
}

// Barrier returns when everything that was visible at the call is durable. It is
// cheap when nothing is in flight.
func (db *DB) Barrier(ctx context.Context) error {
	c := &db.commits
	ch := make(chan error, 1)
	c.mu.Lock()
	err := db.refusal()
	idle := len(c.queue) == 0 && len(c.active) == 0
	if err == nil && !idle {
		c.enqueue(commitItem{done: func(err error) { ch <- err }}, true)
	}
	c.mu.Unlock()
	if err != nil || idle {
		return err
	}
	return await(ctx, ch)
}

func await(ctx context.Context, ch <-chan error) error {
	select {
	case err := <-ch:
		return err
	case <-ctx.Done():
		return fmt.Errorf("wait for commit: %w", context.Cause(ctx))
	}
}

func (db *DB) startCommits() {
	c := &db.commits
	c.wake.L = &c.mu
	c.free = make(chan *merged, maxInFlight)
	c.inFlight = make(chan *merged, maxInFlight)
	c.ended = make(chan struct{})
	for range maxInFlight {
		c.free <- &merged{pb: db.pebble.NewBatchWithSize(64<<10, pebble.WithMaxRetainedSizeBytes(2*maxMergedBytes))}
	}
	go db.commitLoop()
	go db.completeLoop()
}

// stop lets the loops end when everything queued is done.
func (c *committer) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closing = true
	c.wake.Broadcast()
}

// commitLoop merges what is queued and writes it to the log, until the queue is
// closed and empty.
func (db *DB) commitLoop() {
	c := &db.commits
	defer close(c.inFlight)
	for {
		// The slot is taken before the queue is looked at, so that what arrives
		// meanwhile joins the batch.
		m := <-c.free
		if !c.take(m) {
			return
		}
		m.started = db.cfg.Clock.Now()
		for i := range m.items {
			if b := m.items[i].batch; b != nil {
				must(m.pb.Apply(b.pb, nil))
				b.release()
				m.items[i].batch = nil
			}
		}
		if !m.pb.Empty() {
			db.metrics.mergedBytes.Observe(float64(m.pb.Len()))
			db.metrics.mergedBatches.Observe(float64(len(m.items)))
			if err := db.pebble.ApplyNoSyncWait(m.pb, pebble.Sync); err != nil {
				db.failAndStand(fmt.Errorf("write to the log: %w", err))
			}
		}
		c.inFlight <- m
	}
}

// take waits for queued items and moves a batch's worth of them into m; false
// means that there will be none.
func (c *committer) take(m *merged) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.urgent && !c.closing {
		c.wake.Wait()
	}
	if len(c.queue) == 0 {
		return false
	}
	n, size := 0, 0
	for n < len(c.queue) && size < maxMergedBytes {
		size += c.queue[n].size
		n++
	}
	m.items = append(m.items[:0], c.queue[:n]...)
	m.completing = false
	c.active = append(c.active, m)
	c.bytes -= size
	rest := copy(c.queue, c.queue[n:])
	clear(c.queue[rest:])
	c.queue = c.queue[:rest]
	c.urgent = rest > 0
	if rest == 0 && cap(c.queue) > queueRetained {
		c.queue = nil
	}
	return true
}

// completeLoop waits for the syncs in order and runs the callbacks.
func (db *DB) completeLoop() {
	c := &db.commits
	defer close(c.ended)
	for m := range c.inFlight {
		if !m.pb.Empty() {
			if err := m.pb.SyncWait(); err != nil {
				db.failAndStand(fmt.Errorf("sync the log: %w", err))
			}
		}
		if !db.mayComplete(m) {
			return
		}
		for i := range m.items {
			if done := m.items[i].done; done != nil {
				done(nil)
			}
		}
		db.metrics.commit.Observe(db.cfg.Clock.Now().Sub(m.started).Seconds())
		c.mu.Lock()
		c.active = append(c.active[:0], c.active[1:]...)
		c.mu.Unlock()
		clear(m.items)
		m.pb.Reset()
		c.free <- m
	}
}

// mayComplete is the last gate before anything is confirmed: after a failure
// nothing passes.
func (db *DB) mayComplete(m *merged) bool {
	db.commits.mu.Lock()
	defer db.commits.mu.Unlock()
	if db.failure.Load() != nil {
		return false
	}
	m.completing = true
	return true
}

// abandon answers everything that waits with the failure.
func (c *committer) abandon(err error) {
	c.mu.Lock()
	var waiting []func(error)
	for _, m := range c.active {
		for i := range m.items {
			if done := m.items[i].done; done != nil && !m.completing {
				waiting = append(waiting, done)
			}
		}
	}
	for i := range c.queue {
		if done := c.queue[i].done; done != nil {
			waiting = append(waiting, done)
		}
	}
	c.queue, c.bytes = nil, 0
	c.mu.Unlock()
	for _, done := range waiting {
		done(err)
	}
}
