package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/fenfa/fenfa"
)

func TestWaitingTasksSayWhichWorkersTheyAskFor(t *testing.T) {
	place := func(require, prefer string) fenfa.Placement {
		return fenfa.Placement{Require: strings.Fields(require), Prefer: strings.Fields(prefer)}
	}
	for want, c := range map[string]fenfa.WaitingClass{
		"": {Tasks: 5, Workers: 1},
		"5 tasks: no connected worker takes tasks of this queue":                             {Tasks: 5},
		"2 tasks require gpu=h100: no connected worker may get such tasks":                   {Placement: place("gpu=h100", ""), Tasks: 2},
		"1 task requires gpu,zone=a: 1 worker may get such tasks":                            {Placement: place("gpu zone=a", ""), Tasks: 1, Workers: 1},
		"parked tasks require gpu: no connected worker may get such tasks":                   {Placement: place("gpu", ""), Parked: true},
		"1 task and parked ones require gpu and prefer zone=a: 3 workers may get such tasks": {Placement: place("gpu", "zone=a"), Tasks: 1, Parked: true, Workers: 3},
		"1 task prefers zone=a: no connected worker takes tasks of this queue":               {Placement: place("", "zone=a"), Tasks: 1},
	} {
		if got := waitingText(&c); got != want {
			t.Errorf("%+v is %q, want %q", c, got, want)
		}
	}
	if rows := waitingRows([]fenfa.WaitingClass{{Tasks: 1, Workers: 1}, {Tasks: 1}}); len(rows) != 1 {
		t.Errorf("rows %v", rows)
	}
}

func TestATaskThatNoWorkerMayHaveCanBeRecognised(t *testing.T) {
	n := serveNode(t, t.TempDir())
	n.ok(t, &queueView{}, "queue", "set", "jobs", "--require", "nosuch")
	startWorker(t, n, "--queue", "jobs", "--exec", "true")
	var workers struct{ Workers []workerView }
	waitFor(t, func() bool {
		n.ok(t, &workers, "cluster", "workers")
		return len(workers.Workers) == 1
	})
	var submitted struct{ Tasks []submittedView }
	n.ok(t, &submitted, "submit", "--queue", "jobs", "--require", "gpu=h100", "a", "b")
	var info queueView
	waitFor(t, func() bool {
		n.ok(t, &info, "queue", "describe", "jobs")
		return len(info.Stats.Waiting) == 1 && info.Stats.Waiting[0].Tasks == 2
	})
	w := info.Stats.Waiting[0]
	if !slices.Equal(w.Require, []string{"gpu=h100", "nosuch"}) || w.Workers != 0 || w.Prefer == nil || info.Stats.Workers != 0 {
		t.Errorf("%d workers, waiting %+v", info.Stats.Workers, w)
	}
	code, stdout, _ := n.run(t, "queue", "describe", "jobs")
	if code != exitOK || !strings.Contains(stdout, "2 tasks require gpu=h100,nosuch: no connected worker may get such tasks\n") {
		t.Errorf("exit code %d, output %q", code, stdout)
	}
	const missing = `a worker that takes tasks of queue "jobs" and meets gpu=h100,nosuch: none is connected that takes new tasks`
	var got taskView
	n.ok(t, &got, "task", "get", submitted.Tasks[0].ID)
	if got.State != fenfa.StateReady || got.WaitsFor != missing {
		t.Errorf("the task is %s and waits for %q", got.State, got.WaitsFor)
	}
	code, stdout, _ = n.run(t, "task", "get", submitted.Tasks[0].ID)
	if code != exitOK || !strings.Contains(stdout, missing+"\n") {
		t.Errorf("exit code %d, output %q", code, stdout)
	}
}
