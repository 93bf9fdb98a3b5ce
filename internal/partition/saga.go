package partition

import (
	"fmt"
	"time"

	"github.com/fenfa/fenfa/internal/cron"
	"github.com/fenfa/fenfa/internal/ledger"
	"github.com/fenfa/fenfa/internal/saga"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// A saga is an entity like any other: its records are in the partition of its key,
// and messages to it are tasks of that key in a queue that no worker serves. The
// core works on them itself, so that a transition is one commit: the records, the
// tasks of the next steps, and the mark of the message.

// tellSaga emits, with the batch in which a saga's task ends, the message that says
// so to the saga.
func (c *core) tellSaga(now time.Time, it *item, end ending) {
	message, ok := saga.MessageOf(&it.Task, &saga.Ending{
		State: end.state, Attempts: it.attempts, Deliveries: it.deliveries, Worker: end.worker, Error: end.err, Result: end.result,
	})
	if ok {
		c.emit(now, &message)
	}
}

// emit adds a follow-up task to the gathering batch.
func (c *core) emit(now time.Time, t *task.Task) {
	c.gathering.outbox = append(c.gathering.outbox, c.led.Emit(now, t))
	c.press()
}

// checkStep refuses results that a saga cannot keep.
func checkStep(t *task.Task, o *task.Outcome) error {
	if len(o.Result) > saga.MaxResult && saga.IsStep(t) {
		return task.Errorf(task.CodeTooLarge,
			"the result has %d bytes; a saga keeps at most %d of a step: put the rest into a record and return its key", len(o.Result), saga.MaxResult)
	}
	return nil
}

// receive works on the messages of one saga's lane, in their order.
func (c *core) receive(now time.Time, l *lane) {
	for l.items.len() > 0 {
		if c.led.Bytes() > maxBatchBytes {
			c.settles(l) // goes on with the next batch
			c.press()
			return
		}
		if missing := c.missingOf(l); len(missing) > 0 {
			l.status = laneLoading
			c.loadAll(missing, func() { c.loaded(l) })
			return
		}
		it := l.popFront()
		if err := c.handleMessage(now, it); err != nil {
			c.counts.sagas.broken.Inc()
			c.bury(now, it, WorkerRef{ID: c.cfg.Node}, err.Error())
			continue
		}
		c.finish(now, it, ending{state: task.StateDone, worker: c.cfg.Node})
	}
	c.wake(now, l)
}

// missingOf returns what must be known before a message to the lane's key is taken.
func (c *core) missingOf(l *lane) []ledger.RecordKey {
	if l.q.Name == cron.Queue {
		return c.missingOfCron(l.key)
	}
	return c.missingOfSaga(l.key)
}

func (c *core) missingOfSaga(key string) (missing []ledger.RecordKey) {
	for _, name := range []string{saga.RecordBegun, saga.RecordState} {
		if !c.led.KnowsRecord(key, name) {
			missing = append(missing, ledger.RecordKey{Key: key, Name: name})
		}
	}
	return missing
}

// handleMessage takes one message to a saga. One for a saga that is not there any
// more has nothing to tell.
func (c *core) handleMessage(now time.Time, it *item) error {
	if it.lane.q.Name == cron.Queue {
		return c.cronMessage(now, it)
	}
	in, err := c.instance(it.Key)
	if in == nil || err != nil {
		return err
	}
	seen := len(in.State.Events) + in.State.Dropped
	actions, changed, err := in.Receive(now, &it.Task)
	if err != nil || !changed {
		return err
	}
	by := ledger.Author{TaskID: it.ID, Attempt: 1, Worker: c.cfg.Node}
	return c.keep(now, by, in, actions, seen)
}

// instance returns the saga of a key as it is now, or nil. Its records must be
// known.
func (c *core) instance(key string) (*saga.Instance, error) {
	state := c.led.Record(key, saga.RecordState)
	if state.Version == 0 {
		return nil, nil
	}
	return saga.Decode(c.led.Record(key, saga.RecordBegun).Value, state.Value)
}

// keep writes a saga's state and emits what it asks for. seen is how many events
// of it are counted.
func (c *core) keep(now time.Time, by ledger.Author, in *saga.Instance, actions saga.Actions, seen int) error {
	key := saga.KeyOf(in.State.ID)
	if actions.Forget {
		c.led.Apply(now, by, &task.Task{Key: key}, &task.Outcome{
			Writes: []task.Write{{Name: saga.RecordState, Delete: true}, {Name: saga.RecordBegun, Delete: true}},
		})
		return nil
	}
	var emits []task.Task
	for queue := actions.Emits; len(queue) > 0; queue = queue[1:] {
		e := &queue[0]
		if c.queues[e.Queue] != nil {
			emits = append(emits, *e)
			continue
		}
		// What follows from the failure joins the rest.
		if more, changed := in.Fail(now, e, fmt.Sprintf("there is no queue %q", e.Queue)); changed {
			queue = append(queue, more.Emits...)
		}
	}
	state, err := in.State.Encode()
	if err != nil {
		return err
	}
	c.led.Apply(now, by, &task.Task{Key: key}, &task.Outcome{Writes: []task.Write{{Name: saga.RecordState, Value: state}}})
	for i := range emits {
		c.emit(now, &emits[i])
	}
	c.counts.sagas.count(in.State, seen)
	c.sagas.note(in.State)
	return nil
}

// sagaAnswer is what became of a start or an operation.
type sagaAnswer struct {
	in   *saga.Instance
	same bool // it took effect before
	err  error
}

// withSaga calls then when the records of a saga are known.
func (c *core) withSaga(id string, then func()) {
	missing := c.missingOfSaga(saga.KeyOf(id))
	if len(missing) == 0 {
		then()
		return
	}
	c.loadAll(missing, then)
}

// answerSaga answers when what the saga is now is durable.
func (c *core) answerSaga(answer func(sagaAnswer), a sagaAnswer) {
	if a.err != nil {
		answer(a)
		return
	}
	c.afterDurable(func() { answer(a) })
}

// startSaga begins a saga, unless there is one of this ID.
func (c *core) startSaga(now time.Time, start saga.Start, answer func(sagaAnswer)) {
	key := saga.KeyOf(start.ID)
	c.withSaga(start.ID, func() {
		if in, err := c.instance(key); err != nil || in != nil {
			if err == nil && !in.Same(&start) {
				err = task.Errorf(task.CodeAlreadyExists, "there is a saga %q already, of definition %q and begun with other input or another definition: use another id",
					start.ID, in.State.Name).WithField("id")
			}
			c.answerSaga(answer, sagaAnswer{in: in, same: true, err: err})
			return
		}
		start.Birth = uint64(c.led.Stamp(now))
		in, actions, err := saga.Begin(now, start)
		if err != nil {
			answer(sagaAnswer{err: err})
			return
		}
		begun, err := in.Begun.Encode()
		if err != nil {
			answer(sagaAnswer{err: err})
			return
		}
		c.led.Apply(now, ledger.Author{}, &task.Task{Key: key}, &task.Outcome{Writes: []task.Write{{Name: saga.RecordBegun, Value: begun}}})
		err = c.keep(now, ledger.Author{}, in, actions, 0)
		c.answerSaga(answer, sagaAnswer{in: in, err: err})
	})
}

// operateSaga carries out what a person asks of a saga.
func (c *core) operateSaga(now time.Time, id string, op *saga.Operation, answer func(sagaAnswer)) {
	c.withSaga(id, func() {
		in, err := c.knownSaga(id)
		if err != nil {
			answer(sagaAnswer{err: err})
			return
		}
		seen := len(in.State.Events) + in.State.Dropped
		actions, changed, err := in.Operate(now, op)
		if err == nil && changed {
			err = c.keep(now, ledger.Author{}, in, actions, seen)
		}
		c.answerSaga(answer, sagaAnswer{in: in, same: !changed, err: err})
	})
}

// getSaga answers with a saga as it is, durably.
func (c *core) getSaga(id string, answer func(sagaAnswer)) {
	c.withSaga(id, func() {
		in, err := c.knownSaga(id)
		c.answerSaga(answer, sagaAnswer{in: in, err: err})
	})
}

func (c *core) knownSaga(id string) (*saga.Instance, error) {
	in, err := c.instance(saga.KeyOf(id))
	if err == nil && in == nil {
		err = task.Errorf(task.CodeNotFound, "there is no saga %q: it was never started, or it ended longer ago than its definition keeps it", id).WithField("id")
	}
	return in, err
}

// stepRefused tells a saga that the broker will never take a task of its step.
func (c *core) stepRefused(now time.Time, t *task.Task, cause error) bool {
	message, ok := saga.MessageOf(t, &saga.Ending{State: task.StateDead, Error: "the broker refused the task: " + cause.Error()})
	if ok {
		c.emit(now, &message)
	}
	return ok
}

// deadRow is the dead letter of a task, or nil for one that belongs to a saga: what
// becomes of that the saga decides, and nobody may bring it back behind its back.
func deadRow(it *item, reason string, seq uint64, at task.Timestamp) *store.Dead {
	if len(it.Headers) > 0 && saga.IsStep(&it.Task) {
		return nil
	}
	return &store.Dead{
		Queue: it.lane.q.Name, Seq: seq, Body: it.body, Reason: reason, DiedAt: at,
		Attempts: it.attempts, Deliveries: it.deliveries, Tries: it.tries, Requeues: it.requeues,
	}
}
