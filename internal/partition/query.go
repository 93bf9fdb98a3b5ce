package partition

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/fenfa/fenfa/internal/ledger"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// getRecord answers with a record once everything that it shows is durable.
//
// One that a transaction is to change is what its home says: while there is no
// decision, what it was. A counter shows all that was decided before the question
// arrived.
func (c *core) getRecord(now time.Time, key, name string, answer func(task.Record, error)) {
	c.withRecord(key, name, func() {
		if adders := c.led.Adders(key, name); len(adders) > 0 {
			c.readCounter(now, key, name, adders, answer)
			return
		}
		c.readRecord(now, key, name, false, answer)
	})
}

// readCounter asks the homes of those who were to add when the reader came, one after
// another. Others may begin meanwhile without end: the reader does not wait for them.
func (c *core) readCounter(now time.Time, key, name string, adders []task.ID, answer func(task.Record, error)) {
	for len(adders) > 0 && c.led.Prepared(adders[0]) == nil {
		adders = adders[1:]
	}
	if len(adders) == 0 {
		c.readRecord(now, key, name, !c.led.Written(key, name), answer)
		return
	}
	tx := adders[0]
	c.await(now, &ledger.ConflictError{Key: key, Name: name, Tx: tx}, true, func(now time.Time, why release) {
		switch why {
		case outWaited:
			answer(task.Record{}, heldTooLong(key, name, tx))
			return
		case stillHeld:
			adders = adders[1:]
		case released: // of which one of them this is news, the next look shows
		}
		c.readCounter(now, key, name, adders, answer)
	})
}

func (c *core) readRecord(now time.Time, key, name string, asked bool, answer func(task.Record, error)) {
	c.withRecord(key, name, func() {
		if tx := c.led.Holder(key, name, false); !tx.IsZero() && !asked {
			c.await(now, &ledger.ConflictError{Key: key, Name: name, Tx: tx}, true, func(now time.Time, why release) {
				if why == outWaited {
					answer(task.Record{}, heldTooLong(key, name, tx))
					return
				}
				if why == released {
					c.getRecord(now, key, name, answer)
					return
				}
				c.readRecord(now, key, name, true, answer)
			})
			return
		}
		r := c.led.Record(key, name)
		if c.led.Clean(key) {
			answer(r, nil)
			return
		}
		c.afterDurable(func() { answer(r, nil) })
	})
}

// putRecord writes a record outside of any task and answers once that is durable.
func (c *core) putRecord(now time.Time, w *task.Write, anyVersion bool, answer func(uint64, error)) {
	c.withRecords(append([]ledger.RecordKey{{Key: w.Key, Name: w.Name}}, c.fencing(w)...), func() {
		err := c.checkFence(w)
		version := uint64(0)
		if err == nil {
			version, err = c.led.Write(now, w, anyVersion)
		}
		if held, ok := errors.AsType[*ledger.ConflictError](err); ok {
			c.await(now, held, false, func(now time.Time, why release) {
				if why == outWaited {
					answer(0, heldTooLong(w.Key, w.Name, held.Tx))
					return
				}
				c.putRecord(now, w, anyVersion, answer)
			})
			return
		}
		if err != nil {
			answer(0, err)
			return
		}
		c.keepFence(now, w)
		c.afterDurable(func() { answer(version, nil) })
	})
}

// withRecords calls then when all these records are in memory.
func (c *core) withRecords(keys []ledger.RecordKey, then func()) {
	for _, k := range keys {
		if !c.led.KnowsRecord(k.Key, k.Name) {
			// Others may have been forgotten by then: all are looked at again.
			c.load(k, func() { c.withRecords(keys, then) })
			return
		}
	}
	then()
}

func heldTooLong(key, name string, tx task.ID) error {
	return task.Errorf(task.CodeUnavailable, "record %q of key %q is held by transaction %s, whose home does not answer: try again", name, key, tx).WithRetryAfter(reclaimMax)
}

func (c *core) withRecord(key, name string, then func()) {
	if c.led.KnowsRecord(key, name) {
		then()
		return
	}
	c.load(ledger.RecordKey{Key: key, Name: name}, then)
}

// status tells what memory holds of a task.
func (c *core) status(now time.Time, id task.ID) (TaskStatus, bool) {
	it := c.tasks[id]
	if it == nil {
		return TaskStatus{}, false
	}
	t := it.Task
	st := TaskStatus{
		ID: id, State: it.state, Queue: it.Queue, Key: it.Key, CreatedAt: it.CreatedAt.Time(), NextAt: it.notBefore,
		Attempts: it.attempts, Deliveries: it.deliveries, History: exportTries(it.tries), Task: &t,
	}
	if st.State == task.StateReady || st.State == task.StateScheduled {
		st.State = task.StateReady
		if it.notBefore.After(now) {
			st.State = task.StateScheduled
		} else {
			st.NextAt = time.Time{}
		}
	}
	if st.State == task.StateRunning {
		st.Worker, st.Running = c.runningAt(it)
		st.NextAt = time.Time{}
	}
	if n := len(it.tries); n > 0 {
		st.Error = it.tries[n-1].Error
	}
	return st, true
}

// runningAt returns who has a task, and how far it is with it.
func (c *core) runningAt(it *item) (worker string, at *Running) {
	for _, ls := range c.leases {
		if i := slices.Index(ls.items, it); i >= 0 {
			return ls.worker.ID, ls.running(i)
		}
	}
	return "", nil
}

func exportTries(tries []store.Try) []Try {
	out := make([]Try, len(tries))
	for i, t := range tries {
		out[i] = Try{At: t.At.Time(), Took: t.Took, Worker: t.Worker, Error: t.Error}
	}
	return out
}

// stats counts what the queue holds in memory and did.
func (c *core) stats(name string) QueueStats {
	q := c.queues[name]
	if q == nil {
		return QueueStats{}
	}
	s := q.stats
	count := func(l *lane) {
		switch l.status {
		case laneBlocked:
			s.BlockedLanes++
		case laneHalted:
			s.HaltedLanes++
		case laneIdle, laneReady, laneLeased, laneSettling, laneLoading:
			s.Ready += int64(l.items.len())
		}
	}
	for _, cl := range q.classes {
		count(cl.shared)
	}
	for _, l := range q.lanes {
		count(l)
	}
	for _, w := range q.waits {
		count(w)
	}
	for _, ls := range c.leases {
		if ls.lane.q == q {
			s.Running += int64(ls.open)
		}
	}
	return s
}

// counted adds what the store held of a queue when the partition was claimed.
func (c *core) counted(queue string, scheduled, parked, dead int64) {
	if q := c.queues[queue]; q != nil {
		q.scheduled(scheduled)
		q.stats.Parked += parked
		q.stats.Dead += dead
	}
}

// published says that the broker has these follow-up tasks: their outbox rows go.
func (c *core) published(rows []*store.Outbox) {
	for _, row := range rows {
		c.led.Delete(&store.Outbox{Seq: row.Seq})
	}
}

// emitRefused keeps a follow-up task that the broker will never take as a dead
// letter that says why.
func (c *core) emitRefused(now time.Time, row *store.Outbox, t task.Task, cause error) {
	c.tellCron(now, &t, task.StateDead, "the broker refused the task: "+cause.Error())
	if c.stepRefused(now, &t, cause) {
		c.led.Delete(&store.Outbox{Seq: row.Seq})
		return
	}
	seq := uint64(c.led.Stamp(now))
	c.led.Put(&store.Dead{
		Queue: t.Queue, Seq: seq, Body: row.Body, DiedAt: task.Timestamp(seq),
		Reason: "the broker refused this follow-up task: " + cause.Error(),
	})
	c.led.Delete(&store.Outbox{Seq: row.Seq})
	if q := c.queues[t.Queue]; q != nil {
		q.stats.Dead++
		q.stats.DeadTotal++
	}
}

// watchMarks notes from now on which tasks leave marks: the sweeper is about to
// read marks, and those that are written meanwhile are not the ones that it read.
func (c *core) watchMarks() { c.marked = make(map[task.ID]struct{}) }

// putMark writes the mark of a task that ended or waits in the store.
func (c *core) putMark(mark *store.Dedup) {
	c.led.Put(mark)
	if len(c.ends) > 0 {
		c.tellEnd(mark)
	}
	if c.marked != nil {
		c.marked[mark.ID] = struct{}{}
	}
	if len(c.sought) > 0 {
		c.overtake(mark.ID)
	}
}

// sweep removes expired marks, unless their task is here again under its old ID.
func (c *core) sweep(expired []*store.Dedup) {
	for _, mark := range expired {
		if _, again := c.marked[mark.ID]; again || c.tasks[mark.ID] != nil {
			continue
		}
		c.led.Delete(mark)
		c.counts.swept.Inc()
	}
	c.marked = nil
}

// abandon gives the workers' slots back before the core is dropped.
func (c *core) abandon() {
	c.locks.Abandon()
	c.loseEnds()
	c.sagas.close()
	for _, q := range c.order {
		q.scheduled(-q.stats.Scheduled)
	}
	for _, row := range c.led.InDoubt() {
		c.counts.doubts.leave(row.Tx)
	}
	open := slices.Collect(maps.Values(c.leases))
	sortLeases(open)
	c.leaveUnanswered(open)
	for _, ls := range open {
		slots := ls.open
		if ls.lane.ordered {
			slots = 1
		}
		if slots > 0 {
			c.env.Release(ls.worker.Session, ls.lane.q.Name, Use{Slots: slots})
		}
	}
}

// leaveUnanswered tells workers that their leases have ended whose outcomes were taken
// and are not durable as far as this owner knows: they would wait for a word for ever.
func (c *core) leaveUnanswered(open []*lease) {
	stale := func(session uint64, ref task.LeaseRef, first, count int) {
		c.env.Answer(session, task.Verdict{LeaseRef: ref, Kind: task.VerdictStale, First: first, Count: count})
	}
	for _, a := range []*afterwards{&c.flying, &c.gathering} {
		for i := range a.verdicts {
			v := &a.verdicts[i].verdict
			stale(a.verdicts[i].session, v.LeaseRef, v.First, v.Count)
		}
	}
	for _, ls := range open {
		for _, s := range ls.stash {
			stale(ls.worker.Session, ls.ref, s.first, len(s.outcomes))
		}
		for i, it := range ls.items {
			if it != nil && it.deciding {
				stale(ls.worker.Session, ls.ref, i, 1)
			}
		}
	}
}
