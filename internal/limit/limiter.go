package limit

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenfa/fenfa/internal/clock"
	"github.com/fenfa/fenfa/internal/task"
)

// Shares tells what part of a queue's limits this node has, so that all nodes
// together keep them.
type Shares interface {
	// Share returns the node's own part of what the settings allow. Where they set a
	// limit and the part is nothing, the node starts nothing. It does not block.
	Share(settings *task.Queue) (concurrency int, rate task.Rate)
}

// Whole are the shares of a node that works alone.
type Whole struct{}

// Share implements Shares.
func (Whole) Share(settings *task.Queue) (concurrency int, rate task.Rate) {
	return settings.Concurrency, settings.Rate
}

// Config is what a Limiter needs.
type Config struct {
	Clock clock.Clock // default: the machine's
	// Wake says that a permit of the queue is held for a partition that found none
	// before: it is to Take or Decline it. It must not block.
	Wake   func(part int, queue string)
	Shares Shares // default Whole
	// Registerer is where metrics go; default: nowhere.
	Registerer prometheus.Registerer
}

// Limiter gives permits to start tasks.
type Limiter struct {
	cfg   Config
	waits *prometheus.CounterVec

	mu     sync.Mutex
	queues map[string]*queue // those that have limits
	closed bool
}

// New returns a Limiter without any limits.
func New(cfg Config) (*Limiter, error) {
	if cfg.Wake == nil {
		return nil, errors.New("limiter: nobody can be woken: set Wake")
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	if cfg.Shares == nil {
		cfg.Shares = Whole{}
	}
	if cfg.Registerer == nil {
		cfg.Registerer = prometheus.NewRegistry()
	}
	return &Limiter{cfg: cfg, waits: newWaits(cfg.Registerer), queues: make(map[string]*queue)}, nil
}

// Configure takes over a queue's limits, or that it has none. They hold from now
// on; who waits and may go on is woken.
func (l *Limiter) Configure(settings *task.Queue) {
	l.change(settings.Name, func(q *queue, now time.Time) *queue {
		if !settings.Limited() {
			q.stop()
			delete(l.queues, settings.Name)
			return nil
		}
		if q == nil {
			q = &queue{
				l: l, name: settings.Name, parts: make(map[int]*part),
				waits: [2]prometheus.Counter{l.waits.WithLabelValues(settings.Name, byConcurrency), l.waits.WithLabelValues(settings.Name, byRate)},
			}
			l.queues[q.name] = q
		}
		q.configure(now, settings)
		return q
	})
}

// Take asks for permits to start up to want tasks of a queue, and returns how many
// it got. With 0 the partition stands in line from now on, and is woken as soon as
// a permit is held for it. together: they run one after another, as one. Queues
// without limits give all that is wanted.
func (l *Limiter) Take(part int, name string, want int, together bool) int {
	got := want
	l.change(name, func(q *queue, _ time.Time) *queue {
		if q != nil {
			got = q.take(part, want, together)
		}
		return q
	})
	return got
}

// More asks for permits to start up to want tasks beside one for which a permit was
// taken just now. It never puts the partition into the line, and gives nothing while
// others stand there. together: they run after that one, as one with it.
func (l *Limiter) More(part int, name string, want int, together bool) int {
	got := want
	l.change(name, func(q *queue, _ time.Time) *queue {
		if q != nil {
			got = q.more(part, want, together)
		}
		return q
	})
	return got
}

// Give gives back what a partition took: running of its tasks have ended, or did
// not start, and that many tokens were not used.
func (l *Limiter) Give(part int, name string, running, tokens int) {
	l.change(name, func(q *queue, _ time.Time) *queue {
		if q != nil {
			q.give(part, running, tokens)
		}
		return q
	})
}

// Decline gives back the permit that is held for a partition which has no use for
// it now, and takes it out of the line.
func (l *Limiter) Decline(part int, name string) {
	l.change(name, func(q *queue, _ time.Time) *queue {
		if q != nil {
			q.decline(part)
		}
		return q
	})
}

// Count says how many tasks of the queue a partition has running, for one that took
// no permits for them because the queue had no limits.
func (l *Limiter) Count(part int, name string, running int) {
	l.change(name, func(q *queue, _ time.Time) *queue {
		if q != nil {
			p := q.partOf(part)
			q.running += running - p.running
			p.running = running
		}
		return q
	})
}

// Binding returns the limit for which partitions wait now, "concurrency" or "rate";
// empty: none waits.
func (l *Limiter) Binding(name string) (limit string) {
	l.change(name, func(q *queue, _ time.Time) *queue {
		switch {
		case q == nil || len(q.line) == 0:
		case q.full():
			limit = byConcurrency
		default:
			limit = byRate
		}
		return q
	})
	return limit
}

// Next is when somebody who waits for a rate may go on; zero: nobody does.
func (l *Limiter) Next() (at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, q := range l.queues {
		if q.timer != nil && (at.IsZero() || q.due.Before(at)) {
			at = q.due
		}
	}
	return at
}

// Forget drops everything that a partition has or waits for: it is not served any
// more.
func (l *Limiter) Forget(part int) {
	l.mu.Lock()
	names := slices.Sorted(maps.Keys(l.queues))
	l.mu.Unlock()
	for _, name := range names {
		l.change(name, func(q *queue, _ time.Time) *queue {
			if q != nil {
				q.decline(part)
				q.give(part, q.partOf(part).running, 0)
				delete(q.parts, part)
			}
			return q
		})
	}
}

// Close stops all timers. Nobody is woken any more.
func (l *Limiter) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, q := range l.queues {
		q.stop()
	}
}

// change applies f to a queue, nil where it has no limits, and lets those go on who
// may then. f returns the queue as it is now.
func (l *Limiter) change(name string, f func(q *queue, now time.Time) *queue) {
	var woken []int
	l.mu.Lock()
	q := l.queues[name]
	now := l.cfg.Clock.Now()
	if q != nil {
		q.tokens.fill(now)
	}
	if q = f(q, now); q != nil && !l.closed {
		woken = q.dispense()
	}
	l.mu.Unlock()
	for _, part := range woken {
		l.cfg.Wake(part, name)
	}
}
