package fenfatest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
)

func TestABatchHandlerGetsManyTasksAndKeepsTheOrderOfKeys(t *testing.T) {
	retry := fenfa.RetryPolicy{Base: time.Millisecond, Max: time.Millisecond}
	n := fenfatest.Start(t, fenfatest.WithQueue(fenfa.Queue{Name: "rows", Retry: retry}), fenfatest.WithQueue(fenfa.Queue{Name: "loose", Order: fenfa.OrderNone}))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var mu sync.Mutex
	var largest int
	done := map[string][]int{} // by key
	handle := func(_ context.Context, tasks []*fenfa.Task) []error {
		mu.Lock()
		defer mu.Unlock()
		largest = max(largest, len(tasks))
		errs := make([]error, len(tasks))
		keys := map[string]bool{}
		for i, task := range tasks {
			var number int
			if err := task.Decode(&number); err != nil {
				errs[i] = err
				continue
			}
			if key := task.Key(); key != "" && task.Queue() == "rows" {
				if keys[key] {
					t.Errorf("two tasks of key %s in one call", key)
				}
				keys[key] = true
			}
			if number == 3 && task.Attempt() == 1 {
				errs[i] = errors.New("not yet")
				continue
			}
			done[task.Key()] = append(done[task.Key()], number)
			errs[i] = task.Return(number)
		}
		return errs
	}
	var ids []fenfa.ID
	for _, queue := range []string{"rows", "loose"} {
		var tasks []*fenfa.Task
		for i := range 60 {
			task := fenfa.NewTask(queue, i/6, fenfa.Key(fmt.Sprint(queue, "-", i%6)))
			tasks, ids = append(tasks, task), append(ids, task.ID())
		}
		if _, err := n.Client().SubmitBatch(ctx, tasks); err != nil {
			t.Fatal(err)
		}
	}
	w := n.Client().Worker(fenfa.Concurrency(40))
	w.HandleBatch("rows", fenfa.Batch{Most: 20, Linger: 20 * time.Millisecond}, handle)
	w.HandleBatch("loose", fenfa.Batch{Most: 20, Linger: 20 * time.Millisecond}, handle)
	n.Run(w)
	for st, err := range n.Client().WaitAll(ctx, ids...) {
		if err != nil {
			t.Fatal(err)
		}
		if st.State != fenfa.StateDone || len(st.Result) == 0 {
			t.Errorf("%+v", st)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if largest < 2 {
		t.Errorf("the largest call had %d tasks", largest)
	}
	for i := range 6 {
		if got := done[fmt.Sprint("rows-", i)]; fmt.Sprint(got) != "[0 1 2 3 4 5 6 7 8 9]" {
			t.Errorf("key %d was done in the order %v", i, got)
		}
	}
}
