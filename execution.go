package fenfa

import (
	"context"
	"errors"
	"strconv"
	"time"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// Limits of one outcome. The node has the same; here they make a failed attempt
// that says which, instead of a message that the node cannot take.
const (
	maxResult       = 256 << 10
	maxEmits        = 1000
	maxWrites       = 1000
	maxRecordName   = 128
	maxRecordValue  = 256 << 10
	maxOutcomeBytes = 3 << 20
)

// execution is one attempt at one task: what the handler sees and what it asked
// for. Until it ends it belongs to the goroutine that runs the handler.
type execution struct {
	task  Task
	state TaskState
	ctx   attemptContext
	lease *lease
	index int
	again bool // after a conflict
	view  *view
	own   view             // of a task without order
	away  map[string]*view // of other keys

	writes  []write
	reads   []read
	emits   []*fenfav1.Task
	result  []byte
	bytes   int
	onEmit  func(*Task) *Task // nil: tasks are emitted as they are
	failure error             // the first thing that cannot be in the outcome
}

// begin prepares the execution of a lease's i-th task, over the given view, or
// where that is nil over one that knows no record yet.
func (e *execution) begin(l *lease, i int, v *view, deadline time.Time) {
	w := l.wire.GetTasks()[i]
	e.task = Task{wire: w, ownID: true, run: e}
	e.state.run = e
	e.lease, e.index, e.ctx.lease = l, i, l
	e.ctx.begin(deadline)
	if e.view = v; v == nil {
		e.own = view{client: l.session.worker.client, key: w.GetKey()}
		e.view = &e.own
	}
}

// work runs the handler and returns the outcome, and why the attempt failed.
func (e *execution) work(h HandlerFunc) (*fenfav1.Outcome, error) {
	err := e.call(h)
	if err == nil {
		err = e.failure
	}
	if err == nil {
		err = e.settle()
	}
	e.ctx.returned()
	if back, ok := errors.AsType[*giveBackError](err); ok {
		return e.lease.session.unbegun, back
	}
	if err != nil {
		o := failedOutcome(err)
		o.Reads = e.wireReads(false)
		return o, err
	}
	if e.bytes == 0 && len(e.reads) == 0 {
		return e.lease.session.nothing, nil
	}
	return &fenfav1.Outcome{
		Kind:   fenfav1.OutcomeKind_OUTCOME_KIND_DONE,
		Result: e.result,
		Writes: e.wireWrites(),
		Reads:  e.wireReads(true),
		Emits:  e.emits,
	}, nil
}

// call runs the handler and turns a panic into an error.
func (e *execution) call(h HandlerFunc) (err error) {
	returned := false
	defer func() {
		if returned {
			return
		}
		if value := recover(); value != nil {
			err = panicError(value)
			return
		}
		e.ctx.returned()
		e.lease.abort(e.index, failedOutcome(errors.New("the handler ended its goroutine (runtime.Goexit) instead of returning")))
	}()
	err = h(&e.ctx, &e.task)
	returned = true
	return err
}

// fail makes the attempt fail unless it has already.
func (e *execution) fail(err error) {
	if e.failure == nil {
		e.failure = err
	}
}

// count adds to the outcome's size.
func (e *execution) count(bytes int) {
	const overhead = 64
	e.bytes += bytes + overhead
	if e.bytes > maxOutcomeBytes {
		e.fail(errorf(CodeTooLarge, "the outcome has more than %d bytes in writes, emits and result", maxOutcomeBytes))
	}
}

// Emit makes a follow-up task, submitted together with the outcome of this one
// if the handler returns nil. It gets an ID that follows from this task's, unless
// it has been given one, so that a repeated attempt emits the same task. What
// cannot be emitted fails the attempt. At most 1000 tasks, and 3 MiB together
// with writes and result. Only a handler's task can emit.
func (t *Task) Emit(next *Task) {
	e := t.execution("Emit")
	if e.onEmit != nil && next != nil {
		next = e.onEmit(next)
	}
	if err := next.check(); err != nil {
		e.fail(err)
		return
	}
	if next.wire.GetUnique() != nil {
		e.fail(errorf(CodeInvalidArgument, "a task that a handler emits cannot be unique: submit it").withField("unique"))
		return
	}
	if len(e.emits) == maxEmits {
		e.fail(errorf(CodeTooLarge, "the handler emits more than %d tasks", maxEmits))
		return
	}
	w := next.copyWire()
	if next.delayed {
		w.RunAt = e.lease.session.worker.client.timed(next).GetRunAt()
	}
	if !next.ownID {
		w.Id = DeriveID("emit", t.wire.GetId(), strconv.Itoa(len(e.emits))).String()
	}
	e.emits = append(e.emits, w)
	e.count(sizeOf(w))
}

// Return sets the task's result, encoded by the rule of NewTask, at most 256 KiB,
// and returns nil, or why it cannot be the result; the attempt then fails. Only a
// handler's task has a result to set.
func (t *Task) Return(v any) error {
	e := t.execution("Return")
	b, err := encode(v)
	if err == nil && len(b) > maxResult {
		err = errorf(CodeTooLarge, "the result has %d bytes; at most %d are allowed", len(b), maxResult).withField("result")
	}
	if err != nil {
		e.fail(err)
		return err
	}
	e.result = b
	e.count(len(b))
	return nil
}

// State returns access to the records of the task's key. Only a handler's task
// has it.
func (t *Task) State() *TaskState { return &t.execution("State").state }

func (t *Task) execution(method string) *execution {
	if t.run == nil {
		panic("fenfa: " + method + " was called on a task that is not a handler's")
	}
	return t.run
}

// copyWire copies what a submitter says, so that one Task can be emitted twice.
func (t *Task) copyWire() *fenfav1.Task {
	w := t.wire
	return &fenfav1.Task{
		Id: w.GetId(), Queue: w.GetQueue(), Key: w.GetKey(), Type: w.GetType(), Payload: w.GetPayload(), Headers: w.GetHeaders(),
		Priority: w.GetPriority(), RunAt: w.GetRunAt(), ExpiresAt: w.GetExpiresAt(), Timeout: w.GetTimeout(), Retry: w.GetRetry(), Placement: w.GetPlacement(),
	}
}

// viewOf returns the records of a key; empty: the task's own. Those of other keys are
// asked for anew by every attempt.
func (e *execution) viewOf(key string) *view {
	if key == "" {
		return e.view
	}
	v := e.away[key]
	if v == nil {
		if e.away == nil {
			e.away = make(map[string]*view)
		}
		v = &view{client: e.lease.session.worker.client, key: key}
		e.away[key] = v
	}
	return v
}

// settle resolves what the handler wrote. That its task was cancelled does not hinder
// one that has finished.
func (e *execution) settle() error {
	if !e.lease.stopped.Load() || !e.ctx.isCancelled() {
		return e.resolve(&e.ctx)
	}
	deadline, _ := e.ctx.Deadline()
	ctx, stop := context.WithDeadline(e.lease.context(), deadline)
	defer stop()
	return e.resolve(ctx)
}

// resolve finds the versions that writes without a read depend on.
func (e *execution) resolve(ctx context.Context) error {
	for i := range e.writes {
		if w := &e.writes[i]; !w.known {
			c, err := e.viewOf(w.key).lookup(ctx, w.name)
			if err != nil {
				return err
			}
			w.known, w.version, w.chained = true, c.version, c.chained
		}
	}
	return nil
}
