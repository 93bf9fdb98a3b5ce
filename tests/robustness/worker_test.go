package robustness

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	fenfa "github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/tests/harness"
)

const (
	orders = "orders" // each counts up its key's tally and emits a note
	notes  = "notes"  // each counts up its key's tally

	tally = "tally" // the record that is counted up
)

// order is the payload of a task in orders. A note's payload is empty.
type order struct {
	N      int    `json:"n"`                // the place among the orders of its key, from 1
	Fail   int    `json:"fail,omitempty"`   // so many attempts fail
	Reject bool   `json:"reject,omitempty"` // becomes a dead letter
	Hold   string `json:"hold,omitempty"`   // the first delivery waits until this file exists
	Pad    string `json:"pad,omitempty"`    // makes it large
}

// workerName is the environment variable that names a worker process.
const workerName = "FENFA_ROBUSTNESS_WORKER_NAME"

// startWorker starts a worker process for the node at addr.
func startWorker(t *testing.T, addr, name string) *harness.Process {
	t.Helper()
	return harness.StartSelf(t, name, workerEnv+"="+addr, workerName+"="+name)
}

// configure makes the queues that the workers serve.
func configure(t *testing.T, client *fenfa.Client) {
	t.Helper()
	for _, name := range []string{orders, notes} {
		harness.Configure(t, client, fenfa.Queue{Name: name})
	}
}

// workerMain is the whole life of a worker process.
func workerMain(addr string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	client, err := fenfa.Dial(addr, fenfa.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, nil))))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = client.Close() }()
	w := client.Worker(fenfa.WorkerID(os.Getenv(workerName)), fenfa.Concurrency(16))
	w.Handle(orders, handleOrder)
	w.Handle(notes, func(ctx context.Context, task *fenfa.Task) error {
		return countUp(ctx, task)
	})
	if err := w.Run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// handleOrder counts the order into its key's tally, returns the new tally and
// emits a note to another key, which mostly lives in another partition.
func handleOrder(ctx context.Context, task *fenfa.Task) error {
	var o order
	if err := task.Decode(&o); err != nil {
		return fenfa.Reject(err)
	}
	if o.Hold != "" && task.Delivery() == 1 {
		if err := hold(ctx, task, o.Hold); err != nil {
			return err
		}
	}
	if o.Reject {
		return fenfa.Reject(errors.New("rejected on purpose"))
	}
	if task.Attempt() <= o.Fail {
		return fenfa.RetryAfter(5*time.Millisecond, errors.New("failed on purpose"))
	}
	task.Emit(fenfa.NewTask(notes, nil, fenfa.Key(noteKey(task.Key())), fenfa.WithID(noteID(task.ID()))))
	return countUp(ctx, task)
}

// noteID is the ID of the note that an order emits.
func noteID(of fenfa.ID) fenfa.ID { return fenfa.DeriveID("note", of.String()) }

// countUp adds one to the tally of the task's key and returns it as the result.
func countUp(ctx context.Context, task *fenfa.Task) error {
	n := 0
	if err := task.State().Get(ctx, tally, &n); err != nil && !errors.Is(err, fenfa.ErrNotFound) {
		return err
	}
	task.State().Put(tally, n+1)
	return task.Return(n + 1)
}

// hold says that it holds the task, and waits until the file exists, however
// long the process was frozen meanwhile. That its lease is lost does not stop it:
// a handler that does not listen is what the fencing is for.
func hold(ctx context.Context, task *fenfa.Task, file string) error {
	fmt.Fprintln(os.Stderr, "holding "+task.ID().String())
	return harness.Eventually(context.WithoutCancel(ctx), file+" exists", func(context.Context) bool {
		_, err := os.Stat(file)
		return err == nil
	})
}
