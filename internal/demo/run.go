package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/child"
	"github.com/fenfa/fenfa/internal/orders"
)

// Run runs the demo and returns its report. A broken promise is in the report and
// is no error; an error says that the demo could not be carried out.
func Run(ctx context.Context, cfg Config) (report *Report, err error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	dir, forget, err := directory(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, forget()) }()
	place, err := openPlace(ctx, cfg, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, place.close()) }()
	node, err := child.NewNode(child.NodeConfig{Path: cfg.Binary, Dir: dir, Env: place.env()})
	if err != nil {
		return nil, err
	}
	client, err := fenfa.Dial(node.Addr())
	if err != nil {
		return nil, fmt.Errorf("dial node: %w", err)
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	scratch, err := os.MkdirTemp("", "fenfa-demo-workers-")
	if err != nil {
		return nil, fmt.Errorf("make directory for workers: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()

	s := &show{
		cfg: cfg, began: time.Now(), node: node, servers: place.victims(), client: client, incidents: &incidents{},
		crew:      &crew{cfg: cfg, addr: node.Addr(), dir: scratch},
		submitter: newSubmitter(client, cfg.Orders, cfg.Rate),
	}
	// The workers go first, so that they can finish what they have.
	defer func() { err = errors.Join(err, node.Stop(stopPatience)) }()
	defer func() { err = errors.Join(err, s.crew.dismiss()) }()
	report, err = s.run(ctx)
	if err != nil {
		return nil, err
	}
	report.DataDir = cfg.DataDir
	return report, nil
}

// directory makes the data directory, and returns what to do with it in the end.
func directory(keep string) (dir string, forget func() error, err error) {
	if keep == "" {
		dir, err = os.MkdirTemp("", "fenfa-demo-")
		if err != nil {
			return "", nil, fmt.Errorf("make data directory: %w", err)
		}
		return dir, func() error { return os.RemoveAll(dir) }, nil
	}
	dir, err = filepath.Abs(keep)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return "", nil, fmt.Errorf("make data directory: %w", err)
	}
	return dir, func() error { return nil }, nil
}

// show is one run of the demo.
type show struct {
	cfg       Config
	began     time.Time
	node      *child.Node
	servers   victims
	client    *fenfa.Client
	crew      *crew
	submitter *submitter
	incidents *incidents
	collected atomic.Int64 // results so far

	lock    sync.Mutex
	phase   string
	started time.Time // of the first submit
	ended   time.Time // of the last order
}

// run is the whole course: prepare, distribute with kills, submit again, collect,
// judge.
func (s *show) run(ctx context.Context) (*Report, error) {
	shown := make(chan struct{})
	showing, stopShow := context.WithCancel(ctx)
	s.enter("starting")
	go func() {
		defer close(shown)
		(&display{out: s.cfg.Out, terminal: s.cfg.Terminal, width: s.cfg.Width, take: s.snapshot}).run(showing)
	}()
	defer func() { stopShow(); <-shown }()
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	if err := s.distribute(ctx); err != nil {
		return nil, err
	}
	ev := evidenceOf(s.cfg.Orders)
	ev.Confirmed, ev.Forgetful = s.submitter.confirmed, s.cfg.RabbitMQ
	if s.cfg.Resubmit {
		s.enter("submitting everything again")
		answers, err := s.submitter.again(ctx)
		if err != nil {
			return nil, fmt.Errorf("submit again: %w", err)
		}
		ev.Resubmitted, ev.ResubmitAnswers = len(s.cfg.Orders.Orders), answers
		if err := awaitIdle(ctx, s.client, s.cfg.StallTimeout); err != nil {
			return nil, err
		}
	}
	s.enter("collecting results")
	if err := collectOutcomes(ctx, s.client, s.cfg.Orders, ev, &s.collected); err != nil {
		return nil, err
	}
	if err := collectStock(ctx, s.client.State(), s.cfg.Orders, ev); err != nil {
		return nil, err
	}
	if err := collectAudit(ctx, s.client, ev); err != nil {
		return nil, err
	}
	s.enter("judged")
	return s.report(ev, Judge(s.cfg.Orders, ev)), nil
}

// prepare starts the node and the workers, and loads the stock.
func (s *show) prepare(ctx context.Context) error {
	if err := s.node.Start(); err != nil {
		return err
	}
	if err := s.node.Ready(ctx); err != nil {
		return err
	}
	s.enter("loading stock")
	if _, _, err := s.client.ConfigureQueue(ctx, fenfa.Queue{Name: orders.Queue, Order: fenfa.OrderKey}); err != nil {
		return fmt.Errorf("configure queue: %w", err)
	}
	if err := loadStock(ctx, s.client.State(), s.cfg.Orders); err != nil {
		return err
	}
	for range s.cfg.Workers {
		if err := s.crew.hire(); err != nil {
			return fmt.Errorf("start worker: %w", err)
		}
	}
	return s.awaitWorkers(ctx)
}

// awaitWorkers waits until all workers are connected.
func (s *show) awaitWorkers(ctx context.Context) error {
	s.enter("waiting for workers")
	for {
		workers, err := s.client.Workers(ctx)
		if err != nil {
			return fmt.Errorf("wait for workers: %w", err)
		}
		if len(workers) >= s.cfg.Workers {
			return nil
		}
		if err := errors.Join(s.crew.fallen(), wait(ctx, idlePoll)); err != nil {
			return fmt.Errorf("wait for workers: %w", err)
		}
	}
}

// distribute submits all orders and waits until they are done, while kills do
// their work.
func (s *show) distribute(ctx context.Context) error {
	s.enter("distributing")
	s.lock.Lock()
	s.started = time.Now()
	s.lock.Unlock()
	idle := make(chan struct{})
	killed := make(chan error, 1)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		var err error
		if s.cfg.Kill {
			err = s.incidents.kills(ctx, len(s.cfg.Orders.Orders), s.crew, s.servers, s.node, idle)
		}
		if err != nil {
			cancel(err)
		}
		killed <- err
	}()
	err := s.submitter.run(ctx)
	if err == nil {
		err = awaitIdle(ctx, s.client, s.cfg.StallTimeout)
	}
	s.lock.Lock()
	s.ended = time.Now()
	s.lock.Unlock()
	if err != nil {
		cancel(err)
	}
	close(idle)
	if cause := <-killed; cause != nil {
		return cause
	}
	return err
}

func (s *show) enter(phase string) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.phase = phase
}

// snapshot is what the display shows now.
func (s *show) snapshot() snapshot {
	p50, p99 := s.submitter.percentiles()
	running, workers := s.crew.alive()
	s.lock.Lock()
	defer s.lock.Unlock()
	now := snapshot{
		phase: s.phase, total: int64(len(s.cfg.Orders.Orders)), confirmed: s.submitter.done.Load(), worked: s.crew.worked(),
		submitP50: p50, submitP99: p99, running: running, workers: workers, news: s.incidents.all(),
	}
	if n := s.collected.Load(); n > 0 {
		now.phase = fmt.Sprintf("%s (%d)", now.phase, n)
	}
	if !s.started.IsZero() {
		now.elapsed = time.Since(s.started)
	}
	return now
}

// report puts the numbers together.
func (s *show) report(ev *Evidence, findings *Findings) *Report {
	list := s.cfg.Orders
	r := &Report{
		Orders: len(list.Orders), Input: s.cfg.Input, SKUs: len(list.SKUs()), Workers: s.cfg.Workers,
		InvalidLines: len(list.Invalid), Invalid: list.Invalid[:min(maxInvalid, len(list.Invalid))],
		SubmitRetries: s.submitter.retries.Load(),
		Resubmitted:   ev.Resubmitted, ResubmitKnown: ev.ResubmitAnswers,
		Seconds:         s.ended.Sub(s.started).Seconds(),
		DurationSeconds: time.Since(s.began).Seconds(),
	}
	r.verdict(findings)
	r.latencies(s.submitter, ev)
	r.recoveries(s.incidents, list, ev)
	r.brokerRecovery(s.incidents, s.submitter)
	r.StoreKilled = s.incidents.storeKilled
	if r.StoreKilled {
		r.StoreReadyMS = ms(s.incidents.storeReadyAt.Sub(s.incidents.storeStartedAt))
	}
	r.Broker, r.Store = "embedded", "embedded"
	if s.cfg.RabbitMQ {
		r.Broker = "rabbitmq"
	}
	if s.cfg.MySQL {
		r.Store = "mysql"
	}
	if r.Seconds > 0 {
		r.ThroughputPerS = float64(r.Done) / r.Seconds
	}
	return r
}
