package ledger

import (
	"container/heap"

	"github.com/fenfa/fenfa/internal/task"
)

// aborts are aborted transactions that are not forgotten, those that began first in
// front: what is old enough to be forgotten is found without a look at the others.
type aborts struct {
	began map[task.ID]task.Timestamp
	queue abortQueue
}

func newAborts() aborts { return aborts{began: make(map[task.ID]task.Timestamp)} }

func (a *aborts) has(tx task.ID) bool {
	_, ok := a.began[tx]
	return ok
}

func (a *aborts) add(tx task.ID, began task.Timestamp) {
	if a.has(tx) {
		return
	}
	a.began[tx] = began
	heap.Push(&a.queue, abort{began, tx})
}

// before removes the one that began first and returns it, if it began before a time.
func (a *aborts) before(edge task.Timestamp) (abort, bool) {
	if len(a.queue) == 0 || a.queue[0].began >= edge {
		return abort{}, false
	}
	first, _ := heap.Pop(&a.queue).(abort)
	delete(a.began, first.tx)
	return first, true
}

// abort is one aborted transaction.
type abort struct {
	began task.Timestamp
	tx    task.ID
}

// abortQueue is a heap by begin.
type abortQueue []abort

// Len implements heap.Interface.
func (q abortQueue) Len() int { return len(q) }

// Less implements heap.Interface.
func (q abortQueue) Less(i, j int) bool {
	if q[i].began != q[j].began {
		return q[i].began < q[j].began
	}
	return q[i].tx.Compare(q[j].tx) < 0
}

// Swap implements heap.Interface.
func (q abortQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *abortQueue) Push(x any) { *q = append(*q, x.(abort)) } //nolint:forcetypeassert // Only aborts are pushed.

// Pop implements heap.Interface.
func (q *abortQueue) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	*q = (*q)[:last]
	return x
}
