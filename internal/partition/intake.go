package partition

import (
	"context"
	"errors"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// Submit makes tasks durable. It returns one result for each, when every one is
// durable or refused. Tasks of one call, and of calls one after another, keep
// their order within their key. A task without an ID gets one.
func (e *Engine) Submit(ctx context.Context, tasks []task.Task) []SubmitResult {
	results := make([]SubmitResult, len(tasks))
	if e.draining.Load() {
		for i := range results {
			results[i].Err = task.Errorf(task.CodeUnavailable, "the node is draining: submit to another one, or again later").WithRetryAfter(reclaimMax)
		}
		return results
	}
	queues := *e.queues.Load()
	messages := make([]broker.Message, 0, len(tasks))
	index := make([]int, 0, len(tasks))
	size := 0
	for i := range tasks {
		size += tasks[i].Size() + 64
	}
	arena := make([]byte, 0, size)
	route, now := router{e: e}, e.cfg.Clock.Now()
	only := uniques{e: e, tasks: tasks}
	for i := range tasks {
		t := &tasks[i]
		if t.ID.IsZero() {
			t.ID = task.NewID(e.cfg.Clock.Now())
		}
		results[i].ID = t.ID
		q := queues[t.Queue]
		if q == nil {
			if results[i].Err = task.ValidateQueueName(t.Queue); results[i].Err == nil {
				results[i].Err = e.unknownQueue(t.Queue)
			}
			continue
		}
		if results[i].Err = t.ValidateAt(now); results[i].Err != nil {
			q.refused.Inc()
			continue
		}
		t.CreatedAt = e.stamp()
		if t.Unique != nil {
			ref, err := t.Seal()
			if results[i].Err = err; err != nil {
				q.refused.Inc()
				continue
			}
			if !only.add(i, ref) {
				continue
			}
		}
		begin := len(arena)
		arena = t.Append(arena)
		messages = append(messages, route.message(q, t, arena[begin:len(arena):len(arena)]))
		index = append(index, i)
	}
	if only.first != nil {
		messages, index = only.claim(ctx, messages, index, results)
	}
	var err error
	if len(messages) > 0 {
		err = e.cfg.Broker.Publish(ctx, messages)
		e.answerSubmit(ctx, err, tasks, index, results)
	}
	if only.first != nil {
		var partial *broker.PublishError
		only.settle(results, err == nil || errors.As(err, &partial))
	}
	return results
}

// message is the task as the broker takes it.
func (r *router) message(q *registered, t *task.Task, body []byte) broker.Message {
	return broker.Message{Queue: q.logOf(t), Partition: r.partition(t), ID: t.ID, Fingerprint: task.Fingerprint(body), Body: body}
}

// stamp returns the node's next timestamp.
func (e *Engine) stamp() task.Timestamp {
	for {
		last := e.hlc.Load()
		next := task.Next(task.Timestamp(last), e.cfg.Clock.Now())
		if e.hlc.CompareAndSwap(last, uint64(next)) {
			return next
		}
	}
}

// answerSubmit turns the broker's answer into one result for each task.
func (e *Engine) answerSubmit(ctx context.Context, err error, tasks []task.Task, index []int, results []SubmitResult) {
	queues := *e.queues.Load()
	var partial *broker.PublishError
	if err != nil && !errors.As(err, &partial) {
		code := task.CodeUnavailable
		if errors.Is(err, broker.ErrFull) {
			code = task.CodeResourceExhausted
		}
		// In words only: a deadline within the broker is not the caller's.
		refusal := task.Errorf(code, "whether the task was stored is unknown, submit it again with the same id: %s", err.Error()).WithRetryAfter(reclaimMax)
		for _, i := range index {
			results[i].Err = refusal
			queues[tasks[i].Queue].refused.Inc()
		}
		return
	}
	var duplicates []int
	for n, i := range index {
		q := queues[tasks[i].Queue]
		var reason error
		if partial != nil {
			reason = partial.Failed[n]
		}
		switch {
		case reason == nil:
			q.accepted.Inc()
			results[i].State = task.StateQueued
		case errors.Is(reason, broker.ErrDuplicate):
			q.repeated.Inc()
			results[i].Duplicate = true
			results[i].State = task.StateQueued
			duplicates = append(duplicates, i)
		default:
			q.refused.Inc()
			results[i].Err = refusalOf(&tasks[i], reason)
		}
	}
	if len(duplicates) > 0 {
		e.stateOf(ctx, tasks, duplicates, results)
	}
}

func refusalOf(t *task.Task, reason error) error {
	var refusal *task.Error
	switch {
	case errors.As(reason, &refusal):
		return refusal
	case errors.Is(reason, broker.ErrMismatch):
		return task.Errorf(task.CodeAlreadyExists, "task id %s was submitted before with other content: use another id", t.ID).WithField("id")
	case errors.Is(reason, broker.ErrFull):
		return task.Errorf(task.CodeResourceExhausted, "queue %q takes no new tasks now: %w", t.Queue, reason).WithRetryAfter(reclaimMax)
	case errors.Is(reason, store.ErrFull):
		return task.Errorf(task.CodeResourceExhausted, "the node takes no new tasks now: %w", reason).WithRetryAfter(reclaimMax)
	default:
		return task.Errorf(task.CodeUnavailable, "the task was not stored, submit it again: %s", reason.Error()).WithRetryAfter(reclaimMax)
	}
}

// stateOf fills in the state of tasks that were here already, as far as their
// marks tell; a task without a mark is on its way.
func (e *Engine) stateOf(ctx context.Context, tasks []task.Task, duplicates []int, results []SubmitResult) {
	byPart := make(map[int][]int)
	for _, i := range duplicates {
		if part, ok := e.partitionOf(ctx, &tasks[i]); ok {
			byPart[part] = append(byPart[part], i)
		}
	}
	for part, which := range byPart {
		keys := make([]store.Row, len(which))
		for n, i := range which {
			keys[n] = &store.Dedup{ID: tasks[i].ID}
		}
		rows, err := e.cfg.Store.Get(ctx, part, keys)
		if err != nil {
			continue // the submit itself is answered; only the state is not known better
		}
		for n, i := range which {
			if mark, ok := rows[n].(*store.Dedup); ok && mark != nil {
				results[i].State = mark.State
			}
		}
	}
}
