package partition

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// Reason is why a task is where it is.
type Reason uint8

// The reasons.
const (
	ReasonUnknown        Reason = iota // never seen, or not kept any more
	ReasonNotServed                    // nobody serves its partition at the moment
	ReasonInLog                        // in the broker's log, not read yet
	ReasonScheduled                    // its time has not come
	ReasonRetry                        // it failed, and waits for its next attempt
	ReasonBehind                       // behind another task of its key
	ReasonHalted                       // its key waits for a decision about a dead letter
	ReasonPaused                       // its queue is paused
	ReasonConcurrency                  // its queue runs as many tasks as it may
	ReasonRate                         // its queue has started as many tasks as it may
	ReasonNoWorker                     // no worker is connected that may get it
	ReasonWorkers                      // those that may get it have no room
	ReasonDraining                     // the node hands out nothing new
	ReasonReady                        // nothing holds it up: it is about to be handed out
	ReasonRunning                      // a worker has it
	ReasonEnded                        // its state says how
	ReasonKeyConcurrency               // its key runs as many tasks as it may
)

// Explanation says why a task is where it is.
type Explanation struct {
	Reason Reason
	Status TaskStatus
	// Blocking is the task that it waits behind, or the dead letter that its key waits
	// for. Where it is set and the reason is ReasonBehind, the fields that follow are
	// about that one.
	Blocking    task.ID
	Worker      string    // that has it
	Since       time.Time // from when on it has; or the key waits
	NextAt      time.Time // of the next attempt, or the time that was asked for
	Attempt     int       // that runs, or is next
	MaxAttempts int
	Error       string // of the last attempt
	Ahead       int64  // tasks in front of it, roughly, as far as they are known
	KeyRunning  int    // of its key, with ReasonKeyConcurrency
	KeyMost     int    // that its key may run at a time, with the same
	// Turns says that tasks of other priorities wait for the same workers: they take
	// turns with it.
	Turns bool
}

// Explain says why a task is where it is. That nothing is known of it is an answer,
// too.
func (e *Engine) Explain(ctx context.Context, id task.ID) (Explanation, error) {
	st, err := e.TaskStatus(ctx, id)
	switch {
	case err == nil:
	case task.CodeOf(err) == task.CodeNotFound:
		return Explanation{Status: TaskStatus{ID: id}}, nil
	case task.CodeOf(err) == task.CodeUnavailable && ctx.Err() == nil:
		return Explanation{Reason: ReasonNotServed, Status: TaskStatus{ID: id}}, nil
	default:
		return Explanation{}, err
	}
	if st.State.Final() {
		return Explanation{Reason: ReasonEnded, Status: st, NextAt: st.NextAt}, nil
	}
	x, found, err := e.explainIn(ctx, &st)
	if err != nil {
		return Explanation{}, err
	}
	x.Status = st
	if !found {
		return e.explainWaiting(ctx, st)
	}
	return x, nil
}

// explainIn asks the partitions that may have the task.
func (e *Engine) explainIn(ctx context.Context, st *TaskStatus) (Explanation, bool, error) {
	type reply struct {
		x     Explanation
		found bool
	}
	q, _ := e.Queue(st.Queue)
	owners := e.owners
	ordered := st.Key != "" && q.Order == task.OrderKey
	if st.Key != "" {
		owners = []*owner{e.of(st.Key)}
	}
	for _, o := range owners {
		r, err := look(ctx, o, func(c *core, now time.Time, answer func(reply)) {
			if it := c.tasks[st.ID]; it != nil {
				answer(reply{c.explainItem(now, it), true})
				return
			}
			if x, found := c.explainParkedKey(st.Queue, st.Key); found && st.State != task.StateScheduled {
				answer(reply{x, true})
				return
			}
			x, found := c.explainParked(now, st.Queue, st.Key)
			answer(reply{x, found && ordered && st.State != task.StateScheduled})
		})
		if err != nil {
			return Explanation{Reason: ReasonNotServed}, true, nil //nolint:nilerr // That is the answer.
		}
		if r.found {
			return e.completed(ctx, o.part, st, r.x)
		}
	}
	return Explanation{}, false, nil
}

// completed adds what the core does not know: the task at the head of a lane whose
// tasks are all in the store, and which limit holds a queue up.
func (e *Engine) completed(ctx context.Context, part int, st *TaskStatus, x Explanation) (Explanation, bool, error) {
	if x.Reason == ReasonConcurrency && e.limits.Binding(st.Queue) == "rate" {
		x.Reason = ReasonRate
	}
	if x.Reason != ReasonBehind || !x.Blocking.IsZero() {
		return x, true, nil
	}
	at := laneName{queue: st.Queue, key: st.Key}
	rows, err := e.cfg.Store.Load(ctx, store.Scan{
		Part: part, Table: store.TableParked, From: at.row(haltSeq + 1), To: at.row(math.MaxUint64), Limit: 1,
	})
	if err != nil {
		return x, false, fmt.Errorf("read what task %s waits behind: %w", st.ID, err)
	}
	if len(rows) == 0 {
		return x, true, nil
	}
	head, ok := rows[0].(*store.Parked)
	if !ok {
		return x, true, nil
	}
	t, err := task.Decode(head.Body)
	if err != nil {
		return x, true, nil //nolint:nilerr // It is counted where it is read back.
	}
	if x.Blocking = t.ID; t.ID == st.ID {
		x.Blocking, x.Reason = task.ID{}, ReasonRetry
		if x.NextAt.IsZero() {
			x.Reason = ReasonReady
		}
	}
	known, err := e.cfg.Store.Get(ctx, part, []store.Row{&store.Attempt{ID: t.ID}})
	if err != nil {
		return x, false, fmt.Errorf("read attempts of task %s: %w", t.ID, err)
	}
	if a, ok := known[0].(*store.Attempt); ok && a != nil {
		q, _ := e.Queue(st.Queue)
		x.Attempt, x.MaxAttempts = a.Attempts+1, policyOf(&t, &q).MaxAttempts
		if n := len(a.Tries); n > 0 {
			x.Error = a.Tries[n-1].Error
		}
	}
	return x, true, nil
}

// explainWaiting is for tasks that no partition has in memory, nor a lane of their
// key: they wait for a time, or to be read.
func (e *Engine) explainWaiting(ctx context.Context, st TaskStatus) (Explanation, error) {
	x := Explanation{Status: st, NextAt: st.NextAt, Attempt: st.Attempts + 1, Error: st.Error}
	q, known := e.Queue(st.Queue)
	if x.MaxAttempts = q.Retry.MaxAttempts; !known {
		x.MaxAttempts = 0
	}
	if n := len(st.History); n > 0 {
		x.Error = st.History[n-1].Error
	}
	switch {
	case st.State == task.StateScheduled && st.Attempts > 0:
		x.Reason = ReasonRetry
	case st.State == task.StateScheduled:
		x.Reason = ReasonScheduled
	case q.Paused:
		x.Reason = ReasonPaused
	default:
		x.Reason = ReasonInLog
		backlog, err := e.backlogAround(ctx, st.ID, &q)
		if err != nil {
			return x, err
		}
		x.Ahead = max(0, backlog.Tasks-1)
	}
	return x, nil
}

// policyOf is how a task is retried.
func policyOf(t *task.Task, q *task.Queue) task.RetryPolicy {
	if t.Retry != nil {
		return *t.Retry
	}
	return q.Retry
}

// explainItem says why a task in memory is where it is.
func (c *core) explainItem(now time.Time, it *item) Explanation {
	l := it.lane
	if it.state == task.StateRunning {
		x := Explanation{Reason: ReasonRunning}
		x.about(now, it)
		x.Worker, x.Since = c.holderOf(it)
		return x
	}
	if !l.ordered {
		if it.notBefore.After(now) {
			return c.explainHead(now, it)
		}
		if x, waits := c.explainKey(l.q, it.Key); waits {
			return x
		}
		return c.explainQueue(l.q, l.class)
	}
	ahead := 0
	for ahead < l.items.len() && l.items.at(ahead) != it {
		ahead++
	}
	return c.explainLane(now, l, it, ahead)
}

// explainHead is for a task that nothing of its key stands before.
func (c *core) explainHead(now time.Time, it *item) Explanation {
	x := Explanation{Reason: ReasonRetry}
	x.about(now, it)
	if it.attempts == 0 {
		x.Reason = ReasonScheduled
	}
	return x
}

// about takes what is known of a task's attempts.
func (x *Explanation) about(now time.Time, it *item) {
	x.Attempt, x.MaxAttempts = it.attempts+1, policyOf(&it.Task, &it.lane.q.Queue).MaxAttempts
	if it.notBefore.After(now) {
		x.NextAt = it.notBefore
	}
	if n := len(it.tries); n > 0 {
		x.Error = it.tries[n-1].Error
	}
}

// holderOf returns the worker that has a task, and since when.
func (c *core) holderOf(it *item) (worker string, since time.Time) {
	for _, ls := range c.leases {
		if slices.Contains(ls.items, it) {
			return ls.worker.ID, ls.since
		}
	}
	return "", time.Time{}
}

// explainParked is for a task of a key that waits in the store behind others.
func (c *core) explainParked(now time.Time, queue, key string) (Explanation, bool) {
	q := c.queues[queue]
	if q == nil || q.lanes[key] == nil {
		return Explanation{}, false
	}
	l := q.lanes[key]
	return c.explainLane(now, l, nil, l.items.len()), true
}

// explainLane says what a task of a key waits for: it itself if it is the first one,
// else the one that is.
func (c *core) explainLane(now time.Time, l *lane, it *item, ahead int) Explanation {
	switch {
	case l.halt != nil:
		return Explanation{Reason: ReasonHalted, Blocking: l.halt.task, Since: l.halt.at.Time(), Ahead: int64(ahead)}
	case l.lease != nil:
		x := Explanation{Reason: ReasonBehind, Worker: l.lease.worker.ID, Since: l.lease.since, Ahead: int64(ahead + l.lease.open)}
		if head := l.lease.items[min(l.lease.next, len(l.lease.items)-1)]; head != nil {
			x.Blocking = head.ID
			x.about(now, head)
		}
		return x
	case l.items.len() == 0: // all of it is in the store
		return Explanation{Reason: ReasonBehind, NextAt: l.waitsUntil(now), Ahead: int64(ahead)}
	}
	head := l.items.at(0)
	if l.q.Paused {
		return Explanation{Reason: ReasonPaused, Ahead: int64(ahead)}
	}
	if head.notBefore.After(now) {
		x := c.explainHead(now, head)
		if head != it {
			x.Reason, x.Blocking, x.Ahead = ReasonBehind, head.ID, int64(ahead)
		}
		return x
	}
	x := c.explainQueue(l.q, l.class)
	x.Ahead = int64(ahead)
	if head != it {
		x.Blocking = head.ID
	}
	return x
}

// waitsUntil is when a blocked lane goes on; zero: it is not blocked.
func (l *lane) waitsUntil(now time.Time) time.Time {
	if l.status == laneBlocked && l.until.After(now) {
		return l.until
	}
	return time.Time{}
}

// explainQueue says what holds ready tasks of a class up.
func (c *core) explainQueue(q *queue, cl *class) Explanation {
	switch {
	case q.Paused:
		return Explanation{Reason: ReasonPaused}
	case c.draining:
		return Explanation{Reason: ReasonDraining}
	case q.throttled:
		return Explanation{Reason: ReasonConcurrency} // or its rate: the engine knows
	case cl != nil && (cl.starved || cl.refused > 0):
		return Explanation{Reason: ReasonWorkers, Turns: q.takesTurns(cl)}
	}
	return Explanation{Reason: ReasonReady}
}
