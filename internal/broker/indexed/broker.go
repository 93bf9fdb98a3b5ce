package indexed

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/broker/recent"
	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/task"
)

// Broker implements broker.Broker and broker.Locator over a broker that knows no
// ids, and one kv.DB.
type Broker struct {
	cfg     Config
	inner   broker.Broker
	db      *kv.DB
	metrics *metrics
	queues  atomic.Pointer[queues]
	pool    sync.Pool // of *publication

	declare    sync.Mutex // one Declare or Remove at a time
	lastNumber uint32     // under declare

	order    sync.Mutex // see doc.go
	closed   bool
	claims   map[task.ID]claim
	recent   *recent.IDs
	horizon  uint64 // the sweeper looks at version 7 ids below this millisecond
	rewrites uint64 // rows of ids that the sweeper may look at, handed to kv

	publishes sync.WaitGroup // under way; none begins after closed
	sweeps    sync.WaitGroup
	stop      context.CancelFunc // ends the sweeper
}

var (
	_ broker.Broker  = (*Broker)(nil)
	_ broker.Locator = (*Broker)(nil)
	_ broker.Watched = (*Broker)(nil)
)

// New returns a decorator over cfg.Broker with what is in cfg.DB. It takes over the
// spaces of the index: there is one at a time for each database. After an error
// cfg.Broker is open as before.
func New(cfg Config) (*Broker, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	b := &Broker{cfg: cfg, inner: cfg.Broker, db: cfg.DB, metrics: newMetrics(), claims: make(map[task.ID]claim)}
	b.pool.New = func() any { return newPublication(b) }
	if err := b.load(); err != nil {
		return nil, fmt.Errorf("load index of tasks: %w", err)
	}
	if err := b.metrics.register(cfg.Registerer); err != nil {
		return nil, fmt.Errorf("new indexed broker: %w", err)
	}
	if err := b.sweep(); err != nil {
		b.metrics.unregister(cfg.Registerer)
		return nil, fmt.Errorf("new indexed broker: %w", err)
	}
	return b, nil
}

// Capabilities implements broker.Broker: those of the broker below, and what the
// index adds.
func (b *Broker) Capabilities() broker.Capabilities {
	c := b.inner.Capabilities()
	c.DedupesPublish, c.LookupByID, c.Repeats = true, true, true
	return c
}

// Open implements broker.Broker.
func (b *Broker) Open(ctx context.Context, queue string, partition int, epoch uint64) (broker.Reader, error) {
	return b.inner.Open(ctx, queue, partition, epoch)
}

// Backlog implements broker.Broker.
func (b *Broker) Backlog(ctx context.Context, queue string) (broker.Backlog, error) {
	return b.inner.Backlog(ctx, queue)
}

// Problem implements broker.Watched for the broker below.
func (b *Broker) Problem() error {
	if w, ok := b.inner.(broker.Watched); ok {
		return w.Problem()
	}
	return nil
}

// Close implements broker.Broker. It closes the broker below and waits until the
// rows of all confirmed messages are durable. The database stays open.
func (b *Broker) Close(ctx context.Context) error {
	b.order.Lock()
	already := b.closed
	b.closed = true
	b.order.Unlock()
	if already {
		return nil
	}
	b.stop()
	b.sweeps.Wait()
	err := b.inner.Close(ctx)
	b.publishes.Wait()
	b.metrics.unregister(b.cfg.Registerer)
	if cause := b.db.Barrier(ctx); cause != nil {
		err = errors.Join(err, fmt.Errorf("write index of tasks: %w", cause))
	}
	return err
}

func (b *Broker) isClosed() bool {
	b.order.Lock()
	defer b.order.Unlock()
	return b.closed
}

// enter makes Close wait for publishes.Done, and reports false when the broker is
// closed.
func (b *Broker) enter() bool {
	b.order.Lock()
	defer b.order.Unlock()
	if !b.closed {
		b.publishes.Add(1)
	}
	return !b.closed
}

// load reads the queues and the latest id.
func (b *Broker) load() error {
	known, err := b.loadQueues()
	if err != nil {
		return err
	}
	b.queues.Store(known)
	floor, err := idRows.LatestMillis(b.db)
	if err != nil {
		return err
	}
	b.recent = recent.New(b.cfg.RecentIDs, floor)
	return nil
}

func (b *Broker) loadQueues() (*queues, error) {
	last, ok, err := b.db.Get(lastNumberKey())
	if err == nil && ok {
		b.lastNumber, err = decodeNumber(last)
	}
	if err != nil {
		return nil, err
	}
	known := &queues{byName: make(map[string]*queue), byNumber: make(map[uint32]*queue)}
	prefix := queueKey("")
	it, err := b.db.Iter(prefix, kv.PrefixEnd(prefix))
	if err != nil {
		return nil, err
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		var row queueRow
		if row, err = decodeQueueRow(it.Value()); err == nil {
			q := &queue{queueRow: row, name: string(it.Key()[len(prefix):])}
			known.byName[q.name], known.byNumber[q.number] = q, q
		}
	}
	if closeErr := it.Close(); err == nil {
		err = closeErr
	}
	return known, err
}

// Used reports whether an index was ever kept in the database: its tasks may wait
// in a broker that is not embedded.
func Used(db *kv.DB) (bool, error) {
	_, used, err := db.Get(lastNumberKey())
	if err != nil {
		return false, fmt.Errorf("look for an index of tasks: %w", err)
	}
	return used, nil
}
