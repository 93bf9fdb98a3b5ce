package server

import (
	"fmt"
	"testing"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

func requiring(terms task.Selector) task.Placement { return task.Placement{Require: terms} }

func TestDescribeTellsWhichWaitingTasksHaveNoWorker(t *testing.T) {
	h := newHarness(t, func(e *fakeEngine, _ *Config) {
		e.waiting = []partition.WaitingClass{
			{Tasks: 9}, {Placement: requiring("zone=a"), Tasks: 5, Parked: true}, {Placement: task.Placement{Require: "gpu", Prefer: "zone=a"}, Tasks: 7},
		}
	})
	h.worker(t)
	c := fenfav1.NewQueueServiceClient(h.conn)
	got, err := c.Describe(t.Context(), &fenfav1.DescribeQueueRequest{Name: "orders"})
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, w := range got.GetStats().GetWaiting() {
		text += fmt.Sprintf("%v%v %d %v %d; ", w.GetPlacement().GetRequire(), w.GetPlacement().GetPrefer(), w.GetTasks(), w.GetParked(), w.GetWorkers())
	}
	if want := "[gpu][zone=a] 7 false 0; [zone=a][] 5 true 0; [][] 9 false 1; "; text != want {
		t.Errorf("waiting are %s, want %s", text, want)
	}
	list, err := c.List(t.Context(), &fenfav1.ListQueuesRequest{})
	if err != nil || len(list.GetQueues()) != 2 || len(list.GetQueues()[1].GetStats().GetWaiting()) != 0 {
		t.Errorf("listed %v, %v", list, err)
	}
}

func TestDescribeTellsOfTheClassesWithoutWorkersFirstAndOfNotTooMany(t *testing.T) {
	h := newHarness(t, func(e *fakeEngine, _ *Config) {
		for i := range 30 {
			e.waiting = append(e.waiting, partition.WaitingClass{Placement: requiring(task.Selector(fmt.Sprint("!gpu", i))), Tasks: int64(100 - i)})
		}
		e.waiting = append(e.waiting, partition.WaitingClass{Placement: requiring("gpu"), Tasks: 1})
	})
	h.worker(t)
	got, err := h.waiting(t.Context(), "orders")
	if err != nil || len(got) != maxWaiting || got[0].GetPlacement().GetRequire()[0] != "gpu" || got[1].GetTasks() != 100 || got[1].GetWorkers() != 1 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestOnlyWorkersThatMeetWhatTheQueueRequiresAreCounted(t *testing.T) {
	h := newHarness(t, func(e *fakeEngine, _ *Config) { e.queues[0].Placement = requiring("nosuch") })
	h.worker(t)
	got, err := fenfav1.NewQueueServiceClient(h.conn).List(t.Context(), &fenfav1.ListQueuesRequest{})
	if err != nil || got.GetQueues()[1].GetQueue().GetName() != "orders" || got.GetQueues()[1].GetStats().GetWorkers() != 0 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestATaskThatNoWorkerMayGetSaysWhichOneIsMissing(t *testing.T) {
	for name, c := range map[string]struct {
		state task.State
		task  *task.Task
		want  string
	}{
		"it asks for what is not there": {task.StateReady, &task.Task{Queue: "orders", Placement: requiring("gpu")}, `a worker that takes tasks of queue "orders" and meets gpu: none is connected that takes new tasks`},
		"it is parked":                  {task.StateQueued, &task.Task{Queue: "orders", Placement: requiring("gpu")}, `a worker that takes tasks of queue "orders" and meets gpu: none is connected that takes new tasks`},
		"nobody serves its queue":       {task.StateReady, &task.Task{Queue: "mail"}, `a worker that takes tasks of queue "mail": none is connected that takes new tasks`},
		"a worker may get it":           {task.StateReady, &task.Task{Queue: "orders"}, ""},
		"it waits for its time":         {task.StateScheduled, &task.Task{Queue: "mail"}, ""},
		"it is done":                    {task.StateDone, nil, ""},
		"its queue is gone":             {task.StateReady, &task.Task{Queue: "gone"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, func(e *fakeEngine, _ *Config) {
				e.status = func(id task.ID) (partition.TaskStatus, error) {
					return partition.TaskStatus{ID: id, State: c.state, Task: c.task}, nil
				}
			})
			h.worker(t)
			got, err := h.tasks().Get(t.Context(), &fenfav1.GetTaskRequest{Id: someID})
			if err != nil || got.GetStatus().GetWaitsFor() != c.want {
				t.Errorf("it waits for %q, %v; want %q", got.GetStatus().GetWaitsFor(), err, c.want)
			}
		})
	}
}
