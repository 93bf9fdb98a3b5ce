package partition

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/spell"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// metaQueue prefixes the names under which settings are kept.
const metaQueue = "queue/"

// registered is a queue as the engine knows it; it is replaced, never changed.
type registered struct {
	settings task.Queue
	version  uint64
	logs     [ranks]string // at the broker
	accepted prometheus.Counter
	repeated prometheus.Counter
	refused  prometheus.Counter
}

func (e *Engine) register(q task.Queue, version uint64) *registered {
	e.counts.paused(q.Name, q.Paused)
	r := &registered{
		settings: q,
		version:  version,
		accepted: e.counts.submitted.WithLabelValues(q.Name, "accepted"),
		repeated: e.counts.submitted.WithLabelValues(q.Name, "duplicate"),
		refused:  e.counts.submitted.WithLabelValues(q.Name, "refused"),
	}
	for i := range ranks {
		r.logs[i] = bandLog(q.Name, i)
	}
	return r
}

// Queue returns the settings of a queue.
func (e *Engine) Queue(name string) (task.Queue, bool) {
	r := (*e.queues.Load())[name]
	if r == nil {
		return task.Queue{}, false
	}
	return r.settings, true
}

// Queues returns the settings of all queues, by name.
func (e *Engine) Queues() []task.Queue {
	all := *e.queues.Load()
	queues := make([]task.Queue, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		queues = append(queues, all[name].settings)
	}
	return queues
}

func (e *Engine) loadQueues(ctx context.Context) error {
	entries, err := e.cfg.Store.Meta().List(ctx, metaQueue)
	if err != nil {
		return fmt.Errorf("load queues: %w", err)
	}
	all := make(map[string]*registered, len(entries))
	for _, entry := range entries {
		q := task.DefaultQueue(strings.TrimPrefix(entry.Name, metaQueue))
		if err := json.Unmarshal(entry.Value, &q); err != nil {
			return fmt.Errorf("load queue %s: %w", entry.Name, err)
		}
		if err := e.declare(ctx, q); err != nil {
			return err
		}
		all[q.Name] = e.register(q, entry.Version)
		e.limits.Configure(&q)
		e.configured(q)
	}
	e.queues.Store(&all)
	return nil
}

// configured tells whoever wants to know what the settings of a queue are.
func (e *Engine) configured(q task.Queue) {
	if e.cfg.Configured != nil {
		e.cfg.Configured(q)
	}
}

func (e *Engine) declare(ctx context.Context, q task.Queue) error {
	for _, log := range logs(&q) {
		err := e.cfg.Broker.Declare(ctx, broker.Declaration{
			Queue: log, Partitions: e.cfg.Partitions, MaxTasks: q.MaxBacklogTasks, MaxBytes: q.MaxBacklogBytes, DedupeWindow: q.DedupeWindow,
		})
		if err != nil {
			return fmt.Errorf("declare queue %s: %w", q.Name, err)
		}
	}
	return nil
}

// ConfigureQueue creates a queue or changes its settings; zero fields stay as
// they are. It returns the settings as they are now, in force on all partitions.
func (e *Engine) ConfigureQueue(ctx context.Context, change task.Queue) (now task.Queue, created bool, err error) {
	if err := task.ValidateQueueName(change.Name); err != nil {
		return task.Queue{}, false, err
	}
	return e.changeQueue(ctx, change.Name, func(q *task.Queue, created bool) error {
		if !created && change.Order != "" && change.Order != q.Order {
			return task.Errorf(task.CodeFailedPrecondition,
				"the order of queue %q is %s and cannot be changed while it exists: create another queue", q.Name, q.Order).WithField("order")
		}
		q.Merge(change)
		return q.Validate()
	})
}

// changeQueue changes the settings of a queue, or of a new one the defaults.
func (e *Engine) changeQueue(ctx context.Context, name string, change func(q *task.Queue, created bool) error) (now task.Queue, created bool, err error) {
	e.configuring.Lock()
	defer e.configuring.Unlock()
	// What is stored counts: an earlier change may have been stored and have failed
	// afterwards, or have been made by another node.
	q := task.DefaultQueue(name)
	stored, version, err := e.cfg.Store.Meta().Get(ctx, metaQueue+name)
	if err != nil {
		return task.Queue{}, false, fmt.Errorf("read queue %s: %w", name, err)
	}
	created = version == 0
	if !created {
		if err := json.Unmarshal(stored, &q); err != nil {
			return task.Queue{}, false, fmt.Errorf("read queue %s: %w", name, err)
		}
	}
	if err := change(&q, created); err != nil {
		return task.Queue{}, false, err
	}
	value, err := json.Marshal(q)
	if err != nil {
		return task.Queue{}, false, fmt.Errorf("encode queue %s: %w", q.Name, err)
	}
	// The broker first: a node does not start with a queue that its broker refuses.
	if err := e.declare(ctx, q); err != nil {
		return task.Queue{}, false, err
	}
	if version, err = e.cfg.Store.Meta().Put(ctx, metaQueue+q.Name, value, version); err != nil {
		if errors.Is(err, store.ErrVersion) {
			return task.Queue{}, false, task.Errorf(task.CodeConflict, "queue %q was changed by another node: try again", q.Name)
		}
		return task.Queue{}, false, fmt.Errorf("store queue %s: %w", q.Name, err)
	}
	e.replace(q, version)
	e.limits.Configure(&q)
	e.configured(q)
	for _, o := range e.owners {
		_, err := ask(ctx, o, func(_ *core, _ time.Time, answer func(struct{})) {
			o.applySettings(context.WithoutCancel(ctx), q)
			answer(struct{}{})
		})
		// A partition that is not served reads the settings when it is claimed.
		if err != nil && (ctx.Err() != nil || task.CodeOf(err) != task.CodeUnavailable) {
			return task.Queue{}, false, err
		}
	}
	return q, created, nil
}

// replace makes settings those that the engine knows.
func (e *Engine) replace(q task.Queue, version uint64) {
	next := maps.Clone(*e.queues.Load())
	next[q.Name] = e.register(q, version)
	e.queues.Store(&next)
}

// PauseQueue keeps the tasks of a queue from being handed out, or with false hands
// them out again. It returns the settings as they are now, in force on all
// partitions.
func (e *Engine) PauseQueue(ctx context.Context, name string, paused bool) (task.Queue, error) {
	if _, ok := e.Queue(name); !ok {
		return task.Queue{}, e.unknownQueue(name)
	}
	now, _, err := e.changeQueue(ctx, name, func(q *task.Queue, _ bool) error {
		q.Paused = paused
		return nil
	})
	return now, err
}

// applySettings runs in the goroutine of the partition's core.
func (o *owner) applySettings(ctx context.Context, q task.Queue) {
	if own := o.current(); own != nil {
		if err := own.serveQueue(ctx, q); err != nil {
			own.failed = err
		}
	}
}

// unknownQueue says that a queue does not exist.
func (e *Engine) unknownQueue(name string) error { return UnknownQueue(name, e.Queues()) }

// UnknownQueue says that a queue is not among those there are, and which one may
// have been meant.
func UnknownQueue(name string, queues []task.Queue) *task.Error {
	names := make([]string, len(queues))
	for i := range queues {
		names[i] = queues[i].Name
	}
	hint := fmt.Sprintf("create it with `fenfa queue set %s`", name)
	if near, ok := spell.Nearest(name, names); ok {
		hint = fmt.Sprintf("did you mean %q? Else %s", near, hint)
	}
	return task.Errorf(task.CodeNotFound, "there is no queue %q: %s", name, hint).WithField("queue")
}

// QueueStats counts what a queue holds and did, over all partitions.
func (e *Engine) QueueStats(ctx context.Context, name string) (QueueStats, error) {
	if _, ok := e.Queue(name); !ok {
		return QueueStats{}, e.unknownQueue(name)
	}
	var sum QueueStats
	for _, o := range e.owners {
		s, err := look(ctx, o, func(c *core, _ time.Time, answer func(QueueStats)) { answer(c.stats(name)) })
		if err != nil {
			return QueueStats{}, err
		}
		sum.add(s)
	}
	backlog, err := e.backlog(ctx, name)
	if err != nil {
		return QueueStats{}, err
	}
	sum.BacklogTasks, sum.BacklogBytes, sum.Oldest = backlog.Tasks, backlog.Bytes, backlog.Oldest
	sum.LimitedBy = e.limits.Binding(name)
	sum.StartP50, sum.StartP99 = e.counts.startLatency(name).quantiles(e.cfg.Clock.Now())
	return sum, nil
}

func (s *QueueStats) add(o QueueStats) {
	s.Scheduled += o.Scheduled
	s.Parked += o.Parked
	s.Ready += o.Ready
	s.Running += o.Running
	s.BlockedLanes += o.BlockedLanes
	s.HaltedLanes += o.HaltedLanes
	s.Dead += o.Dead
	s.DoneTotal += o.DoneTotal
	s.FailedTotal += o.FailedTotal
	s.DeadTotal += o.DeadTotal
	s.CancelledTotal += o.CancelledTotal
}
