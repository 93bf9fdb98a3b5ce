package partition

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/clock"
	"github.com/fenfa/fenfa/internal/limit"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
	"github.com/fenfa/fenfa/internal/txn"
	"github.com/fenfa/fenfa/internal/watch"
)

// Config is what an Engine needs.
type Config struct {
	Partitions int // default task.DefaultPartitions
	Broker     broker.Broker
	Store      store.Store
	Dispatch   Dispatcher
	Clock      clock.Clock // default clock.System
	Logger     *slog.Logger
	Node       string
	Registerer prometheus.Registerer
	// Watches is how many watches may be open at a time; default watch.DefaultWatches.
	Watches int
	// Waits is how many tasks may be waited for at a time; default DefaultWaits.
	Waits int
	// Window is what is held in memory of one queue in one partition; default 4096
	// tasks and 4 MiB.
	Window broker.Limit
	// Configured is called with the settings of each queue at the start, and whenever
	// they have changed. It does not block. Nil: nobody wants to know.
	Configured func(task.Queue)
	// Told is called before a message of a transaction goes from one partition to
	// another, where tests end the process. Nil: nobody asks.
	Told func(txn.Message)
	// Moved is called after each step of a move to another shard, where tests end the
	// process. Nil: nobody asks.
	Moved func(store.MoveStep)
	// Shares tells what part of queues' limits this node has; default limit.Whole.
	Shares limit.Shares
}

// Engine runs the partitions of a node and keeps the settings of its queues. All
// methods may be called concurrently.
type Engine struct {
	cfg       Config
	counts    *counters
	committer *committer
	owners    []*owner
	watches   *watch.Hub
	audits    *audits
	moves     *moves
	limits    *limit.Limiter
	group     sync.WaitGroup
	starting  sync.Mutex // guards stop
	stop      context.CancelFunc
	hlc       atomic.Uint64
	runs      atomic.Uint32 // of tasks without a key
	dedupes   bool          // the broker recognizes repeated submits
	alone     bool          // no other node can submit
	run       uint64        // tells this engine from those before it and beside it
	draining  atomic.Bool
	waits     atomic.Int64 // tasks that AwaitTasks waits for

	configuring sync.Mutex // held while settings change
	queues      atomic.Pointer[map[string]*registered]
}

// New returns an engine that is not started.
func New(cfg Config) (*Engine, error) {
	if cfg.Broker == nil || cfg.Store == nil || cfg.Dispatch == nil {
		return nil, errors.New("partition engine: broker, store and dispatch are needed")
	}
	if cfg.Partitions == 0 {
		cfg.Partitions = task.DefaultPartitions
	}
	if cfg.Partitions < 1 || cfg.Partitions > 4096 {
		return nil, fmt.Errorf("partition engine: %d partitions: want 1 to 4096", cfg.Partitions)
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Registerer == nil {
		cfg.Registerer = prometheus.NewRegistry()
	}
	if cfg.Waits == 0 {
		cfg.Waits = DefaultWaits
	}
	if cfg.Window == (broker.Limit{}) {
		cfg.Window = broker.Limit{Tasks: 4096, Bytes: 4 << 20}
	}
	hub, err := watch.NewHub(watch.Config{
		Partitions: cfg.Partitions, Store: cfg.Store, Clock: cfg.Clock, Registerer: cfg.Registerer, Watches: cfg.Watches,
	})
	if err != nil {
		return nil, fmt.Errorf("partition engine: %w", err)
	}
	e := &Engine{
		cfg: cfg, counts: newCounters(cfg.Registerer), dedupes: canRecognize(cfg.Broker), committer: newCommitter(cfg.Store), watches: hub,
		audits: newAudits(cfg.Registerer),
	}
	e.moves = newMoves(e)
	e.alone, e.run = !cfg.Broker.Capabilities().SeveralNodes, uint64(e.stamp())
	if e.limits, err = limit.New(limit.Config{Clock: cfg.Clock, Wake: e.permitted, Shares: cfg.Shares, Registerer: cfg.Registerer}); err != nil {
		return nil, fmt.Errorf("partition engine: %w", err)
	}
	e.counts.sagas.clock = cfg.Clock
	e.queues.Store(&map[string]*registered{})
	for part := range cfg.Partitions {
		e.owners = append(e.owners, &owner{e: e, part: part, log: cfg.Logger.With("partition", part), next: make(chan struct{})})
	}
	return e, nil
}

// canRecognize reports whether the broker answers every repeated submit by itself
// and finds tasks by their ID.
func canRecognize(b broker.Broker) bool {
	_, locates := b.(broker.Locator)
	return locates && !repeats(b)
}

// repeats reports whether the broker may deliver one task under two positions.
func repeats(b broker.Broker) bool {
	c := b.Capabilities()
	return c.Repeats || !c.DedupesPublish
}

// Start loads the queues and claims all partitions. It returns when they run; ctx
// bounds the start only. After an error Drain must be called too: partitions that
// were claimed run.
func (e *Engine) Start(ctx context.Context) error {
	if err := e.loadQueues(ctx); err != nil {
		return err
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	e.starting.Lock()
	e.stop = stop
	e.starting.Unlock()
	e.group.Go(func() { e.committer.run(run) })
	claimed := make(chan struct{}, len(e.owners))
	for _, o := range e.owners {
		e.group.Go(func() {
			var once sync.Once
			o.run(run, func() { once.Do(func() { claimed <- struct{}{} }) })
		})
	}
	for range e.owners {
		select {
		case <-claimed:
		case <-ctx.Done():
			return fmt.Errorf("claim partitions: %w", ctx.Err())
		}
	}
	return e.moves.resume(ctx, run)
}

// Refuse takes nothing new from now on, as Drain does. Partitions go on otherwise.
func (e *Engine) Refuse() { e.draining.Store(true) }

// Drain stops taking submits and handing out tasks, lets leases finish until ctx
// ends, and stops. What is not finished then is handed out again by the next
// owner.
func (e *Engine) Drain(ctx context.Context) error {
	e.starting.Lock()
	stop := e.stop
	e.starting.Unlock()
	if stop == nil {
		return nil
	}
	e.Refuse()
	defer e.watches.Close()
	var drained []*ownership
	for _, o := range e.owners {
		if own := o.current(); own != nil && own.mail.post(drainCore) {
			drained = append(drained, own)
		}
	}
	for _, own := range drained {
		select {
		case <-own.gone:
		case <-ctx.Done():
		}
	}
	e.moves.close()
	e.limits.Close()
	stop()
	e.group.Wait()
	return nil
}

// Problems says why the node is not ready; none: it is.
func (e *Engine) Problems() []string {
	var problems []string
	if e.draining.Load() {
		problems = append(problems, "the node is draining")
	}
	for _, o := range e.owners {
		if o.current() == nil {
			problems = append(problems, fmt.Sprintf("partition %d is not owned", o.part))
		}
	}
	return problems
}

// Outcomes takes what a worker says of tasks [first, first+len(outcomes)) of a
// lease. The answer goes to the dispatcher once it is durable.
func (e *Engine) Outcomes(w WorkerRef, ref task.LeaseRef, first int, outcomes []task.Outcome) {
	stale := ref.Partition < 0 || ref.Partition >= len(e.owners)
	if !stale {
		stale = !e.owners[ref.Partition].post(func(c *core, now time.Time) { c.outcomes(now, w, ref, first, outcomes) })
	}
	if stale {
		e.cfg.Dispatch.Answer(w.Session, task.Verdict{LeaseRef: ref, Kind: task.VerdictStale, First: first, Count: len(outcomes)})
	}
}

// Capacity says that a session has room again for tasks of a queue with a
// placement, or with session 0 that all that was refused is to be asked anew.
func (e *Engine) Capacity(part int, queue string, place task.Placement, session uint64) {
	e.owners[part].post(func(c *core, _ time.Time) { c.capacity(queue, place, session) })
}

// permitted says that a permit of a limited queue is held for a partition. One that
// is not served has given up what it has with its end.
func (e *Engine) permitted(part int, queue string) {
	e.owners[part].post(func(c *core, now time.Time) { c.permitted(now, queue) })
}

// WorkerGone says that a worker's session has ended, and its leases with it.
// finished says that the worker had finished all that it began: what it still
// holds was never begun, and its hand-out does not count.
func (e *Engine) WorkerGone(session uint64, finished bool) {
	for _, o := range e.owners {
		o.post(func(c *core, now time.Time) { c.workerGone(now, session, finished) })
	}
}

// wait returns after d, or false as soon as ctx ends.
func (e *Engine) wait(ctx context.Context, d time.Duration) bool {
	passed := make(chan struct{})
	timer := e.cfg.Clock.AfterFunc(d, func() { close(passed) })
	select {
	case <-passed:
		return true
	case <-ctx.Done():
		timer.Stop()
		return false
	}
}

// of returns the owner of a key's partition.
func (e *Engine) of(key string) *owner {
	return e.owners[task.PartitionOf(key, e.cfg.Partitions)]
}
