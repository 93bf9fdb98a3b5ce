package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/child"
)

// queue is the queue of all benchmarks.
const queue = "bench"

// stopPatience is how long the node may take to drain at the end.
const stopPatience = 10 * time.Second

// rig is a node process with a client, and where wanted workers, in this process.
type rig struct {
	cfg    Config
	node   *child.Node
	client *fenfa.Client
	fsync  bool
	epoch  time.Time // submits are stamped with the time since then

	workers *errgroup.Group
	stop    context.CancelFunc

	started *latencies
	handled atomic.Int64 // tasks that handlers returned from

	counting sync.Mutex
	spent    map[int]time.Duration // CPU time of worker processes, by process
}

// newRig starts the node and configures the queue.
func newRig(ctx context.Context, cfg Config, q fenfa.Queue) (r *rig, err error) {
	dir := cfg.Dir
	r = &rig{cfg: cfg, epoch: time.Now(), started: newLatencies()}
	if r.node, err = child.NewNode(child.NodeConfig{Path: cfg.Binary, Dir: dir, Env: append(append(cfg.brokerEnv(), cfg.storeEnv()...), cfg.hookEnv()...)}); err != nil {
		return nil, err
	}
	if err := r.node.Start(); err != nil {
		return nil, err
	}
	if err := r.connect(ctx, q); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (r *rig) connect(ctx context.Context, q fenfa.Queue) error {
	if err := r.node.Ready(ctx); err != nil {
		return err
	}
	var err error
	if r.client, err = fenfa.Dial(r.node.Addr(), fenfa.WithSubmitTimeout(5*time.Minute)); err != nil {
		return fmt.Errorf("dial node: %w", err)
	}
	health, err := r.client.Health(ctx)
	if err != nil {
		return fmt.Errorf("ask node: %w", err)
	}
	r.fsync = health.Durability == "fsync" || health.Durability == "quorum"
	q.Name = queue
	if _, _, err := r.client.ConfigureQueue(ctx, q); err != nil {
		return fmt.Errorf("configure queue: %w", err)
	}
	return nil
}

// close ends workers, client and node, in this order.
func (r *rig) close() error {
	var err error
	if r.workers != nil {
		r.stop()
		err = r.workers.Wait()
	}
	if r.client != nil {
		err = errors.Join(err, r.client.Close())
	}
	return errors.Join(err, r.node.Stop(stopPatience))
}

// work starts the workers, with a handler for the queue's tasks, and waits until
// all of them are connected.
func (r *rig) work(ctx context.Context, handler fenfa.HandlerFunc) error {
	ctx, r.stop = context.WithCancel(ctx)
	r.workers = &errgroup.Group{}
	connected := make(chan struct{}, r.cfg.Workers)
	for n := range r.cfg.Workers {
		worker := r.client.Worker(
			fenfa.WorkerID(fmt.Sprintf("bench-%d", n+1)), fenfa.Concurrency(r.cfg.Concurrency), fenfa.OnEvent(func(e fenfa.Event) {
				if e.Kind == fenfa.EventConnected {
					select {
					case connected <- struct{}{}:
					default:
					}
				}
			}))
		worker.Handle(queue, handler)
		r.workers.Go(func() error { return worker.Run(ctx) })
	}
	for range r.cfg.Workers {
		select {
		case <-connected:
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(30 * time.Second):
			return errors.New("the workers did not connect within 30 s")
		}
	}
	return nil
}

// note is a handler that only notes that it started.
func (r *rig) note(_ context.Context, t *fenfa.Task) error {
	at, n := stamped(t.Payload())
	r.started.record(n, r.now()-at, 1)
	r.handled.Add(1)
	return nil
}

// now is the time since the rig was made, by the monotonic clock.
func (r *rig) now() time.Duration { return time.Since(r.epoch) }

// drained waits until the node has finished as many tasks: handlers have returned
// and the outcomes are durable.
func (r *rig) drained(ctx context.Context, tasks int64) error {
	const poll = 2 * time.Millisecond
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		if r.handled.Load() >= tasks {
			s, err := r.stats(ctx)
			if err != nil {
				return err
			}
			if s.BacklogTasks+s.Parked+s.Scheduled+s.Running == 0 {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// stats are the queue's. The list of queues costs the node less than to describe
// one, which also tells what its tasks wait for.
func (r *rig) stats(ctx context.Context) (fenfa.QueueStats, error) {
	queues, err := r.client.Queues(ctx)
	if err != nil {
		return fenfa.QueueStats{}, fmt.Errorf("list queues: %w", err)
	}
	for i := range queues {
		if queues[i].Name == queue {
			return queues[i].Stats, nil
		}
	}
	return fenfa.QueueStats{}, fmt.Errorf("the node has no queue %q", queue)
}

// usage is the CPU time of this process, the node and the worker processes
// together, and the node's most memory. A worker process that has ended counts with
// what it had used at the last look.
func (r *rig) usage() (cpu time.Duration, node child.Usage, err error) {
	own, err := child.UsageOf(os.Getpid())
	if err != nil {
		return 0, node, err
	}
	if node, err = child.UsageOf(r.node.PID()); err != nil {
		return 0, node, err
	}
	cpu = own.CPU + node.CPU
	r.counting.Lock()
	defer r.counting.Unlock()
	for pid, before := range r.spent {
		if u, err := child.UsageOf(pid); err == nil {
			r.spent[pid] = max(before, u.CPU)
		}
		cpu += r.spent[pid]
	}
	return cpu, node, nil
}

// measured runs a part of a benchmark, and fills in what it took. tasks is known
// when the part is over.
func (r *rig) measured(result *Result, part func() (tasks int64, err error)) error {
	before, _, err := r.usage()
	if err != nil {
		return err
	}
	began := time.Now()
	tasks, err := part()
	if err != nil {
		return err
	}
	seconds := time.Since(began).Seconds()
	after, node, err := r.usage()
	if err != nil {
		return err
	}
	result.Tasks, result.Seconds, result.PerS = int(tasks), seconds, float64(tasks)/seconds
	result.CPUPer100k = (after - before).Seconds() / float64(max(tasks, 1)) * 100_000
	result.PeakRSSMiB = mib(node.PeakRSS)
	result.FSync = r.fsync
	return nil
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }
