package server

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

// maxWaiting is how many classes of waiting tasks an answer has.
const maxWaiting = 20

// waiting tells what the tasks of a queue that wait ask of workers, and how many
// may get them: those first that nobody may get, and among these the most tasks.
func (s *Server) waiting(ctx context.Context, queue string) ([]*fenfav1.WaitingClass, error) {
	classes, err := s.cfg.Engine.Waiting(ctx, queue)
	if err != nil {
		return nil, err
	}
	all := make([]*fenfav1.WaitingClass, len(classes))
	for i, c := range classes {
		all[i] = &fenfav1.WaitingClass{
			Placement: placementToWire(c.Placement), Tasks: c.Tasks, Parked: c.Parked,
			Workers: int64(s.cfg.Workers.Eligible(queue, c.Placement.Require)),
		}
	}
	slices.SortStableFunc(all, func(a, b *fenfav1.WaitingClass) int {
		return cmp.Or(cmp.Compare(min(a.GetWorkers(), 1), min(b.GetWorkers(), 1)), cmp.Compare(b.GetTasks(), a.GetTasks()))
	})
	return all[:min(len(all), maxWaiting)], nil
}

// waitsFor says what a task waits for that nobody may get now: the end of its queue's
// pause, or which worker is missing.
func (s *Server) waitsFor(st *partition.TaskStatus) string {
	if st.Task == nil || st.State != task.StateReady && st.State != task.StateQueued {
		return ""
	}
	q, ok := s.cfg.Engine.Queue(st.Task.Queue)
	if !ok {
		return ""
	}
	require := st.Task.Placement.With(q.Placement).Require
	switch {
	case q.Paused:
		return fmt.Sprintf("the end of the pause of queue %q: `fenfa queue resume %s`", q.Name, q.Name)
	case s.cfg.Workers.Eligible(q.Name, require) > 0:
		return ""
	case require == "":
		return fmt.Sprintf("a worker that takes tasks of queue %q: none is connected that takes new tasks", q.Name)
	default:
		return fmt.Sprintf("a worker that takes tasks of queue %q and meets %s: none is connected that takes new tasks", q.Name, require)
	}
}
