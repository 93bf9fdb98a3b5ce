package fenfatest_test

import (
	"context"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
)

// More tasks than an owner holds in memory wait when the queue is purged, some for
// their time, and one runs.
func TestAPurgeTakesOutAllThatWaits(t *testing.T) {
	const tasks, timed = 6000, 10
	n := fenfatest.Start(t, fenfatest.WithQueues("q"), fenfatest.WithPartitions(2))
	c := n.Client()
	started, goOn := make(chan struct{}), make(chan struct{})
	ran := make(chan int, tasks)
	w := c.Worker(fenfa.Concurrency(1), fenfa.MaxPrefetch(0))
	w.Handle("q", func(_ context.Context, task *fenfa.Task) error {
		var i int
		err := task.Decode(&i)
		if i == 0 {
			close(started)
			<-goOn
		}
		ran <- i
		return err
	})
	n.Run(w)
	running, err := c.Submit(t.Context(), fenfa.NewTask("q", 0, fenfa.Key("first")))
	if err != nil {
		t.Fatal(err)
	}
	<-started
	batch := make([]*fenfa.Task, 0, tasks+timed)
	for i := range tasks {
		batch = append(batch, fenfa.NewTask("q", i+1, fenfa.Key([]string{"a", "b", "c"}[i%3])))
	}
	for range timed {
		batch = append(batch, fenfa.NewTask("q", -1, fenfa.RunAt(time.Now().Add(time.Hour))))
	}
	if _, err := c.SubmitBatch(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	// As soon as none is on its way into the store any more.
	for would := (fenfa.Purged{}); would.Queued+would.Scheduled != tasks+timed; {
		if would, err = c.PreviewPurge(t.Context(), "q", fenfa.Purge{}); err != nil {
			t.Fatal(err)
		}
	}
	did, err := c.PurgeQueue(t.Context(), "q", fenfa.Purge{Reason: "called off"})
	if err != nil || did != (fenfa.Purged{Queued: tasks, Scheduled: timed}) {
		t.Errorf("purged %+v, %v", did, err)
	}
	after, err := c.Submit(t.Context(), fenfa.NewTask("q", -2, fenfa.Key("a")))
	if err != nil {
		t.Fatal(err)
	}
	close(goOn)
	n.Await(t.Context(), running)
	n.Await(t.Context(), after)
	n.Restart()
	for _, i := range []int{0, 1, 2, tasks / 2, tasks - 1, tasks, tasks + timed - 1} {
		if st := n.Await(t.Context(), batch[i].ID()); st.State != fenfa.StateCancelled || st.Error != "called off" {
			t.Errorf("task %d is %s: %q", i, st.State, st.Error)
		}
	}
	if a, b := <-ran, <-ran; a != 0 || b != -2 || len(ran) > 0 {
		t.Errorf("ran %d, %d and %d others", a, b, len(ran))
	}
	info, err := c.DescribeQueue(t.Context(), "q")
	if s := info.Stats; err != nil || s.BacklogTasks+s.Parked+s.Scheduled+s.Running != 0 {
		t.Errorf("left: %+v, %v", s, err)
	}
	if did, err := c.PurgeQueue(t.Context(), "q", fenfa.Purge{Queued: true}); err != nil || did != (fenfa.Purged{}) {
		t.Errorf("purged again: %+v, %v", did, err)
	}
}
