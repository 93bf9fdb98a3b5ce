package partition

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// maxWaiting is how many of the placements that tasks wait with are told.
const maxWaiting = 200

// WaitingClass is the tasks of a queue that ask the same of workers and wait for
// one, over the partitions of this node.
type WaitingClass struct {
	Placement task.Placement // with what the queue asks
	Tasks     int64          // in memory
	Parked    bool           // others are in the store until a worker takes some
}

// Waiting tells what the tasks of a queue that wait for workers ask of them: the
// 200 placements with the most tasks, those first.
func (e *Engine) Waiting(ctx context.Context, name string) ([]WaitingClass, error) {
	if _, ok := e.Queue(name); !ok {
		return nil, e.unknownQueue(name)
	}
	sum := make(map[task.Placement]WaitingClass)
	for _, o := range e.owners {
		part, err := look(ctx, o, func(c *core, _ time.Time, answer func([]WaitingClass)) { answer(c.waiting(name)) })
		if err != nil {
			return nil, err
		}
		for _, w := range part {
			old := sum[w.Placement]
			w.Tasks, w.Parked = w.Tasks+old.Tasks, w.Parked || old.Parked
			sum[w.Placement] = w
		}
	}
	all := make([]WaitingClass, 0, len(sum))
	for _, w := range sum {
		all = append(all, w)
	}
	slices.SortFunc(all, func(a, b WaitingClass) int {
		return cmp.Or(cmp.Compare(b.Tasks, a.Tasks), cmp.Compare(a.Placement.Require, b.Placement.Require), cmp.Compare(a.Placement.Prefer, b.Placement.Prefer))
	})
	return all[:min(len(all), maxWaiting)], nil
}

// waiting returns the classes of a queue whose lanes wait for a worker. All of a
// lane counts for the class of its first task, which the others wait behind.
func (c *core) waiting(name string) []WaitingClass {
	q := c.queues[name]
	if q == nil {
		return nil
	}
	found := make(map[*class]*WaitingClass)
	count := func(cl *class, tasks int, parked bool) {
		if tasks == 0 && !parked {
			return
		}
		if found[cl] == nil {
			found[cl] = &WaitingClass{Placement: cl.place}
		}
		found[cl].Tasks += int64(tasks)
		found[cl].Parked = found[cl].Parked || parked
	}
	for _, l := range q.lanes {
		if l.status == laneReady && l.class != nil {
			count(l.class, l.items.len(), l.tail)
		}
	}
	for _, cl := range q.classes {
		if cl.shared.status == laneReady {
			count(cl, cl.shared.items.len(), cl.shared.tail)
		}
		count(cl, 0, cl.aside.len() > 0)
	}
	all := make([]WaitingClass, 0, len(found))
	for _, w := range found {
		all = append(all, *w)
	}
	return all
}
