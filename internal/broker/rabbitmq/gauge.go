package rabbitmq

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// gauge estimates a queue's backlog: the last count, and what this process
// published and settled since. With one process it is exact while nothing is on
// its way; with several it is off by what the others do between two counts.
type gauge struct {
	mu     sync.Mutex
	tasks  int64
	bytes  int64
	mean   float64 // size of a message, by those that were published here
	counts int64   // changes of tasks by this process, ever
	busy   atomic.Bool
}

// admit takes one message in where the limits allow it; a limit of 0 is none.
func (g *gauge) admit(size, maxTasks, maxBytes int64, owed bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !owed && (maxTasks > 0 && g.tasks+1 > maxTasks || maxBytes > 0 && g.bytes+size > maxBytes) {
		return false
	}
	if g.mean == 0 {
		g.mean = float64(size)
	}
	const weight = 1.0 / 64
	g.mean += (float64(size) - g.mean) * weight
	g.change(1, size)
	return true
}

// leave takes messages out: they were settled, or not taken after all.
func (g *gauge) leave(tasks, bytes int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.change(-tasks, -bytes)
}

func (g *gauge) change(tasks, bytes int64) {
	g.tasks += tasks
	g.bytes += bytes
	g.counts += tasks
}

// correct takes a count over that began when counts was as given.
func (g *gauge) correct(counted, counts int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := max(0, counted+g.counts-counts)
	g.bytes += int64(float64(now-g.tasks) * g.mean)
	g.tasks = now
	if now == 0 || g.bytes < 0 {
		g.bytes = 0
	}
}

func (g *gauge) mark() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.counts
}

func (g *gauge) read() (tasks, bytes int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return max(0, g.tasks), max(0, g.bytes)
}

// count asks the server for the backlog of a queue.
func (b *Broker) count(ctx context.Context, q *queue) error {
	mark := q.gauge.mark()
	var total atomic.Int64
	err := b.eachLog(ctx, "count backlog of queue "+q.name, q.logs, func(ch *amqp.Channel, l *log) error {
		state, err := ch.QueueDeclarePassive(l.name, true, false, false, false, nil)
		total.Add(int64(state.Messages) + l.held())
		return err
	})
	if err != nil {
		return err
	}
	q.gauge.correct(total.Load(), mark)
	return nil
}

// held is what a reader of this process was given and has not settled.
func (l *log) held() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reader == nil {
		return 0
	}
	return l.reader.held()
}

// refresh counts queues with limits anew while there are publishes, so that what
// other processes do is not missed for long.
func (b *Broker) refresh(ctx context.Context) {
	for pause(ctx, b.cfg.Refresh) {
		for _, q := range *b.queues.Load() {
			limits := q.limits.Load()
			if limits.MaxTasks <= 0 && limits.MaxBytes <= 0 || !q.gauge.busy.Swap(false) {
				continue
			}
			if err := b.recount(ctx, q); err != nil && ctx.Err() == nil {
				b.cfg.Logger.Warn("backlog was not counted", "queue", q.name, "error", err)
			}
		}
	}
}

func (b *Broker) recount(ctx context.Context, q *queue) error {
	ctx, cancel := context.WithTimeout(ctx, min(b.cfg.Timeout, 10*time.Second))
	defer cancel()
	return b.count(ctx, q)
}
