package fenfa

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// BatchHandlerFunc works on several tasks of one queue in one call, for what is
// cheaper together: one insert of many rows, one request with many messages. It
// returns how each has ended, in their order, by the rules of HandlerFunc; nil: all
// are done. A panic, or another number of errors, fails all of them.
//
// Its context ends, with the cause, at the earliest deadline of its tasks, which
// Task.Extend moves, and when all of them are lost or cancelled.
type BatchHandlerFunc func(ctx context.Context, tasks []*Task) []error

// Batch says how tasks are gathered for a BatchHandlerFunc.
type Batch struct {
	// Most is how many tasks one call has at most, 1 to 10,000; default 100. It never
	// has more than the worker's Concurrency.
	Most int
	// Linger is how long a task waits for others at most, up to 10 s; default 10 ms.
	Linger time.Duration
}

// Limits of batches.
const (
	mostBatched  = 10_000
	mostGathered = 10 * time.Second
)

// HandleBatch makes h the handler of the named queue's tasks, several at a time. Each
// task takes a slot of the worker, from when it waits for others to when the call
// returns. Tasks of one key still run one after another, so that a call has at most
// one of each key; in a queue without order it may have many. The tasks of a call have
// outcomes of their own: each is tried again, or takes effect, by itself. It must not
// be called while Run runs.
func (w *Worker) HandleBatch(queue string, b Batch, h BatchHandlerFunc) {
	if h == nil {
		w.handlers[queue] = nil
		return
	}
	if b.Most == 0 {
		b.Most = 100
	}
	if b.Linger == 0 {
		b.Linger = 10 * time.Millisecond
	}
	if w.batches == nil {
		w.batches = make(map[string]Batch)
	}
	w.batches[queue] = b
	g := &gatherer{handle: h, most: min(b.Most, w.cfg.concurrency), linger: b.Linger}
	w.handlers[queue] = g.join
}

// check reports the first setting that is out of range.
func (b Batch) check(queue string) error {
	if b.Most < 1 || b.Most > mostBatched {
		return errorf(CodeInvalidArgument, "batches of queue %q: most is %d: want 1 to %d", clip(queue, 64), b.Most, mostBatched).withField("most")
	}
	if b.Linger < 0 || b.Linger > mostGathered {
		return errorf(CodeInvalidArgument, "batches of queue %q: linger is %v: want 0 to %v", clip(queue, 64), b.Linger, mostGathered).withField("linger")
	}
	return nil
}

// gatherer lets handlers of single tasks meet: the first of a batch waits for others,
// calls the handler of all, and tells each how its own task has ended.
type gatherer struct {
	handle BatchHandlerFunc
	most   int
	linger time.Duration

	mu   sync.Mutex
	open *batchCall // gathers; nil: the next one to come begins another
}

// batchCall is one call of the handler.
type batchCall struct {
	tasks []*Task           // until it is sealed under gatherer.mu, then nobody's but the first's
	ctxs  []context.Context // theirs
	errs  []error           // set before over is closed
	full  chan struct{}     // closed when no more come
	over  chan struct{}     // closed after the handler has returned
}

// join is the HandlerFunc of one task.
func (g *gatherer) join(ctx context.Context, t *Task) error {
	g.mu.Lock()
	c := g.open
	first := c == nil
	if first {
		c = &batchCall{full: make(chan struct{}), over: make(chan struct{})}
		g.open = c
	}
	at := len(c.tasks)
	c.tasks, c.ctxs = append(c.tasks, t), append(c.ctxs, ctx)
	if len(c.tasks) >= g.most {
		g.open = nil
		close(c.full)
	}
	g.mu.Unlock()
	if first {
		g.lead(ctx, c)
	} else {
		<-c.over // A handler has to return when its context ends: then all return.
	}
	return c.errs[at]
}

// lead waits for others and calls the handler. ctx is that of the first task; the
// others join while it waits.
func (g *gatherer) lead(ctx context.Context, c *batchCall) {
	timer := time.NewTimer(g.linger)
	defer timer.Stop()
	select {
	case <-c.full:
	case <-timer.C:
	case <-ctx.Done(): // Those that came meanwhile do not wait for it.
	}
	g.mu.Lock()
	if g.open == c {
		g.open = nil
	}
	g.mu.Unlock()
	defer close(c.over)
	c.run(g.handle) //nolint:contextcheck // Its context is that of all tasks.
}

// run calls the handler with the tasks that are still to be done.
func (c *batchCall) run(h BatchHandlerFunc) {
	c.errs = make([]error, len(c.tasks))
	var live []int
	var tasks []*Task
	for i, ctx := range c.ctxs {
		if c.errs[i] = ctx.Err(); c.errs[i] == nil {
			live, tasks = append(live, i), append(tasks, c.tasks[i])
		}
	}
	if len(live) == 0 {
		return
	}
	ctx, end := c.context(live)
	defer end()
	all := errors.New("the handler ended its goroutine (runtime.Goexit) instead of returning")
	var errs []error
	defer func() {
		value := recover()
		if value != nil {
			all = panicError(value)
		}
		for at, i := range live {
			if c.errs[i] = all; all == nil && errs != nil {
				c.errs[i] = errs[at]
			}
		}
	}()
	errs = h(ctx, slices.Clone(tasks))
	if all = nil; errs != nil && len(errs) != len(tasks) {
		all = fmt.Errorf("the handler returned %d errors for %d tasks: want one for each, or nil", len(errs), len(tasks))
	}
}

// batchContext is the context of a call, with the earliest deadline of its tasks.
type batchContext struct {
	context.Context //nolint:containedctx // It is a context itself.

	tasks []context.Context
}

// Deadline implements context.Context.
func (c *batchContext) Deadline() (earliest time.Time, ok bool) {
	for _, ctx := range c.tasks {
		if d, has := ctx.Deadline(); has && (!ok || d.Before(earliest)) {
			earliest, ok = d, true
		}
	}
	return earliest, ok
}

// context is the one of the call: it has the values of the first task's, and ends when
// one of the tasks' own is past its deadline, or all have ended.
func (c *batchCall) context(live []int) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(c.ctxs[live[0]]))
	call := &batchContext{Context: ctx}
	var left atomic.Int64
	left.Store(int64(len(live)))
	unhook := make([]func() bool, 0, len(live))
	for _, i := range live {
		one := c.ctxs[i]
		call.tasks = append(call.tasks, one)
		unhook = append(unhook, context.AfterFunc(one, func() {
			if left.Add(-1) == 0 || errors.Is(one.Err(), context.DeadlineExceeded) {
				cancel(context.Cause(one))
			}
		}))
	}
	return call, func() {
		for _, f := range unhook {
			f()
		}
		cancel(nil)
	}
}
