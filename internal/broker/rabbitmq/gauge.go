package rabbitmq

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// gauge estimates a queue's backlog. The server counts messages, which are packs of
// tasks; what is in them this process knows of what it published and settled. What
// the server has more or less than that was done by somebody else and counts as
// messages of the mean size, except for what it may miss because it is on its way to
// a reader of this process.
type gauge struct {
	mu       sync.Mutex
	own      volume  // known at the start, and published and settled here since
	others   int64   // messages that the server has beyond own, when it was last asked
	mean     float64 // tasks of a message, by those that were published here
	meanSize float64 // bytes of a message
	empty    empty
	busy     atomic.Bool
}

// volume is what a queue holds.
type volume struct {
	Messages int64 `json:"messages"`
	Tasks    int64 `json:"tasks"`
	Bytes    int64 `json:"bytes"`
}

// empty is when the server had nothing, and nothing has changed here since.
type empty struct {
	messages int64
	at       time.Time
}

// emptyFor is how long a queue is to be empty until what was miscounted is dropped:
// longer than a message is on its way.
const emptyFor = time.Second

// start sets what was known of the queue when it was used last.
func (g *gauge) start(known volume) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.own, g.mean, g.meanSize = known, 1, 0
	if known.Messages > 0 {
		g.mean = max(1, float64(known.Tasks)/float64(known.Messages))
		g.meanSize = float64(known.Bytes) / float64(known.Messages)
	}
}

// admit takes one task in where the limits allow it; a limit of 0 is none.
func (g *gauge) admit(size, maxTasks, maxBytes int64, owed bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if tasks, bytes := g.total(); !owed && (maxTasks > 0 && tasks+1 > maxTasks || maxBytes > 0 && bytes+size > maxBytes) {
		return false
	}
	g.own.Tasks++
	g.own.Bytes += size
	return true
}

// post says that tasks that were admitted go into one message.
func (g *gauge) post(tasks, size int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.own.Messages++
	const weight = 1.0 / 64
	if g.meanSize == 0 {
		g.mean, g.meanSize = float64(tasks), float64(size)
	}
	g.mean += (float64(tasks) - g.mean) * weight
	g.meanSize += (float64(size) - g.meanSize) * weight
}

// leave takes out what was settled, or was not taken after all.
func (g *gauge) leave(messages, tasks, bytes int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.own.Messages -= messages
	g.own.Tasks -= tasks
	g.own.Bytes -= bytes
}

// correct takes a count over that began when the messages were as given; up to
// coming messages more may be on their way to a reader.
func (g *gauge) correct(counted, coming, messages int64, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.others = counted - messages; g.others < 0 {
		g.others = min(0, g.others+coming)
	}
	switch {
	case counted > 0 || g.own.Messages != messages:
		g.empty = empty{}
	case g.empty.at.IsZero() || g.empty.messages != messages:
		g.empty = empty{messages: messages, at: now}
	case now.Sub(g.empty.at) >= emptyFor:
		g.own, g.others, g.empty = volume{}, 0, empty{}
	}
}

// mark returns the messages as they are known here.
func (g *gauge) mark() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.own.Messages
}

// total estimates what the queue holds; mu is held.
func (g *gauge) total() (tasks, bytes int64) {
	if g.others != 0 && g.own.Messages+g.others <= 0 {
		return 0, 0
	}
	tasks = g.own.Tasks + int64(float64(g.others)*g.mean)
	bytes = g.own.Bytes + int64(float64(g.others)*g.meanSize)
	return max(0, tasks), max(0, bytes)
}

func (g *gauge) read() (tasks, bytes int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.total()
}

// known is what a later process is to begin with.
func (g *gauge) known() volume {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.own
}

// count asks the server for the backlog of a queue.
func (b *Broker) count(ctx context.Context, q *queue) error {
	mark := q.gauge.mark()
	var total, coming atomic.Int64
	var elsewhere atomic.Bool
	err := b.eachLog(ctx, "count backlog of queue "+q.name, q.logs, func(ch *amqp.Channel, l *log) error {
		state, err := ch.QueueDeclarePassive(l.name, true, false, false, false, nil)
		if err != nil {
			return err
		}
		held, more, here := l.held()
		total.Add(int64(state.Messages) + held)
		coming.Add(more)
		if !here && !b.cfg.Alone {
			elsewhere.Store(true)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if elsewhere.Load() {
		// What is missing may as well have been taken there.
		coming.Store(0)
	}
	q.gauge.correct(total.Load(), coming.Load(), mark, time.Now())
	return nil
}

// held is how many messages a reader of this process was given and has not settled,
// and how many more may be on their way to it; here says that there is a reader.
func (l *log) held() (held, coming int64, here bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reader == nil {
		return 0, 0, false
	}
	held, coming = l.reader.held()
	return held, coming, true
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
			err := b.recount(ctx, q)
			if err == nil {
				continue
			}
			q.gauge.busy.Store(true)
			if ctx.Err() == nil && b.disconnected() == nil {
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
