package partition

import (
	"context"

	"github.com/fenfa/fenfa/internal/task"
)

// keylessRun is how many tasks without a key go to one partition before the next
// one has its turn. Runs keep batches large at every later step; a rate that needs
// all partitions at once fills many runs.
const keylessRun = 128

// router gives the tasks of one call their partitions. It belongs to one
// goroutine.
type router struct {
	e    *Engine
	part int
	left int
}

// partition returns the task's partition: its key's, or, for a task without a
// key, that of the run. Where the broker does not recognize a repeated submit by
// itself, it is the ID's, so that the repeat meets the first one.
func (r *router) partition(t *task.Task) int {
	if t.Key != "" || !r.e.dedupes {
		return t.Partition(r.e.cfg.Partitions)
	}
	if r.left == 0 {
		r.left = keylessRun
		r.part = int(r.e.runs.Add(1)) % r.e.cfg.Partitions
	}
	r.left--
	return r.part
}

// partitionOf finds the partition of a task that was submitted before.
func (e *Engine) partitionOf(ctx context.Context, t *task.Task) (part int, ok bool) {
	if t.Key != "" || !e.dedupes {
		return t.Partition(e.cfg.Partitions), true
	}
	located, found, err := e.locate(ctx, t.ID)
	return located.Partition, found && err == nil
}
