package fenfa

import (
	"context"
	"runtime"
	"time"
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
}

// WorkerOption sets something of a Worker.
type WorkerOption func(*workerConfig)

type workerConfig struct {
	id           string
	concurrency  int
	weight       float64
	labels       map[string]string
	drainTimeout time.Duration
	onEvent      func(Event)
}

// Concurrency sets how many handlers run at the same time; tasks of one key run
// one after another. Default 16 for each CPU.
func Concurrency(n int) WorkerOption { return func(c *workerConfig) { c.concurrency = n } }

// WorkerID names the worker. Two workers that run at the same time must not have
// one name. Default: host name, process id and a random part.
func WorkerID(id string) WorkerOption { return func(c *workerConfig) { c.id = id } }

// Weight sets the worker's share of the load relative to others. Default 1.
func Weight(weight float64) WorkerOption { return func(c *workerConfig) { c.weight = weight } }

// Labels describes the worker, for people and for balancing.
func Labels(labels map[string]string) WorkerOption {
	return func(c *workerConfig) { c.labels = labels }
}

// DrainTimeout sets how long a worker whose context ended may finish what it has
// been handed. Default 25 s.
func DrainTimeout(d time.Duration) WorkerOption {
	return func(c *workerConfig) { c.drainTimeout = d }
}

// OnEvent sets a function that hears what happens in the worker. It is called
// from several goroutines and must return at once.
func OnEvent(hear func(Event)) WorkerOption { return func(c *workerConfig) { c.onEvent = hear } }

// EventKind is what happened in a worker.
type EventKind string

// The kinds of event.
const (
	EventConnected    EventKind = "connected"    // the node said welcome
	EventDisconnected EventKind = "disconnected" // Err says why; the worker reconnects
	EventFinished     EventKind = "finished"     // an attempt ended; Err is what the handler returned
	EventConflict     EventKind = "conflict"     // a version had changed: the task runs again
	EventLeaseLost    EventKind = "lease_lost"   // the node took the lease back; its outcomes change nothing
	EventDraining     EventKind = "draining"     // nothing new is taken
)

// Event is something that happened in a worker.
type Event struct {
	Kind   EventKind
	Node   string
	Queue  string
	TaskID ID
	Err    error
}

// Worker makes a worker; Handle gives it something to do and Run starts it.
func (c *Client) Worker(opts ...WorkerOption) *Worker {
	cfg := workerConfig{
		concurrency:  16 * runtime.GOMAXPROCS(0),
		weight:       1,
		drainTimeout: 25 * time.Second,
	}
	for _, opt := range opts {
		opt(&cfg)
	}
	return &Worker{client: c, cfg: cfg, handlers: make(map[string]HandlerFunc)}
}

// Handle makes h the handler of the named queue's tasks. It must not be called
// while Run runs.
func (w *Worker) Handle(queue string, h HandlerFunc) { w.handlers[queue] = h }

// Run works until ctx ends. It reconnects by itself; when ctx ends it takes
// nothing new, finishes what it has, and returns nil when all of that is
// confirmed. It fails when the node refuses the worker, and when the drain timeout
// is over before everything is finished.
func (w *Worker) Run(ctx context.Context) error {
	panic("soon")
}
