package partition

import (
	"context"
	"fmt"
	"strings"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/task"
)

// place is where the broker has a task: the queue's name in it is that of the queue,
// not of the log.
type place struct {
	broker.Located
	rank rank
}

// logs returns the names of a queue's logs at the broker, by rank.
func logs(q *task.Queue) []string {
	if !q.Banded {
		return []string{q.Name}
	}
	names := make([]string, ranks)
	for r := range ranks {
		names[r] = bandLog(q.Name, r)
	}
	return names
}

// logOf returns the log that a task of the queue is published to.
func (r *registered) logOf(t *task.Task) string {
	if t.Priority == task.PriorityNormal || r == nil || !r.settings.Priorities.On() || t.Key != "" && r.settings.Order == task.OrderKey {
		return t.Queue
	}
	return r.logs[rankOf(t.Priority)]
}

// placeIn returns where a task is that was found in a log; ok is false where no queue
// has that.
func (e *Engine) placeIn(at broker.Located) (p place, ok bool) {
	p.Located = at
	for r := rankNormal + 1; r < ranks; r++ {
		name, of := strings.CutPrefix(at.Queue, task.ReservedPrefix+r.name()+".")
		if !of {
			continue
		}
		p.Queue, p.rank = name, r
		if !strings.HasPrefix(name, "-") {
			return p, true
		}
		for name, q := range *e.queues.Load() {
			if q.logs[r] == at.Queue {
				p.Queue = name
				return p, true
			}
		}
		return place{}, false
	}
	return p, true
}

// backlogAround returns what the log holds that a task is in.
func (e *Engine) backlogAround(ctx context.Context, id task.ID, q *task.Queue) (broker.Backlog, error) {
	if !q.Banded {
		return e.backlog(ctx, q.Name)
	}
	at, _, err := e.locate(ctx, id)
	if err != nil {
		return broker.Backlog{}, err
	}
	b, err := e.cfg.Broker.Backlog(ctx, bandLog(q.Name, at.rank))
	if err != nil {
		return broker.Backlog{}, fmt.Errorf("read backlog of queue %s: %w", q.Name, err)
	}
	return b, nil
}

// backlog adds up what the logs of a queue hold.
func (e *Engine) backlog(ctx context.Context, name string) (sum broker.Backlog, err error) {
	q, ok := e.Queue(name)
	if !ok {
		return sum, e.unknownQueue(name)
	}
	for _, log := range logs(&q) {
		b, err := e.cfg.Broker.Backlog(ctx, log)
		if err != nil {
			return broker.Backlog{}, fmt.Errorf("read backlog of queue %s: %w", name, err)
		}
		sum.Tasks += b.Tasks
		sum.Bytes += b.Bytes
		if sum.Oldest.IsZero() || !b.Oldest.IsZero() && b.Oldest.Before(sum.Oldest) {
			sum.Oldest = b.Oldest
		}
	}
	return sum, nil
}
