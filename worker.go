package fenfa

import (
	"context"
	"crypto/rand"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// HandlerFunc works on one task. What it wrote, emitted and returned through the
// task takes effect, once, when it returns nil. Its context ends at the attempt's
// deadline and when the lease is lost. An error makes a failed attempt, to be
// tried again by the retry policy; see Reject and RetryAfter. A panic is a failed
// attempt too.
//
// A handler may run more than once for a task, and its task's effect on records,
// follow-up tasks and the result happens once all the same; what it does to other
// systems should bear repetition.
type HandlerFunc func(ctx context.Context, t *Task) error

// Worker runs handlers for tasks that a node hands out.
type Worker struct {
	client   *Client
	cfg      workerConfig
	handlers map[string]HandlerFunc
	batches  map[string]Batch       // of the handlers of several tasks
	around   []Middleware           // the outermost first
	wrapped  map[string]HandlerFunc // handlers with what is around them; made by prepare
	quiet    atomic.Bool
	current  atomic.Pointer[session]
}

// WorkerOption sets something of a Worker.
type WorkerOption func(*workerConfig)

type workerConfig struct {
	id           string
	concurrency  int
	maxPrefetch  int
	weight       float64
	labels       map[string]string
	drainTimeout time.Duration
	onEvent      func(Event)
}

// Limits of a worker.
const (
	maxConcurrency = 100_000
	// handlersPerCPU suits handlers that mostly wait for others.
	handlersPerCPU = 16
	// stopTimeout is how long a handler may take to return after its context ended
	// with the drain timeout.
	stopTimeout = 5 * time.Second
	// clientName tells the node who speaks.
	clientName = "fenfa-go/0.1"
)

// Concurrency sets how many handlers run at the same time; tasks of one key run
// one after another. 1 to 100,000; default 16 for each CPU.
func Concurrency(n int) WorkerOption { return func(c *workerConfig) { c.concurrency = n } }

// WorkerID names the worker. A worker that connects takes the place of one with
// the same name. Default: host name, process id and a random part.
func WorkerID(id string) WorkerOption { return func(c *workerConfig) { c.id = id } }

// Weight sets the worker's share of the load relative to others. Default 1.
func Weight(weight float64) WorkerOption { return func(c *workerConfig) { c.weight = weight } }

// Labels describes the worker, for people and for balancing.
func Labels(labels map[string]string) WorkerOption {
	return func(c *workerConfig) { c.labels = labels }
}

// MaxPrefetch bounds how many leases the worker holds beyond those that it runs. It
// asks for as many as keep its slots from idling for the round trip between an
// outcome and the next task: none where handlers are long, at most as many as its
// concurrency, and no more than are expected to wait for 20 ms. What waits here all
// the same for about a second, because handlers have become slow, goes back to the
// node. Default: no further bound; 0: none.
func MaxPrefetch(n int) WorkerOption { return func(c *workerConfig) { c.maxPrefetch = n } }

// DrainTimeout sets how long the handlers that run may take to finish when the
// worker leaves. Default 25 s.
func DrainTimeout(d time.Duration) WorkerOption {
	return func(c *workerConfig) { c.drainTimeout = d }
}

// Worker makes a worker; Handle gives it something to do and Run starts it. It
// has a connection of its own.
func (c *Client) Worker(opts ...WorkerOption) *Worker {
	cfg := workerConfig{
		id:           defaultWorkerID(),
		concurrency:  handlersPerCPU * runtime.GOMAXPROCS(0),
		maxPrefetch:  maxConcurrency,
		weight:       1,
		drainTimeout: 25 * time.Second,
	}
	for _, opt := range opts {
		opt(&cfg)
	}
	return &Worker{client: c, cfg: cfg, handlers: make(map[string]HandlerFunc)}
}

func defaultWorkerID() string {
	host, err := os.Hostname()
	if err != nil {
		host = "worker"
	}
	return fmt.Sprintf("%s-%d-%s", host, os.Getpid(), rand.Text()[:6])
}

// ID returns the worker's name.
func (w *Worker) ID() string { return w.cfg.id }

// Handle makes h the handler of the named queue's tasks. It must not be called
// while Run runs.
func (w *Worker) Handle(queue string, h HandlerFunc) { w.handlers[queue] = h }

// Run works until ctx ends, and reconnects by itself. When ctx ends it begins nothing
// new, gives back what no handler has begun, lets the handlers that run finish, and
// returns nil when their outcomes are confirmed. It does the same and ends when a
// person sends this worker away, with Client.DrainWorker or `fenfa cluster drain`; a
// node that is drained as a whole only makes it connect again. It fails when the node
// refuses the worker for good, as it does where a queue does not exist or another
// worker has taken its name, and when the drain timeout is over before everything is
// finished: the node hands the rest to others. Handlers' contexts carry the values of
// ctx.
func (w *Worker) Run(ctx context.Context) error {
	if err := w.prepare(); err != nil {
		return err
	}
	conn, err := w.client.cfg.connect(w.client.addr)
	if err != nil {
		return err
	}
	pool := newPool(w.cfg.concurrency)
	err = w.work(ctx, fenfav1.NewWorkerServiceClient(conn), conn, pool)
	if cause := conn.Close(); cause != nil && err == nil {
		err = fmt.Errorf("close connection of worker %s: %w", w.cfg.id, cause)
	}
	if n := pool.close(stopTimeout); n > 0 && err == nil {
		err = fmt.Errorf("stop worker %s: %d handlers did not return within %v of the end of their context", w.cfg.id, n, stopTimeout)
	}
	return err
}

// Connected reports whether a node has welcomed the worker and it has not lost the
// connection since: it gets tasks.
func (w *Worker) Connected() bool {
	s := w.current.Load()
	return s != nil && s.ctx.Err() == nil
}

// Quiet makes the worker take nothing new, until Resume, or until a person ends it at
// the node. It stays connected and finishes what it has been handed. It returns at
// once; tasks that are on their way already still come. It can be called at any time,
// and also before Run.
func (w *Worker) Quiet() { w.setQuiet(true) }

// Resume ends Quiet. A quiet that a person has asked for at the node goes on.
func (w *Worker) Resume() { w.setQuiet(false) }

func (w *Worker) setQuiet(quiet bool) {
	w.quiet.Store(quiet)
	if s := w.current.Load(); s != nil {
		s.nudge()
	}
}

// prepare makes the worker ready for sessions, or says why it cannot be.
func (w *Worker) prepare() error {
	if err := w.check(); err != nil {
		return err
	}
	w.wrapped = wrapHandlers(w.handlers, w.around)
	return nil
}

func (w *Worker) check() error {
	switch {
	case len(w.handlers) == 0:
		return errorf(CodeInvalidArgument, "the worker has nothing to do: call Handle before Run").withField("queues")
	case w.cfg.id == "":
		return errorf(CodeInvalidArgument, "the worker's id is empty").withField("worker_id")
	case w.cfg.concurrency < 1 || w.cfg.concurrency > maxConcurrency:
		return errorf(CodeInvalidArgument, "concurrency %d is out of range: want 1 to %d", w.cfg.concurrency, maxConcurrency).withField("slots")
	case !(w.cfg.weight > 0) || math.IsInf(w.cfg.weight, 0):
		return errorf(CodeInvalidArgument, "weight %v: want more than 0", w.cfg.weight).withField("weight")
	case w.cfg.maxPrefetch < 0:
		return errorf(CodeInvalidArgument, "max prefetch %d: want 0 or more", w.cfg.maxPrefetch).withField("prefetch")
	case w.cfg.drainTimeout < 0:
		return errorf(CodeInvalidArgument, "drain timeout %v: want 0 or more", w.cfg.drainTimeout).withField("drain_timeout")
	}
	for queue, h := range w.handlers {
		if h == nil {
			return errorf(CodeInvalidArgument, "the handler of queue %q is nil", clip(queue, 64)).withField("queues")
		}
	}
	for queue, b := range w.batches {
		if err := b.check(queue); err != nil {
			return err
		}
	}
	return nil
}

// handler returns the handler of a queue.
func (w *Worker) handler(queue string) HandlerFunc {
	if h := w.wrapped[queue]; h != nil {
		return h
	}
	return func(context.Context, *Task) error {
		return errorf(CodeUnimplemented, "worker %s has no handler for queue %q", w.cfg.id, queue)
	}
}

func (w *Worker) queues() []string {
	queues := make([]string, 0, len(w.handlers))
	for queue := range w.handlers {
		queues = append(queues, queue)
	}
	slices.Sort(queues)
	return queues
}

func (w *Worker) emit(e Event) {
	if w.cfg.onEvent != nil {
		w.cfg.onEvent(e)
	}
}
