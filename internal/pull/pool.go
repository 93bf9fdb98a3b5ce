package pull

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenfa/fenfa/internal/clock"
	"github.com/fenfa/fenfa/internal/dispatch"
	"github.com/fenfa/fenfa/internal/task"
)

// Config is what a Pool needs.
type Config struct {
	Workers    *dispatch.Dispatcher
	Engine     Engine
	Clock      clock.Clock           // default: the machine's
	Registerer prometheus.Registerer // default: no metrics
}

// Pool keeps the sessions of workers that pull. Methods may be called
// concurrently.
type Pool struct {
	cfg     Config
	metrics *metrics
	ctx     context.Context //nolint:containedctx // It is the end of the pool.
	stop    context.CancelFunc
	pumps   sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	byWorker map[string]*session
	byKey    map[string]*session
}

// New returns a Pool without sessions.
func New(cfg Config) (*Pool, error) {
	if cfg.Workers == nil || cfg.Engine == nil {
		return nil, errors.New("pull: dispatcher and engine are needed")
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	p := &Pool{cfg: cfg, byWorker: map[string]*session{}, byKey: map[string]*session{}}
	p.metrics = newMetrics(p)
	if cfg.Registerer != nil {
		if err := cfg.Registerer.Register(p.metrics); err != nil {
			return nil, err
		}
	}
	p.ctx, p.stop = context.WithCancel(context.Background())
	return p, nil
}

// Close ends all calls and waits for the goroutines of the sessions. The sessions
// themselves end with the dispatcher.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.stop()
	p.pumps.Wait()
}

// sessionOf finds the session of a worker, or begins one.
func (p *Pool) sessionOf(h dispatch.Hello) (*session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errStopping()
	}
	if s := p.byWorker[h.WorkerID]; s != nil && !s.over() && s.hello.Owner == h.Owner {
		if s.sameAs(h) {
			return s, nil
		}
		if !s.idle() {
			return nil, task.Errorf(task.CodeFailedPrecondition,
				"worker %q has tasks, or waits for some, with other queues, labels, weight, slots, ttl or batch than now: give each kind of worker a worker_id of its own",
				h.WorkerID).WithField("worker_id")
		}
		p.forget(s)
		s.from.Leave()
	}
	from, err := p.cfg.Workers.Register(h)
	if err != nil {
		return nil, err
	}
	s := &session{pool: p, from: from, key: rand.Text(), hello: h, changed: make(chan struct{}), open: map[place]*held{}}
	p.byWorker[h.WorkerID], p.byKey[s.key] = s, s
	p.pumps.Go(func() {
		s.pump(p.ctx)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.forget(s)
	})
	return s, nil
}

// forget takes a session out of those that calls find. The caller holds mu.
func (p *Pool) forget(s *session) {
	delete(p.byKey, s.key)
	if p.byWorker[s.hello.WorkerID] == s {
		delete(p.byWorker, s.hello.WorkerID)
	}
}

// keyed finds a session by its key; nil: it has ended.
func (p *Pool) keyed(key string) *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byKey[key]
}

// after makes a channel that is closed after d, and what stops the timer.
func (p *Pool) after(d time.Duration) (<-chan struct{}, func() bool) {
	passed := make(chan struct{})
	timer := p.cfg.Clock.AfterFunc(d, func() { close(passed) })
	return passed, timer.Stop
}

// sameAs reports whether a call describes its worker as the session does.
func (s *session) sameAs(h dispatch.Hello) bool {
	was := s.hello
	return slices.Equal(was.Queues, h.Queues) && maps.Equal(was.Labels, h.Labels) &&
		was.Weight == h.Weight && was.Slots == h.Slots && was.TTL == h.TTL && was.Batch == h.Batch
}

func errStopping() *task.Error {
	return task.Errorf(task.CodeUnavailable, "this node stops: try again, here or at another one").WithRetryAfter(time.Second)
}
