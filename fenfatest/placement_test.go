package fenfatest_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
)

// labelled starts a worker of queue "q" whose tasks' results are nothing, and which
// runs one at a time.
func labelled(n *fenfatest.Node, id string, labels map[string]string, h fenfa.HandlerFunc) {
	w := n.Client().Worker(fenfa.WorkerID(id), fenfa.Labels(labels), fenfa.Concurrency(1), fenfa.MaxPrefetch(0))
	w.Handle("q", h)
	n.Run(w)
}

func nothing(context.Context, *fenfa.Task) error { return nil }

// awaitWorkers waits until so many workers are connected.
func awaitWorkers(t *testing.T, c *fenfa.Client, want int) {
	t.Helper()
	for {
		workers, err := c.Workers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(workers) == want {
			return
		}
	}
}

func submitAll(t *testing.T, c *fenfa.Client, tasks ...*fenfa.Task) {
	t.Helper()
	results, err := c.SubmitBatch(t.Context(), tasks)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
}

func TestTasksRunOnlyWhereTheirLabelsAllow(t *testing.T) {
	n := fenfatest.Start(t, fenfatest.WithQueue(fenfa.Queue{Name: "q", Placement: fenfa.Placement{Require: []string{"!old"}}}))
	c := n.Client()
	labelled(n, "eu", map[string]string{"zone": "eu"}, nothing)
	labelled(n, "us", map[string]string{"zone": "us", "gpu": "a100"}, nothing)
	labelled(n, "old", map[string]string{"zone": "eu", "gpu": "k80", "old": ""}, nothing)
	awaitWorkers(t, c, 3)
	wants := map[string]string{"zone=eu": "eu", "zone=us": "us", "gpu": "us", "zone!=us": "eu", "gpu=a100,zone=us": "us"}
	var tasks []*fenfa.Task
	var want []string
	for term, worker := range wants {
		for i := range 20 {
			key := fenfa.Key("")
			if i%2 == 0 {
				key = fenfa.Key(fmt.Sprint("key ", i))
			}
			tasks, want = append(tasks, fenfa.NewTask("q", i, key, fenfa.Require(term))), append(want, worker)
		}
	}
	submitAll(t, c, tasks...)
	for i, task := range tasks {
		if st := n.Await(t.Context(), task.ID()); st.State != fenfa.StateDone || st.Worker != want[i] || st.Deliveries != 1 {
			t.Errorf("a task that requires %q: %s by %s after %d deliveries, want %s", task.Placement().Require, st.State, st.Worker, st.Deliveries, want[i])
		}
	}
}

func TestATaskThatNobodyMayHaveWaitsAndKeepsNobodyElseWaiting(t *testing.T) {
	n := fenfatest.Start(t, fenfatest.WithPartitions(1), fenfatest.WithQueues("q"))
	c := n.Client()
	stuck := []*fenfa.Task{
		fenfa.NewTask("q", 1, fenfa.Require("gpu")),
		fenfa.NewTask("q", 2, fenfa.Key("stuck"), fenfa.Require("gpu")),
		fenfa.NewTask("q", 3, fenfa.Key("stuck")), // Behind it by its key.
	}
	submitAll(t, c, stuck...)
	labelled(n, "plain", nil, nothing)
	var free []*fenfa.Task
	for i := range 50 {
		free = append(free, fenfa.NewTask("q", i, fenfa.Key(fmt.Sprint(i%5))), fenfa.NewTask("q", i))
	}
	submitAll(t, c, free...)
	for _, task := range free {
		if st := n.Await(t.Context(), task.ID()); st.Worker != "plain" {
			t.Errorf("a task that asks for nothing was done by %q", st.Worker)
		}
	}
	for i, task := range stuck {
		if st, err := c.Task(t.Context(), task.ID()); err != nil || st.State.Final() || st.Deliveries != 0 {
			t.Errorf("task %d, whose worker is not there, is %+v, %v", i, st, err)
		}
	}
	labelled(n, "gpu", map[string]string{"gpu": ""}, nothing)
	for i, task := range stuck {
		if st := n.Await(t.Context(), task.ID()); st.State != fenfa.StateDone || i < 2 && st.Worker != "gpu" {
			t.Errorf("task %d: %s by %s", i, st.State, st.Worker)
		}
	}
}

func TestAPreferredWorkerComesFirstAsLongAsItHasRoom(t *testing.T) {
	n := fenfatest.Start(t, fenfatest.WithQueues("q"))
	c := n.Client()
	begun, release := make(chan struct{}), make(chan struct{})
	labelled(n, "near", map[string]string{"zone": "eu"}, func(_ context.Context, task *fenfa.Task) error {
		if string(task.Payload()) == "hold" {
			close(begun)
			<-release
		}
		return nil
	})
	labelled(n, "far", nil, nothing)
	awaitWorkers(t, c, 2)
	one := func(payload string) *fenfa.Task {
		task := fenfa.NewTask("q", payload, fenfa.Prefer("zone=eu"))
		submitAll(t, c, task)
		return task
	}
	for i := range 20 {
		if st := n.Await(t.Context(), one("").ID()); st.Worker != "near" {
			t.Fatalf("task %d was done by %s, and near had room", i, st.Worker)
		}
	}
	held := one("hold")
	<-begun
	for i := range 5 {
		if st := n.Await(t.Context(), one("").ID()); st.Worker != "far" {
			t.Errorf("task %d was done by %s, and near was full", i, st.Worker)
		}
	}
	close(release)
	n.Await(t.Context(), held.ID())
}

func TestQueuesShareAWorkerInProportion(t *testing.T) {
	n := fenfatest.Start(t,
		fenfatest.WithQueue(fenfa.Queue{Name: "big", Share: 3}),
		fenfatest.WithQueue(fenfa.Queue{Name: "small"}),
	)
	c := n.Client()
	const each, slots, counted = 400, 8, 400
	var tasks []*fenfa.Task
	for i := range each {
		tasks = append(tasks, fenfa.NewTask("big", i), fenfa.NewTask("small", i))
	}
	submitAll(t, c, tasks...)
	ran := make(chan string, 2*each)
	w := c.Worker(fenfa.Concurrency(slots), fenfa.MaxPrefetch(0))
	for _, queue := range []string{"big", "small"} {
		w.Handle(queue, func(ctx context.Context, _ *fenfa.Task) error {
			ran <- queue
			select {
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
			}
			return nil
		})
	}
	n.Run(w)
	big := 0
	for range counted { // Both have tasks waiting all the time.
		if <-ran == "big" {
			big++
		}
	}
	if share := float64(big) / counted; share < 0.65 || share > 0.85 {
		t.Errorf("the queue with 3 of 4 shares had %.0f%% of the worker", share*100)
	}
	for _, task := range tasks {
		n.Await(t.Context(), task.ID())
	}
}

func TestALiveWeightCountsAtOnce(t *testing.T) {
	n := fenfatest.Start(t, fenfatest.WithPartitions(1),
		fenfatest.WithQueue(fenfa.Queue{Name: "q", Balance: fenfa.Balance{Policy: fenfa.BalanceWeighted}}))
	c := n.Client()
	labelled(n, "a", nil, nothing)
	labelled(n, "b", nil, nothing)
	awaitWorkers(t, c, 2)
	before, err := c.SetWorkerWeight(t.Context(), "b", 9)
	if err != nil || before.Weight != 9 || !before.WeightIsSet {
		t.Fatalf("worker %+v, %v", before, err)
	}
	by := map[string]int{}
	for i := range 50 {
		task := fenfa.NewTask("q", i)
		submitAll(t, c, task)
		by[n.Await(t.Context(), task.ID()).Worker]++
	}
	if by["b"] < 40 || by["a"] == 0 {
		t.Errorf("with weights 1 and 9 they did %v of 50", by)
	}
	if _, err := c.SetWorkerQuiet(t.Context(), "b", true); err != nil {
		t.Fatal(err)
	}
	task := fenfa.NewTask("q", "x")
	submitAll(t, c, task)
	if st := n.Await(t.Context(), task.ID()); st.Worker != "a" {
		t.Errorf("a quiet worker got a task")
	}
	workers, err := c.Workers(t.Context())
	if i := slices.IndexFunc(workers, func(w fenfa.WorkerInfo) bool { return w.ID == "b" }); err != nil || workers[i].State != fenfa.WorkerQuiet {
		t.Errorf("workers %+v, %v", workers, err)
	}
}
