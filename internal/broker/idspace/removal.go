package idspace

import (
	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/task"
)

// rangeAtLeast is how many neighbours are deleted as one range: ranges cost readers
// more than single deletions do.
const rangeAtLeast = 256

// removal collects rows that are neighbours, and deletes long runs of them as one
// range.
type removal struct {
	batch   *kv.Batch
	space   Space
	rowSize int
	ranges  bool
	run     []task.ID
	count   int
}

func (r *removal) add(id *task.ID) {
	r.run = append(r.run, *id)
	r.count++
}

// flush deletes the run.
func (r *removal) flush() {
	if n := len(r.run); r.ranges && n >= rangeAtLeast {
		r.batch.DeleteRange(r.space.Key(&r.run[0]), append(r.space.Key(&r.run[n-1]), 0))
	} else {
		for i := range r.run {
			r.batch.DeleteSized(r.space.Key(&r.run[i]), r.rowSize)
		}
	}
	r.run = r.run[:0]
}
