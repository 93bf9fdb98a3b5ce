package partition

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"github.com/fenfa/fenfa/internal/task"
)

// waits returns what the core tells of tasks that wait, by what they require.
func (r *rig) waits(queue string) string {
	all := r.c.waiting(queue)
	slices.SortFunc(all, func(a, b WaitingClass) int { return cmp.Compare(a.Placement.Require, b.Placement.Require) })
	text := ""
	for _, w := range all {
		text += fmt.Sprintf("%s:%d:%v ", w.Placement.Require, w.Tasks, w.Parked)
	}
	return text
}

func TestWhatWaitingTasksAskOfWorkersIsTold(t *testing.T) {
	for queue, keys := range map[string][]string{"keyed": {"a", "b", "b", "c"}, "loose": {"", "", "", ""}} {
		t.Run(queue, func(t *testing.T) {
			r := newRig(t, nil)
			if got := r.waits(queue) + r.waits("no such queue"); got != "" {
				t.Errorf("without tasks: %s", got)
			}
			r.deliver(placed(queue, keys[0], "1", gpu), placed(queue, keys[1], "2", "zone=a"), placed(queue, keys[2], "3", "zone=a"), newTask(queue, keys[3], "4"))
			if got := r.waits(queue); got != "gpu:1:false zone=a:2:false " {
				t.Errorf("%s; the plain task is with a worker", got)
			}
			r.settings(queue, func(q *task.Queue) { q.Placement.Require = "os=linux" })
			if got := r.waits(queue); got != "gpu,os=linux:1:false os=linux,zone=a:2:false " {
				t.Errorf("%s, want what the queue asks with it", got)
			}
		})
	}
}

func TestTasksThatWereSetAsideForWantOfAWorkerAreTold(t *testing.T) {
	for _, queue := range []string{"keyed", "loose"} {
		t.Run(queue, func(t *testing.T) {
			r := crowd(t, queue)
			if got := r.waits(queue); got != "gpu:8:false " {
				t.Errorf("at first %s", got)
			}
			r.pass(parkAfter + tickInterval)
			if got := r.waits(queue); len(r.c.tasks) != 0 || got != "gpu:0:true " {
				t.Errorf("%s with %d tasks in memory, want those that are parked", got, len(r.c.tasks))
			}
		})
	}
}

func TestWaitingIsToldOverAllPartitions(t *testing.T) {
	inBubble(t, 4, func(r *engineRig) {
		t := r.t
		r.w.setClosed(true)
		var tasks []task.Task
		for i := range 12 {
			tasks = append(tasks, placed("keyed", fmt.Sprint("k", i), fmt.Sprint(i), []task.Selector{"", "gpu", "gpu"}[i%3]))
		}
		r.submit(tasks...)
		got, err := r.e.Waiting(t.Context(), "keyed")
		want := []WaitingClass{{Placement: task.Placement{Require: "gpu"}, Tasks: 8}, {Tasks: 4}}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}
		_, err = r.e.Waiting(t.Context(), "keyd")
		wantCode(t, err, task.CodeNotFound, "did you mean")
		r.w.setClosed(false)
	})
}
