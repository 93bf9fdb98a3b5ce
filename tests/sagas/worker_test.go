package sagas

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/fenfa/fenfa"
)

// Names of queues and records. Each step has a key, and mostly a partition, of its
// own.
const (
	queue  = "steps"
	did    = "did"    // counts how often the step took effect
	undid  = "undid"  // counts how often its compensation did
	prefix = "order-" // of ids
)

// stepTimeout is how long an attempt may take; one that hangs takes twice as long.
const stepTimeout = 300 * time.Millisecond

// definition is of five steps in three stages.
func definition() *fenfa.SagaDefinition {
	retry := fenfa.RetryPolicy{Base: time.Millisecond, Max: 20 * time.Millisecond, MaxAttempts: 3}
	step := func(name string) fenfa.Step {
		return fenfa.Step{
			Name: name, Queue: queue, Key: "${saga.id}/" + name, Retry: retry, Timeout: stepTimeout,
			Compensation: &fenfa.Compensation{Retry: fenfa.RetryPolicy{Base: time.Millisecond, Max: 50 * time.Millisecond}, Timeout: stepTimeout},
		}
	}
	return fenfa.NewSaga("order").Then(step("stock")).Then(step("payment"), step("credit")).Then(step("shipping"), step("invoice"))
}

// fate is what becomes of a step.
type fate uint8

const (
	fine    fate = iota
	flaky        // the first attempts fail
	refused      // rejected
	failing      // every attempt fails
	hanging      // every attempt takes longer than it may, and then says that it is done
	panicky      // the first attempt panics
)

// fateOf draws the fate of a step of a saga, the same one for every attempt. Of five
// steps all are fine or flaky in about half of the sagas.
func fateOf(id, step string, undo bool) fate {
	h := fnv.New32a()
	fmt.Fprint(h, id, "/", step, "/", undo)
	n := h.Sum32() % 100
	switch {
	case undo && n < 30, n < 20:
		return flaky
	case undo && n < 33, n >= 90 && n < 92:
		return panicky
	case undo && n < 35, n >= 92 && n < 94:
		return hanging
	case undo:
		return fine
	case n >= 94 && n < 98:
		return refused
	case n >= 98:
		return failing
	}
	return fine
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
	w := client.Worker(fenfa.WorkerID(os.Getenv(workerEnv+"_NAME")), fenfa.Concurrency(32))
	w.Handle(queue, handle)
	if err := w.Run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// handle does or undoes a step: it counts in the step's record.
func handle(ctx context.Context, task *fenfa.Task) error {
	s := task.Saga()
	name := did
	if s.Compensation() {
		name = undid
	}
	n := 0
	if err := task.State().Get(ctx, name, &n); err != nil && !errors.Is(err, fenfa.ErrNotFound) {
		return err
	}
	switch fateOf(s.ID(), s.Step(), s.Compensation()) {
	case flaky:
		if task.Attempt() <= 2 {
			return errors.New("failed on purpose")
		}
	case panicky:
		if task.Attempt() == 1 {
			panic("on purpose")
		}
	case refused:
		return fenfa.Reject(errors.New("rejected on purpose"))
	case failing:
		return errors.New("fails always")
	case hanging:
		// A compensation hangs once; a step does in each of its attempts, and dies of it.
		if !s.Compensation() || task.Attempt() == 1 {
			<-time.After(2 * stepTimeout)
		}
	case fine:
	}
	task.State().Put(name, n+1)
	return task.Return(n + 1)
}
