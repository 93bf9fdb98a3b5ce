package partition

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/clock"
	"github.com/fenfa/fenfa/internal/ledger"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
	"github.com/fenfa/fenfa/internal/txn"
	"github.com/fenfa/fenfa/internal/watch"
)

// Delays between claims of a partition that failed.
const (
	reclaimBase = 50 * time.Millisecond
	reclaimMax  = 2 * time.Second
)

// longestNap is how long a partition that waits for a time sleeps at most.
const longestNap = time.Minute

// owner runs one partition: it claims it, feeds its core from a mailbox, carries
// the core's effects out, and claims it anew after a failure.
type owner struct {
	e    *Engine
	part int
	log  *slog.Logger

	mu   sync.Mutex
	own  *ownership    // nil while the partition is not claimed
	next chan struct{} // closed when the partition is served again
	lost time.Time     // when the latest ownership ended
	// hold keeps the partition from being claimed; nil: nothing does.
	hold    *hold
	returns func() // called when the partition is owned again after a hold; or nil
}

// ownership is one claim of the partition, from its claim to its end.
type ownership struct {
	Dispatcher
	limiter
	e     *Engine
	part  int
	log   *slog.Logger
	mail  *mailbox
	core  *core
	fence store.Fence   // as it was claimed
	tail  *watch.Tail   // hears of what is durable
	gone  chan struct{} // closed when the ownership has ended
	// claimed is when the partition was claimed; searched is closed when the locks
	// are found that were held before.
	claimed  time.Time
	searched chan struct{}
	// counted is closed when what the store held is counted: until then dead letters
	// stay where they are.
	counted chan struct{}
	marking chan struct{} // holds a token while somebody works with marks that were read
	group   sync.WaitGroup
	// start runs f in a goroutine that ends with the ownership.
	start func(f func(context.Context))

	jobs    *jobs              // reads of records
	rows    *jobs              // reads of schedule and parked rows, and of expired marks
	outbox  *jobs              // publishes
	feeders map[string]*feeder // by log
	// locksIndexed says that all locks that were held before the claim are in the index.
	locksIndexed bool
	failed       error
	timer        clock.Timer
	armed        time.Time
	jumper       clock.Jumper  // the clock, if it is put forward; or nil
	ahead        time.Duration // that the core knows the clock to be
	events       uint64        // that the core has taken
}

// run owns the partition until ctx ends or it is drained.
func (o *owner) run(ctx context.Context, claimed func()) {
	delay := reclaimBase
	for {
		o.heldBack(ctx)
		err := o.once(ctx, func() {
			claimed()
			delay = reclaimBase
		})
		if err == nil || ctx.Err() != nil {
			return
		}
		if errors.Is(err, errHeld) {
			continue
		}
		o.log.Error("partition stopped, claiming it anew", "error", err, "delay", delay)
		if !o.e.wait(ctx, delay) {
			return
		}
		delay = min(2*delay, reclaimMax)
	}
}

// once claims the partition and serves it; nil says that it was drained.
func (o *owner) once(ctx context.Context, claimed func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	own, err := o.claim(ctx, cancel)
	if err != nil {
		return fmt.Errorf("claim partition %d: %w", o.part, err)
	}
	o.serves(own)
	own.tail.Claimed(own.fence)
	claimed()
	own.mail.post(func(c *core, _ time.Time) { own.catchUp(ctx, c) })
	err = own.loop(ctx)
	o.mu.Lock()
	o.own, o.lost = nil, o.e.cfg.Clock.Now()
	o.mu.Unlock()
	own.mail.close()
	own.tail.Lost()
	cancel()
	own.end()
	o.e.limits.Forget(o.part)
	own.core.abandon()
	close(own.gone)
	return err
}

// catchUp takes in what happened to the engine while the partition was claimed
// and could not be told.
func (own *ownership) catchUp(ctx context.Context, c *core) {
	for _, q := range own.e.Queues() {
		if known := c.queues[q.Name]; known != nil && known.Queue == q {
			continue
		}
		if err := own.serveQueue(ctx, q); err != nil {
			own.failed = err
		}
	}
	c.draining = c.draining || own.e.draining.Load()
}

// end stops what the ownership started, and waits for it. Its context has ended.
func (own *ownership) end() {
	if own.timer != nil {
		own.timer.Stop()
	}
	own.group.Wait()
	for _, f := range own.feeders {
		f.close()
	}
}

// current returns the ownership that serves now, or nil.
func (o *owner) current() *ownership {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.own
}

// post tells the core something, and reports false if nobody owns the partition.
func (o *owner) post(ev event) bool {
	own := o.current()
	return own != nil && own.mail.post(ev)
}

// claim raises the epoch and loads what the store holds of the partition.
// cancel ends ctx.
func (o *owner) claim(ctx context.Context, cancel context.CancelFunc) (*ownership, error) {
	e := o.e
	fence, err := e.cfg.Store.Claim(ctx, o.part, 0)
	if err != nil {
		return nil, err
	}
	e.counts.claims.Inc()
	now := e.cfg.Clock.Now()
	led := ledger.New(ledger.Config{Part: o.part, Partitions: e.cfg.Partitions, Node: e.cfg.Node}, fence)
	own := o.newOwnership()
	own.claimed = now
	own.fence, own.tail = fence, e.watches.Tail(o.part)
	own.core = newCore(coreConfig{
		Part: o.part, Partitions: e.cfg.Partitions, Node: e.cfg.Node, Window: e.cfg.Window,
		Repeats: repeats(e.cfg.Broker), Seed: uint64(now.UnixNano()),
	}, own, led, now, e.counts)
	if own.jumper, _ = e.cfg.Clock.(clock.Jumper); own.jumper != nil {
		_, own.ahead = own.jumper.NowAhead()
	}
	own.start = func(f func(context.Context)) { own.group.Go(func() { f(ctx) }) }
	for _, j := range []*jobs{own.jobs, own.rows, own.outbox} {
		own.start(func(ctx context.Context) { j.run(ctx, own.fail) })
	}
	if err := own.restore(ctx, now); err != nil {
		cancel()
		own.end()
		return nil, err
	}
	return own, nil
}

// newOwnership returns one that has no core and was not started.
func (o *owner) newOwnership() *ownership {
	return &ownership{
		Dispatcher: o.e.cfg.Dispatch,
		limiter:    o.e.limits,
		e:          o.e,
		part:       o.part,
		log:        o.log,
		mail:       newMailbox(),
		gone:       make(chan struct{}),
		searched:   make(chan struct{}),
		counted:    make(chan struct{}),
		marking:    make(chan struct{}, 1),
		jobs:       newJobs(),
		rows:       newJobs(),
		outbox:     newJobs(),
		feeders:    make(map[string]*feeder),
	}
}

// loop feeds the core until ctx ends, the partition is drained or something
// failed.
func (own *ownership) loop(ctx context.Context) error {
	var events []event
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-own.mail.wake:
		}
		events = own.mail.take(events)
		now := own.now()
		for _, ev := range events {
			own.events++
			ev(own.core, now)
			if own.failed != nil {
				return own.failed
			}
		}
		own.core.turn(now, func(b store.Batch) { own.commit(now, b) })
		if own.core.draining && len(own.core.leases)+own.core.deciding() == 0 && !own.core.waitsForCommit() {
			return nil
		}
		own.arm(now)
	}
}

// commit hands in a batch that was sealed now.
func (own *ownership) commit(now time.Time, b store.Batch) {
	own.e.committer.submit(b, func(err error) {
		own.mail.post(func(c *core, later time.Time) {
			if err != nil {
				own.failed = fmt.Errorf("commit: %w", err)
				return
			}
			own.e.counts.commit.Observe(later.Sub(now).Seconds())
			own.tail.Durable(&b) // before anybody hears of what it did
			c.committed(later)
		})
	})
}

// arm makes the loop wake up for the core's next alarm, and at least every
// longestNap while there is one, because the wall clock may jump.
func (own *ownership) arm(now time.Time) {
	at := own.core.nextAlarm(now)
	if at.IsZero() || at.Equal(own.armed) && own.timer != nil {
		return
	}
	if own.timer != nil {
		own.timer.Stop()
	}
	own.armed = at
	nap := min(max(at.Sub(now), time.Millisecond), longestNap)
	own.timer = own.e.cfg.Clock.AfterFunc(nap, func() {
		own.mail.post(func(*core, time.Time) { own.armed = time.Time{} })
	})
}

// fail ends the ownership: memory can not be trusted any more.
func (own *ownership) fail(err error) {
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	own.mail.post(func(*core, time.Time) { own.failed = err })
}

// Settle implements env.
func (own *ownership) Settle(log string, positions []broker.Position) {
	f := own.feeders[log]
	if f == nil {
		return
	}
	// Settle does not wait, so there is nothing to cancel.
	if err := f.reader.Settle(context.Background(), positions...); err != nil {
		own.fail(fmt.Errorf("settle tasks of queue %s: %w", f.queue, err))
	}
}

// Hurry implements env.
func (own *ownership) Hurry() {
	if h, ok := own.e.cfg.Store.(store.Hurrier); ok {
		h.Hurry()
	}
}

// Credit implements env.
func (own *ownership) Credit(log string, tasks, bytes int) {
	if f := own.feeders[log]; f != nil {
		f.credit(tasks, bytes)
	}
}

// Tell implements env.
func (own *ownership) Tell(m txn.Message) bool {
	if told := own.e.cfg.Told; told != nil {
		told(m)
	}
	return own.e.owners[m.To].post(func(c *core, now time.Time) { c.hear(now, m) })
}

// Publish implements env.
func (own *ownership) Publish(rows []*store.Outbox) {
	own.outbox.add(func(ctx context.Context) error { return own.publish(ctx, rows) })
}

// LookUp implements env.
func (own *ownership) LookUp(log string, upTo broker.Position) (begun uint64) {
	if f := own.feeders[log]; f != nil {
		return f.lookUp(upTo)
	}
	return 0
}

// serveQueue adds a queue, or changes its settings.
func (own *ownership) serveQueue(ctx context.Context, q task.Queue) error {
	own.core.configure(q)
	for _, b := range own.core.queues[q.Name].bands {
		if own.feeders[b.log] != nil {
			continue
		}
		reader, err := own.e.cfg.Broker.Open(ctx, b.log, own.part, own.core.led.Epoch())
		if err != nil {
			return fmt.Errorf("open queue %s: %w", q.Name, err)
		}
		f := newFeeder(own, q.Name, b, reader)
		own.feeders[b.log] = f
		own.start(f.run)
	}
	return nil
}
