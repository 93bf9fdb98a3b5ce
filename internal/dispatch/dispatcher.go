package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenfa/fenfa/internal/clock"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

// Engine is what dispatch calls. No method may block for long or call back into
// the Dispatcher before it returns.
type Engine interface {
	// Outcomes takes outcomes of tasks [first, first+len(outcomes)) of a lease.
	Outcomes(w partition.WorkerRef, ref task.LeaseRef, first int, outcomes []task.Outcome)
	// Capacity says that a slot of the session is held for the partition, which had no
	// success with Assign before; with session 0, that one of any is, and that keys
	// may have other workers than before.
	Capacity(part int, queue string, place task.Placement, session uint64)
	// WorkerGone says that a session has ended, and its leases with it. finished: the
	// worker had finished all that it began, so what it still holds was not begun.
	WorkerGone(session uint64, finished bool)
}

// Config is what a Dispatcher needs. Zero durations and sizes mean the default.
type Config struct {
	Clock      clock.Clock           // default: the machine's
	Logger     *slog.Logger          // default: none
	Registerer prometheus.Registerer // default: no metrics

	HeartbeatInterval time.Duration // how often workers should be heard; default 500 ms
	SuspectAfter      time.Duration // silence after which a worker gets nothing new; default 1.5 s
	DeadAfter         time.Duration // silence after which its session ends; default 3 s
	AwayFor           time.Duration // how long a worker whose stream broke may stay away; default 1 s
	MaxBuffered       int           // bytes that wait for one worker before it gets nothing new; default 8 MiB

	// SlowStart is how long the weight of a worker that connects takes to rise from a
	// tenth to all of it; default 10 s, negative: no time.
	SlowStart time.Duration
	// NoEjection lets workers have tasks whatever they fail and however often their
	// sessions break.
	NoEjection bool
}

func (c *Config) setDefaults() {
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	for _, d := range []struct {
		value *time.Duration
		is    time.Duration
	}{
		{&c.HeartbeatInterval, 500 * time.Millisecond},
		{&c.SuspectAfter, 1500 * time.Millisecond},
		{&c.DeadAfter, 3 * time.Second},
		{&c.AwayFor, time.Second},
		{&c.SlowStart, 10 * time.Second},
	} {
		if *d.value == 0 {
			*d.value = d.is
		}
	}
	if c.MaxBuffered == 0 {
		c.MaxBuffered = 8 << 20
	}
}

func (c *Config) validate() error {
	switch {
	case c.HeartbeatInterval < 0 || c.AwayFor < 0 || c.MaxBuffered < 0:
		return errors.New("dispatch: a duration or size is negative")
	case c.SuspectAfter < 2*c.HeartbeatInterval:
		return errors.New("dispatch: a worker would be suspect before it missed a heartbeat: raise the suspect time to twice the interval")
	case c.DeadAfter <= c.SuspectAfter:
		return errors.New("dispatch: a worker would be dead before it is suspect")
	}
	return nil
}

// Dispatcher implements partition.Dispatcher over the sessions of workers. All
// methods may be called concurrently.
type Dispatcher struct {
	cfg     Config
	engine  Engine // set by Start, before any session exists
	metrics *metrics
	started time.Time // base of the times that sessions keep

	// live holds all sessions that have not ended, by number. It is replaced, never
	// changed, under mu, so that Send and Answer read it without a lock.
	live atomic.Pointer[map[uint64]*Session]

	// asleep is how long the detector did not run though it should have, in
	// nanoseconds.
	asleep atomic.Int64

	mu       sync.Mutex
	sessions []*Session // all that have not ended, oldest first
	byWorker map[string]*Session
	records  map[string]*record // by worker
	starting []*member          // those who start slowly
	queues   []*queue
	byName   map[string]*queue
	latest   *queue        // the one that was looked up last, or nil
	lines    int           // waiters who stand in line
	turns    uint64        // of the last one who joined a line
	unused   []*waiter     // to be used again
	last     uint64        // number of the newest session
	round    uint64        // number of the detector's round
	opened   time.Duration // when workers could register for the first time
	draining bool
	running  bool
	closed   bool

	detector detector
}

// New returns a Dispatcher that has no sessions and takes none before Start.
func New(cfg Config) (*Dispatcher, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	d := &Dispatcher{
		cfg:      cfg,
		started:  cfg.Clock.Now(),
		byWorker: map[string]*Session{},
		records:  map[string]*record{},
		byName:   map[string]*queue{},
	}
	d.live.Store(&map[uint64]*Session{})
	d.metrics = newMetrics(d)
	if cfg.Registerer != nil {
		if err := cfg.Registerer.Register(d.metrics); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// Start lets workers register, and begins to watch them.
func (d *Dispatcher) Start(e Engine) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.engine = e
	d.running = true
	d.opened = d.now()
	d.detector.arm(d)
}

// HeartbeatInterval is how often a worker should be heard.
func (d *Dispatcher) HeartbeatInterval() time.Duration { return d.cfg.HeartbeatInterval }

// Drain asks all workers to finish and go elsewhere, and gives out nothing new
// from now on. Outcomes and answers flow as before.
func (d *Dispatcher) Drain() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.draining = true
	d.forgetWaiters()
	for _, s := range d.sessions {
		s.draining = true
		d.place(s)
		s.out.askDrain(false)
	}
}

// Close ends all sessions and waits for the detector.
func (d *Dispatcher) Close(ctx context.Context) error {
	d.mu.Lock()
	d.closed = true
	ended := len(d.sessions)
	var calls calls
	d.forgetWaiters()
	for _, s := range slices.Backward(d.sessions) {
		d.end(s, ErrStopped, &calls)
	}
	done := d.detector.stop()
	d.mu.Unlock()
	d.deliver(&calls)
	d.cfg.Logger.Debug("workers disconnected", "sessions", ended)
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// session finds a session that has not ended.
func (d *Dispatcher) session(number uint64) *Session { return (*d.live.Load())[number] }

// addLive and dropLive replace the map of live sessions. The caller holds mu.
func (d *Dispatcher) addLive(s *Session) {
	m := maps.Clone(*d.live.Load())
	m[s.ref.Session] = s
	d.live.Store(&m)
	d.sessions = append(d.sessions, s)
}

func (d *Dispatcher) dropLive(s *Session) {
	m := maps.Clone(*d.live.Load())
	delete(m, s.ref.Session)
	d.live.Store(&m)
	i := slices.Index(d.sessions, s)
	d.sessions = slices.Delete(d.sessions, i, i+1)
}
