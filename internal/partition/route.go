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
// key, that of what it is the only one of, or that of the run. Where the broker does not recognize a repeated submit by
// itself, it is the ID's, so that the repeat meets the first one.
func (r *router) partition(t *task.Task) int {
	if part, ok := r.e.fixedPartition(t); ok {
		return part
	}
	if r.left == 0 {
		r.left = keylessRun
		r.part = int(r.e.runs.Add(1)) % r.e.cfg.Partitions
	}
	r.left--
	return r.part
}

// fixedPartition returns the partition that follows from the task itself, if one does.
func (e *Engine) fixedPartition(t *task.Task) (part int, ok bool) {
	if t.Key != "" {
		return t.Partition(e.cfg.Partitions), true
	}
	if len(t.Headers) > 0 {
		if ref, unique := task.UniqueOf(t); unique {
			return ref.Partition(e.cfg.Partitions), true
		}
	}
	if !e.dedupes {
		return t.Partition(e.cfg.Partitions), true
	}
	return 0, false
}

// partitionOf finds the partition of a task that was submitted before.
func (e *Engine) partitionOf(ctx context.Context, t *task.Task) (part int, ok bool) {
	if part, ok = e.fixedPartition(t); ok {
		return part, true
	}
	located, found, err := e.locate(ctx, t.ID)
	return located.Partition, found && err == nil
}
