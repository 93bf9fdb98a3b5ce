package fenfa

import (
	"context"
	"strconv"
	"testing"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

const done = fenfav1.TaskState_TASK_STATE_DONE

func TestWorkerRunsTasksOfAKeyInOrderOverOneView(t *testing.T) {
	n := startFake(t)
	c := dial(t, n)
	n.with(func() { n.put("sku", "stock", "60") })
	var seen []int
	w := c.Worker(Concurrency(8))
	w.Handle("orders", func(ctx context.Context, task *Task) error {
		var o int
		if err := task.Decode(&o); err != nil {
			return Reject(err)
		}
		seen = append(seen, o)
		var stock int
		if err := task.State().Get(ctx, "stock", &stock); err != nil {
			return err
		}
		if stock == 0 {
			return task.Return("sold out")
		}
		task.State().Put("stock", stock-1)
		task.Emit(NewTask("payments", o, Key(strconv.Itoa(o))))
		return nil
	})
	tasks := make([]*Task, 100)
	for i := range tasks {
		tasks[i] = NewTask("orders", i, Key("sku"))
	}
	submit(t, c, tasks...)
	stop := work(t, w)
	n.await("all orders done", func() bool { return n.state(tasks[99].ID()) == done })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	n.with(func() {
		for i, task := range tasks {
			have := n.tasks[task.ID().String()]
			if want := i >= 60; (string(have.result) == "sold out") != want {
				t.Errorf("order %d: result %q, want sold out: %v", i, have.result, want)
			}
			if have.effects != 1 {
				t.Errorf("order %d took effect %d times", i, have.effects)
			}
			if seen[i] != i {
				t.Fatalf("order %d ran as number %d", seen[i], i)
			}
		}
		if got := string(n.records[fakeKey{"sku", "stock"}].value); got != "0" {
			t.Errorf("stock is %s, want 0", got)
		}
		if payments := len(n.order) - 100; payments != 60 {
			t.Errorf("%d payments were emitted, want 60", payments)
		}
	})
}
