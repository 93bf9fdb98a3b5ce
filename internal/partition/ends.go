package partition

import (
	"slices"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// ended is what is known of a task for which somebody waits. lost says that its
// partition is not served any more: it is to be asked again.
type ended struct {
	st   TaskStatus
	err  error
	lost bool
}

// endWait is somebody who waits for tasks to end. tell does not block, and may be
// told of a task more than once.
type endWait struct {
	tell func(ended)
}

// awaitEnds registers who waits for tasks. It answers, when what it says of them can
// be read in the store, with those that are not in memory.
func (c *core) awaitEnds(w *endWait, ids []task.ID, answer func(missing []task.ID)) {
	var missing []task.ID
	for _, id := range ids {
		c.ends[id] = append(c.ends[id], w)
		if c.tasks[id] == nil {
			missing = append(missing, id)
		}
	}
	if len(missing) == 0 {
		answer(nil)
		return
	}
	c.afterDurable(func() { answer(missing) })
}

// forgetEnds drops who waits for tasks.
func (c *core) forgetEnds(w *endWait, ids []task.ID) {
	for _, id := range ids {
		waits := slices.DeleteFunc(c.ends[id], func(other *endWait) bool { return other == w })
		if len(waits) == 0 {
			delete(c.ends, id)
			continue
		}
		c.ends[id] = waits
	}
}

// tellEnd tells those who wait for a task that it has ended, when that is durable.
func (c *core) tellEnd(mark *store.Dedup) {
	if c.ends[mark.ID] == nil || !mark.State.Final() || mark.Queue == "" { // A mark without a queue is that of a commit.
		return
	}
	st := statusOf(mark)
	c.afterDurable(func() {
		for _, w := range c.ends[st.ID] { // Kept until now: the owner may be lost before.
			w.tell(ended{st: st})
		}
		delete(c.ends, st.ID)
	})
}

// loseEnds tells everybody who waits that this owner will not say anything.
func (c *core) loseEnds() {
	for id, waits := range c.ends {
		for _, w := range waits {
			w.tell(ended{st: TaskStatus{ID: id}, lost: true})
		}
	}
	clear(c.ends)
}

// statusOf is what a mark says of its task.
func statusOf(mark *store.Dedup) TaskStatus {
	st := TaskStatus{
		ID: mark.ID, State: mark.State, Queue: mark.Queue, Key: mark.Key, CreatedAt: mark.CreatedAt.Time(), FinishedAt: mark.FinishedAt.Time(),
		NextAt: mark.Due, Attempts: mark.Attempts, Deliveries: mark.Deliveries, Worker: mark.Worker, Result: mark.Result, Error: mark.Error,
	}
	if mark.Took > 0 {
		st.StartedAt = st.FinishedAt.Add(-mark.Took)
	}
	return st
}
