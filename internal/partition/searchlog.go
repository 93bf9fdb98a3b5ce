package partition

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/task"
)

// queueLog is a log that a queue has at the broker.
type queueLog struct {
	queue, log string
}

// logsFrom returns the logs of the queues that a search means, from its cursor on.
func (e *Engine) logsFrom(f *TaskFilter, cur *searchCursor) (all []queueLog) {
	for _, q := range e.Queues() {
		if f.Queue != "" && f.Queue != q.Name {
			continue
		}
		for _, log := range logs(&q) {
			if l := (queueLog{q.Name, log}); l.compare(queueLog{cur.queue, cur.class}) >= 0 {
				all = append(all, l)
			}
		}
	}
	slices.SortFunc(all, queueLog.compare)
	return all
}

func (l queueLog) compare(o queueLog) int {
	return cmp.Or(cmp.Compare(l.queue, o.queue), cmp.Compare(l.log, o.log))
}

// searchLog looks at the next tasks in the logs that were not read, where the broker
// can show them.
func (e *Engine) searchLog(ctx context.Context, f *TaskFilter, cur *searchCursor, limit int) ([]TaskStatus, int, error) {
	peeker, ok := e.cfg.Broker.(broker.Peeker)
	if !ok {
		return nil, 0, nil
	}
	for _, l := range e.logsFrom(f, cur) {
		if l != (queueLog{cur.queue, cur.class}) {
			cur.queue, cur.class, cur.seq = l.queue, l.log, 0
		}
		messages, _, err := peeker.Peek(ctx, l.log, cur.part, broker.Position(cur.seq), broker.Limit{Tasks: searchPage, Bytes: pageBytes})
		if err != nil {
			return nil, 0, fmt.Errorf("search tasks: %w", err)
		}
		if len(messages) == 0 {
			continue
		}
		found, examined := e.unread(f, messages, limit)
		cur.seq = uint64(messages[examined-1].Position) + 1
		found, err = e.waitingNow(ctx, f, cur.part, found)
		return found, examined, err
	}
	return nil, 0, nil
}

// unread returns the first tasks of messages that the filter means, and how many
// messages it looked at.
func (e *Engine) unread(f *TaskFilter, messages []broker.Delivery, limit int) (found []TaskStatus, examined int) {
	now := e.cfg.Clock.Now()
	for ; examined < len(messages) && len(found) < limit; examined++ {
		st, ok := bodyStatus(f, messages[examined].Body, task.StateQueued)
		if !ok {
			continue
		}
		if st.Task.RunAt.After(now) {
			st.State, st.NextAt = task.StateScheduled, st.Task.RunAt
		}
		found = append(found, st)
	}
	return found, examined
}
