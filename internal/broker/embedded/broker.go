package embedded

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/broker/recent"
	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/task"
)

// Broker implements broker.Broker and broker.Locator over one kv.DB.
type Broker struct {
	cfg     Config
	db      *kv.DB
	metrics *metrics
	memory  memory
	queues  atomic.Pointer[queues]
	pool    sync.Pool // of *publication

	declare    sync.Mutex // one Declare or Remove at a time
	lastNumber uint32     // under declare

	order    sync.Mutex // see doc.go
	closed   bool
	claims   map[task.ID]claim
	recent   *recent.IDs
	backdate backdate

	sweeps sync.WaitGroup
	stop   context.CancelFunc // ends the sweeper
}

var (
	_ broker.Broker  = (*Broker)(nil)
	_ broker.Locator = (*Broker)(nil)
)

// New returns a broker over what is in cfg.DB. It takes over the spaces of the
// broker: there is one at a time for each database.
func New(cfg Config) (*Broker, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	b := &Broker{cfg: cfg, db: cfg.DB, claims: make(map[task.ID]claim)}
	b.memory.each, b.memory.all = cfg.TailBytes, cfg.TotalTailBytes
	b.pool.New = func() any { return newPublication(b) }
	if err := b.load(); err != nil {
		return nil, fmt.Errorf("load embedded broker: %w", err)
	}
	b.metrics = newMetrics(b)
	if err := b.metrics.register(cfg.Registerer); err != nil {
		return nil, fmt.Errorf("new embedded broker: %w", err)
	}
	if err := b.sweep(); err != nil {
		b.metrics.unregister(cfg.Registerer)
		return nil, fmt.Errorf("new embedded broker: %w", err)
	}
	return b, nil
}

// Capabilities implements broker.Broker.
func (b *Broker) Capabilities() broker.Capabilities {
	return broker.Capabilities{
		Durability: "fsync", DedupesPublish: true, LookupByID: true, StablePositions: true, ExactBacklog: true,
	}
}

// Close implements broker.Broker. The database stays open.
func (b *Broker) Close(ctx context.Context) error {
	b.declare.Lock()
	defer b.declare.Unlock()
	b.order.Lock()
	already := b.closed
	b.closed = true
	b.order.Unlock()
	if already {
		return nil
	}
	b.stop()
	b.sweeps.Wait()
	for _, q := range b.queues.Load().byNumber {
		for _, l := range q.logs {
			l.replace(nil, broker.ErrClosed)
		}
	}
	b.metrics.unregister(b.cfg.Registerer)
	if err := b.db.Barrier(ctx); err != nil {
		return fmt.Errorf("close embedded broker: %w", err)
	}
	return nil
}

func (b *Broker) isClosed() bool {
	b.order.Lock()
	defer b.order.Unlock()
	return b.closed
}

// load reads the queues, the state of their logs and the latest id.
func (b *Broker) load() error {
	q := &queues{byName: make(map[string]*queue), byNumber: make(map[uint32]*queue)}
	b.queues.Store(q)
	if err := b.loadQueues(q); err != nil {
		return err
	}
	if err := b.loadStates(q); err != nil {
		return err
	}
	for _, q := range q.byNumber {
		for _, l := range q.logs {
			l.durable = l.published.pos
			l.handedOut = min(l.reserved, l.published.pos)
			q.tasks.Add(l.published.tasks - l.settled.tasks)
			q.bytes.Add(l.published.bytes - l.settled.bytes)
		}
	}
	floor, err := index.LatestMillis(b.db)
	if err != nil {
		return err
	}
	b.recent = recent.New(b.cfg.RecentIDs, floor)
	return nil
}

func (b *Broker) loadQueues(s *queues) error {
	last, ok, err := b.db.Get(lastNumberKey())
	if err != nil {
		return err
	}
	if ok {
		if b.lastNumber, err = decodeNumber(last); err != nil {
			return err
		}
	}
	prefix := queueKey("")
	return b.scan(prefix, kv.PrefixEnd(prefix), func(key, value []byte) error {
		row, err := decodeQueueRow(string(key[len(prefix):]), value)
		if err != nil {
			return err
		}
		q := newQueue(row, &b.memory)
		s.byName[row.Queue], s.byNumber[row.number] = q, q
		return nil
	})
}

func (b *Broker) loadStates(s *queues) error {
	return b.scan([]byte{kv.SpaceBrokerState}, []byte{kv.SpaceBrokerState + 1}, func(key, value []byte) error {
		if len(key) != stateKeySize {
			return fmt.Errorf("read state of logs: %w: key %x", task.ErrCorrupt, key)
		}
		q := s.byNumber[binary.BigEndian.Uint32(key[1:])]
		part := int(binary.BigEndian.Uint16(key[5:]))
		if q == nil || part >= len(q.logs) {
			return nil
		}
		var err error
		switch l := q.logs[part]; key[7] {
		case statePublished:
			l.published, err = decodeCounts(value)
		case stateSettled:
			l.settled, err = decodeCounts(value)
		case stateReserved:
			l.reserved, err = decodeMark(value)
		default:
			err = fmt.Errorf("read state of logs: %w: key %x", task.ErrCorrupt, key)
		}
		return err
	})
}

// scan calls f for each row in [lo, hi).
func (b *Broker) scan(lo, hi []byte, f func(key, value []byte) error) error {
	it, err := b.db.Iter(lo, hi)
	if err != nil {
		return err
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		err = f(it.Key(), it.Value())
	}
	if closeErr := it.Close(); err == nil {
		err = closeErr
	}
	return err
}
