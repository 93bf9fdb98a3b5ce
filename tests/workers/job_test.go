package workers

import (
	"context"
	"errors"
	"os"
	"time"

	fenfa "github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/tests/harness"
)

// tally is the record that every job counts up.
const tally = "tally"

// job is the payload of every task here.
type job struct {
	N    int           `json:"n"`              // the place among the jobs of its key, from 1
	Work time.Duration `json:"work,omitempty"` // how long the handler takes
	Hold string        `json:"hold,omitempty"` // the first delivery waits until this file exists
}

// handle works on a job: it takes its time and counts up the tally of its key.
func (c *crew) handle(ctx context.Context, worker string, task *fenfa.Task) (err error) {
	done, err := c.journal.begin(worker, task)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done(err)) }()
	var j job
	if err := task.Decode(&j); err != nil {
		return fenfa.Reject(err)
	}
	if j.Hold != "" && task.Delivery() == 1 {
		if err := hold(ctx, j.Hold); err != nil {
			return err
		}
	}
	if j.Work > 0 {
		<-time.After(j.Work)
	}
	if c.Sick != "" && exists(c.Sick) && (c.SickQueue == "" || c.SickQueue == task.Queue()) {
		return fenfa.RetryAfter(10*time.Millisecond, errors.New("failed on purpose"))
	}
	if c.Mutant == mutantPastTheFence {
		return c.countPastTheFence(ctx, task)
	}
	return countUp(ctx, task)
}

// countUp adds one to the tally of the task's key and returns it as the result.
func countUp(ctx context.Context, task *fenfa.Task) error {
	n := 0
	if err := task.State().Get(ctx, tally, &n); err != nil && !errors.Is(err, fenfa.ErrNotFound) {
		return err
	}
	task.State().Put(tally, n+1)
	return task.Return(n + 1)
}

// hold waits until the file exists, however long the process was frozen
// meanwhile. That its lease is lost does not stop it: a handler that does not
// listen is what the fencing is for.
func hold(ctx context.Context, file string) error {
	return harness.Eventually(context.WithoutCancel(ctx), file+" exists", func(context.Context) bool { return exists(file) })
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
