package partition

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/fenfa/fenfa/internal/ledger"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

func sortLeases(leases []*lease) {
	slices.SortFunc(leases, func(a, b *lease) int {
		if a.ref.Token < b.ref.Token {
			return -1
		}
		return 1
	})
}

// outcomes takes what a worker says of tasks [first, first+len(outs)) of a lease.
func (c *core) outcomes(now time.Time, w WorkerRef, ref task.LeaseRef, first int, outs []task.Outcome) {
	ls := c.leases[ref.Token]
	if ls == nil || ref.Epoch != c.led.Epoch() || ls.worker.Session != w.Session || first < 0 || len(outs) > len(ls.items)-first {
		c.counts.stale.Add(float64(len(outs)))
		c.env.Answer(w.Session, task.Verdict{LeaseRef: ref, Kind: task.VerdictStale, First: first, Count: len(outs)})
		return
	}
	if !ls.lane.ordered {
		c.scattered(now, ls, first, outs)
		return
	}
	if ls.waiting {
		ls.stash = append(ls.stash, stashed{first, outs})
		return
	}
	c.chain(now, ls, first, outs)
}

// chain takes outcomes of an ordered lease: a prefix at a time.
func (c *core) chain(now time.Time, ls *lease, first int, outs []task.Outcome) {
	if first != ls.next || ls.outdated(outs) {
		return // they ran over a task that conflicted, and will come again
	}
	c.follow(now, ls, outs)
	c.report(now, ls, 0) // unless the lease was closed, which reported it
}

// outdated reports whether outcomes of an ordered lease are a repeat of what the worker
// ran before it heard of the latest conflict. Another answer to them would make it go
// back over what takes effect meanwhile, and build on what does not.
func (ls *lease) outdated(outs []task.Outcome) bool {
	return len(outs) > 0 && outs[0].Run != 0 && outs[0].Run != ls.conflicts+1
}

// follow takes outcomes of the tasks that come next in an ordered lease.
func (c *core) follow(now time.Time, ls *lease, outs []task.Outcome) {
	for i := range outs {
		it, o := ls.items[ls.next], &outs[i]
		switch o.Kind {
		case task.OutcomeRetry:
			c.endChain(now, ls, it, o)
			return
		case task.OutcomeReturned:
			c.takeBack(now, ls)
			return
		case task.OutcomeDone, task.OutcomeDead:
		}
		if missing := c.led.Missing(&it.Task, o); len(missing) > 0 {
			c.awaitRecords(ls, missing, stashed{ls.next, outs[i:]})
			return
		}
		if err := c.check(now, it, o, ls.ref.Token); err != nil {
			c.hinder(now, ls, err, outs[i:])
			return
		}
		if c.led.Crosses(&it.Task, o) {
			c.transactNext(now, ls, outs[i:])
			return
		}
		if o.Kind == task.OutcomeDead {
			c.endChain(now, ls, it, o)
			return
		}
		c.accept(now, ls, it, o, task.ID{})
	}
	c.goOn(now, ls)
}

// accept makes the outcome of an ordered lease's next task take effect with the
// gathering batch: it is done, and was checked.
func (c *core) accept(now time.Time, ls *lease, it *item, o *task.Outcome, tx task.ID) {
	c.gathering.committed(ls.worker.Session, ls.ref, ls.next)
	took := ls.took(now, ls.next)
	ls.items[ls.next] = nil
	ls.next++
	ls.open--
	ls.crossed = ls.crossed || !tx.IsZero()
	ls.saw(now, 1, 0)
	c.complete(now, it, ls, took, o, tx)
}

// goOn waits for the next outcome of an ordered lease, or ends it after the last.
func (c *core) goOn(now time.Time, ls *lease) {
	if ls.open == 0 {
		c.close(now, ls)
		if !ls.crossed {
			ls.lane.last = ls.worker
			c.goAhead(now, ls.lane)
		}
		return
	}
	ls.deadline = now.Add(c.timeoutOf(ls.items[ls.next]) + leaseGrace)
	if until := ls.said[ls.next].until; until.After(ls.deadline) {
		ls.deadline = until
	}
}

// hinder takes outcomes of an ordered lease of which the first may not take effect.
func (c *core) hinder(now time.Time, ls *lease, err error, outs []task.Outcome) {
	if errors.Is(err, ledger.ErrConflict) {
		c.conflict(ls, ls.next, err.Error())
	} else if held, ok := errors.AsType[*ledger.ConflictError](err); ok {
		c.awaitRelease(now, ls, held, stashed{ls.next, outs})
	} else {
		c.refuse(now, ls, ls.next, err)
	}
}

// check says whether an outcome may take effect, follow-up tasks included. A
// rejection counts only over records that are still what the handler read.
func (c *core) check(now time.Time, it *item, o *task.Outcome, token uint64) error {
	if o.Kind == task.OutcomeDead {
		return c.led.CheckReads(&it.Task, o, token)
	}
	if err := checkStep(&it.Task, o); err != nil {
		return err
	}
	for i := range o.Emits {
		e := &o.Emits[i]
		if err := e.ValidateAt(now); err != nil {
			return fmt.Errorf("emitted task %d: %w", i, err)
		}
		if e.Unique != nil {
			return task.Errorf(task.CodeInvalidArgument, "emitted task %d is to be unique: only a task that is submitted can be", i)
		}
		if c.queues[e.Queue] == nil {
			return task.Errorf(task.CodeNotFound, "emitted task %d: there is no queue %q", i, e.Queue)
		}
	}
	return c.led.Check(&it.Task, o, token)
}

// endChain takes an outcome that is not done: the lease ends with it.
func (c *core) endChain(now time.Time, ls *lease, it *item, o *task.Outcome) {
	by := ls.tried(now, ls.next)
	c.gathering.committed(ls.worker.Session, ls.ref, ls.next)
	ls.items[ls.next] = nil
	ls.open--
	ls.saw(now, 1, failures(o))
	c.refund(ls.lane.q, ls.open)
	c.close(now, ls)
	c.failed(now, it, by, o)
}

// failures counts an outcome as a failure of its worker. A rejection is none: it
// is about the task.
func failures(o *task.Outcome) int {
	if o.Kind == task.OutcomeRetry {
		return 1
	}
	return 0
}

// scattered takes outcomes of a lease without order: each stands for itself.
func (c *core) scattered(now time.Time, ls *lease, first int, outs []task.Outcome) {
	freed := 0
	var back []*item
	for i := range outs {
		index, o := first+i, &outs[i]
		it := ls.items[index]
		if _, late := ls.late[index]; late {
			c.counts.stale.Inc()
			c.env.Answer(ls.worker.Session, task.Verdict{LeaseRef: ls.ref, Kind: task.VerdictLate, First: index, Count: 1})
			continue
		}
		if it == nil || it.deciding {
			continue // a repeat
		}
		if o.Kind == task.OutcomeDone || o.Kind == task.OutcomeDead {
			if missing := c.led.Missing(&it.Task, o); len(missing) > 0 {
				single := stashed{index, outs[i : i+1]}
				c.loadAll(missing, func() {
					if c.leases[ls.ref.Token] == ls {
						c.scattered(c.loadedAt, ls, single.first, single.outcomes)
					}
				})
				continue
			}
			if err := c.check(now, it, o, ls.ref.Token); errors.Is(err, ledger.ErrConflict) {
				c.conflict(ls, index, err.Error())
				continue
			} else if held, ok := errors.AsType[*ledger.ConflictError](err); ok {
				c.awaitReleaseOf(now, ls, held, stashed{index, outs[i : i+1]})
				continue
			} else if err != nil {
				c.refuseOne(now, ls, index, err)
				freed++
				continue
			}
			if c.led.Crosses(&it.Task, o) {
				c.transactOne(now, ls, index, o)
				continue
			}
		}
		freed++
		if o.Kind == task.OutcomeReturned {
			back = append(back, it)
		}
		c.acceptOne(now, ls, index, o, task.ID{})
	}
	c.freedOf(now, ls, freed)
	c.restart(now, ls.lane, back)
}

// acceptOne makes an outcome of a lease without order take effect with the
// gathering batch.
func (c *core) acceptOne(now time.Time, ls *lease, index int, o *task.Outcome, tx task.ID) {
	it := ls.items[index]
	ls.items[index] = nil
	ls.open--
	c.stops(it)
	c.gathering.committed(ls.worker.Session, ls.ref, index)
	switch o.Kind {
	case task.OutcomeReturned: // restart puts it back
	case task.OutcomeDone:
		ls.saw(now, 1, 0)
		c.complete(now, it, ls, ls.took(now, index), o, tx)
	case task.OutcomeRetry, task.OutcomeDead:
		ls.saw(now, 1, failures(o))
		c.failed(now, it, ls.tried(now, index), o)
	}
}

// freedOf gives slots of a lease without order back, which may have been the last.
func (c *core) freedOf(now time.Time, ls *lease, slots int) {
	c.report(now, ls, slots)
	if ls.open == 0 {
		delete(c.leases, ls.ref.Token)
	}
}

// awaitRecords stashes outcomes until the records they touch are in memory.
func (c *core) awaitRecords(ls *lease, missing []ledger.RecordKey, s stashed) {
	ls.waiting = true
	ls.stash = append(ls.stash, s)
	c.loadAll(missing, func() {
		c.resume(c.loadedAt, ls)
	})
}

// resume takes the outcomes that an ordered lease has stashed.
func (c *core) resume(now time.Time, ls *lease) {
	if c.leases[ls.ref.Token] != ls {
		return
	}
	ls.waiting = false
	waiting := ls.stash
	ls.stash = nil
	for _, s := range waiting {
		c.outcomes(now, ls.worker, ls.ref, s.first, s.outcomes)
	}
}

// conflict asks the worker to run a task of its lease again over what the
// records are now.
func (c *core) conflict(ls *lease, index int, why string) {
	c.counts.conflicts.Inc()
	v := task.Verdict{LeaseRef: ls.ref, Kind: task.VerdictConflict, First: index, Count: 1, Error: why}
	if ls.lane.ordered {
		v.Count = len(ls.items) - index
		ls.conflicts++
	}
	v.Records, v.Complete = c.led.Travel(ls.items[index].Key)
	c.gathering.verdicts = append(c.gathering.verdicts, verdictFor{ls.worker.Session, v})
	c.press() // the worker has nothing else to do for this key
}

// refuse ends an ordered lease whose outcome can never take effect: the task
// becomes a dead letter that says why.
func (c *core) refuse(now time.Time, ls *lease, index int, cause error) {
	it := ls.items[index]
	c.gathering.verdicts = append(c.gathering.verdicts, refusal(ls, index, cause))
	ls.items[index] = nil
	ls.open--
	ls.saw(now, 1, 0)
	c.close(now, ls)
	c.bury(now, it, ls.worker, "the outcome was refused: "+cause.Error())
}

// refuseOne ends one task of a lease without order in the same way.
func (c *core) refuseOne(now time.Time, ls *lease, index int, cause error) {
	it := ls.items[index]
	ls.items[index] = nil
	c.stops(it)
	c.gathering.verdicts = append(c.gathering.verdicts, refusal(ls, index, cause))
	c.bury(now, it, ls.worker, "the outcome was refused: "+cause.Error())
	ls.saw(now, 1, 0)
	ls.open--
}

func refusal(ls *lease, index int, cause error) verdictFor {
	return verdictFor{ls.worker.Session, task.Verdict{
		LeaseRef: ls.ref, Kind: task.VerdictRefused, First: index, Count: 1, Error: cause.Error(),
	}}
}

// complete makes a checked, done outcome take effect with the gathering batch. With
// a transaction, what it does in other partitions is that transaction's.
func (c *core) complete(now time.Time, it *item, ls *lease, took time.Duration, o *task.Outcome, tx task.ID) {
	by := ledger.Author{TaskID: it.ID, Attempt: it.attempts + 1, Worker: ls.worker.ID, Token: ls.ref.Token, Run: ls.run, Tx: tx}
	c.led.Apply(now, by, &it.Task, o)
	for i := range o.Emits {
		if o.Emits[i].ID.IsZero() {
			o.Emits[i].ID = task.DeriveID("emit", it.ID.String(), strconv.Itoa(i))
		}
		c.gathering.outbox = append(c.gathering.outbox, c.led.Emit(now, &o.Emits[i]))
		c.press()
	}
	c.finish(now, it, ending{state: task.StateDone, worker: ls.worker.ID, took: took, result: o.Result})
}

// failed takes an outcome that asks for another attempt, or for none.
func (c *core) failed(now time.Time, it *item, by tried, o *task.Outcome) {
	text := clipError(o.Error)
	if o.Kind == task.OutcomeDead {
		it.attempts++
		it.note(store.Try{At: c.led.Stamp(now), Took: by.took, Worker: by.ID, Error: text})
		c.bury(now, it, by.WorkerRef, text)
		return
	}
	c.fail(now, it, by, text, o.RetryAfter)
}

// fail counts a failed attempt: the task waits for its next one, or is dead.
// after is the handler's own delay; negative asks for the policy's.
func (c *core) fail(now time.Time, it *item, by tried, text string, after time.Duration) {
	if it.stop != "" {
		c.finishStopped(now, it)
		return
	}
	q := it.lane.q
	policy := policyOf(&it.Task, &q.Queue)
	it.attempts++
	it.returns = 0
	q.stats.FailedTotal++
	q.metrics.failed.Inc()
	it.note(store.Try{At: c.led.Stamp(now), Took: by.took, Worker: by.ID, Error: text})
	if it.attempts >= policy.MaxAttempts {
		c.bury(now, it, by.WorkerRef, text)
		return
	}
	if it.expired(now) {
		c.expire(now, it)
		return
	}
	if after < 0 {
		after = policy.Delay(it.attempts, c.rng.Float64())
	}
	it.notBefore = now.Add(min(after, task.MaxDelay))
	it.attempted = true
	c.watchExpiry(it)
	if it.lane.ordered {
		c.led.Put(it.attemptRow())
		it.state = task.StateScheduled
		it.lane.pushFront(it)
		return
	}
	if after > longBackoff {
		c.reschedule(now, it, it.notBefore)
		return
	}
	c.led.Put(it.attemptRow())
	it.state = task.StateScheduled
	c.alarms.add(alarm{at: it.notBefore, item: it})
}

// ending is how a task finished.
type ending struct {
	state  task.State
	worker string
	took   time.Duration // of the attempt that ended it as done; 0: not known
	result []byte
	err    string
	ref    uint64         // of the dead letter
	at     task.Timestamp // zero: now. Else it was counted then
}

// finish leaves the mark of a task that ended and forgets it.
func (c *core) finish(now time.Time, it *item, end ending) {
	q := it.lane.q
	at := end.at
	if at == 0 {
		at = c.led.Stamp(now)
		q.count(end.state)
	}
	c.putMark(&store.Dedup{
		ID: it.ID, State: end.state, Queue: q.Name, Key: it.Key, Type: it.Type, Ref: end.ref, CreatedAt: it.CreatedAt, FinishedAt: at,
		Took: end.took, Attempts: it.attempts, Deliveries: it.deliveries, Worker: end.worker, Result: end.result, Error: end.err,
		Expires: now.Add(max(q.DedupeWindow, q.ResultTTL)),
	})
	if len(it.Headers) > 0 {
		c.tellSaga(now, it, end)
		c.releaseUnique(now, it, end.state)
		c.tellCron(now, &it.Task, end.state, end.err)
	}
	c.leave(it)
	c.recent.add(it.ID)
	c.forget(it)
}

// count counts a task that ended, but for one that is dead.
func (q *queue) count(s task.State) {
	switch s { //nolint:exhaustive // A task ends in no other state that is counted here.
	case task.StateDone:
		q.stats.DoneTotal++
	case task.StateCancelled:
		q.stats.CancelledTotal++
	}
	q.metrics.finished(s)
}

// leave removes a task from where it is kept durably, with the gathering batch.
func (c *core) leave(it *item) {
	if it.attempted {
		c.led.Delete(&store.Attempt{ID: it.ID})
	}
	switch it.origin {
	case inBroker:
		c.settle(it.lane.q, it)
	case inSchedule:
		c.unschedule(it)
	case inParked:
		c.unpark(it)
		it.lane.q.stats.Parked--
	case inDead: // it is parked before anything else happens to it
	}
}

// bury makes a task a dead letter.
func (c *core) bury(now time.Time, it *item, w WorkerRef, reason string) {
	if it.stop != "" {
		c.finishStopped(now, it)
		return
	}
	q := it.lane.q
	at := c.led.Stamp(now)
	seq := uint64(at)
	if it.origin == inParked && front(at, it.seq) {
		seq = it.seq + frontShift // it keeps its place among the dead letters of its key
	}
	q.stats.DeadTotal++
	if row := deadRow(it, reason, seq, at); row != nil {
		c.led.Put(row)
		q.stats.Dead++
		if it.lane.ordered && q.OnDead == task.OnDeadHalt {
			c.halt(it.lane, seq, at, it.ID)
		}
	} else {
		seq = 0
	}
	c.finish(now, it, ending{state: task.StateDead, worker: w.ID, err: reason, ref: seq})
}

func clipError(text string) string {
	if len(text) <= task.MaxErrorText {
		return text
	}
	return text[:task.MaxErrorText-3] + "..."
}
