package partition

import "github.com/fenfa/fenfa/internal/task"

// recentIDs remembers tasks that ended a short while ago, for brokers that may
// deliver one task under two positions: the reader's look into the store can be
// older than the task's end. The zero value remembers nothing.
type recentIDs struct {
	most       int
	young, old map[task.ID]struct{}
}

func (r *recentIDs) add(id task.ID) {
	if r.most == 0 {
		return
	}
	if r.young == nil || len(r.young) >= r.most {
		r.old, r.young = r.young, make(map[task.ID]struct{})
	}
	r.young[id] = struct{}{}
}

func (r *recentIDs) has(id task.ID) bool {
	if r.most == 0 {
		return false
	}
	_, young := r.young[id]
	_, old := r.old[id]
	return young || old
}
