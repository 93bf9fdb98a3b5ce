package fenfa

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

func TestDrainFinishesWhatIsLeased(t *testing.T) {
	n := startFake(t)
	c := dial(t, n)
	begun, release := make(chan struct{}, 100), make(chan struct{})
	draining := make(chan struct{})
	w := c.Worker(Concurrency(2), OnEvent(func(e Event) {
		if e.Kind == EventDraining {
			close(draining)
		}
	}))
	w.Handle("q", func(ctx context.Context, _ *Task) error {
		begun <- struct{}{}
		<-release
		return ctx.Err()
	})
	tasks := make([]*Task, 9)
	for i := range tasks {
		tasks[i] = NewTask("q", i, Key(strconv.Itoa(i%3)))
	}
	submit(t, c, tasks...)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	<-begun
	<-begun
	cancel()
	<-draining
	n.await("the node hears of the drain", func() bool {
		for s := range n.sessions {
			return s.drained
		}
		return false
	})
	close(release)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	n.with(func() {
		for i, task := range tasks {
			have := n.tasks[task.ID().String()]
			if want := i%3 < 2; (have.state == done) != want || have.attempts > 0 {
				t.Errorf("task %d: %v after %d failures, want done: %v", i, have.state, have.attempts, want)
			}
		}
		if len(n.sessions) != 0 {
			t.Error("the session did not end")
		}
	})
}

func TestDrainGivesUpAfterItsTimeout(t *testing.T) {
	n := startFake(t)
	c := dial(t, n)
	begun := make(chan struct{})
	w := c.Worker(DrainTimeout(10 * time.Millisecond))
	w.Handle("q", func(ctx context.Context, _ *Task) error {
		close(begun)
		<-ctx.Done()
		return nil
	})
	task := NewTask("q", nil, Key("k"))
	submit(t, c, task)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	<-begun
	cancel()
	err := <-ended
	if CodeOf(err) != CodeUnavailable || !strings.Contains(err.Error(), "1 tasks unconfirmed") {
		t.Errorf("error %v, want that a task is not finished", err)
	}
	n.awaitState(task, queued)
}

func TestDrainWaitsForVerdicts(t *testing.T) {
	n := startFake(t)
	n.knobs.silent = true
	c := dial(t, n)
	w := c.Worker(DrainTimeout(10 * time.Millisecond))
	w.Handle("q", func(context.Context, *Task) error { return nil })
	task := NewTask("q", nil, Key("k"))
	submit(t, c, task)
	stop := work(t, w)
	n.awaitState(task, done)
	if err := stop(); CodeOf(err) != CodeUnavailable {
		t.Errorf("error %v, want that a task is not confirmed", err)
	}
}

func TestALostStreamEndsHandlersAndTheWorkerComesBack(t *testing.T) {
	n := startFake(t)
	c := dial(t, n)
	begun := make(chan struct{}, 2)
	causes := make(chan error, 1)
	disconnected := make(chan error, 10)
	w := c.Worker(WorkerID("me"), OnEvent(func(e Event) {
		if e.Kind == EventDisconnected {
			if e.Final {
				t.Error("a lost stream is final")
			}
			disconnected <- e.Err
		}
	}))
	w.Handle("q", func(ctx context.Context, task *Task) error {
		if task.Delivery() > 1 {
			return nil
		}
		begun <- struct{}{}
		<-ctx.Done()
		causes <- context.Cause(ctx)
		return nil
	})
	task := NewTask("q", nil, Key("k"))
	submit(t, c, task)
	stop := work(t, w)
	<-begun
	n.stop()
	if cause := <-causes; !errors.Is(cause, errLeaseLost) {
		t.Errorf("the context's cause is %v", cause)
	}
	if err := <-disconnected; CodeOf(err) != CodeUnavailable {
		t.Errorf("disconnected by %v", err)
	}
	n.start()
	have := n.awaitState(task, done)
	if err := stop(); err != nil {
		t.Error(err)
	}
	if have.deliveries != 2 || have.attempts != 0 || have.effects != 1 {
		t.Errorf("%d deliveries, %d failures, %d effects", have.deliveries, have.attempts, have.effects)
	}
	if len(n.hellos) < 2 || n.hellos[1].GetWorkerId() != "me" {
		t.Errorf("hellos %v", n.hellos)
	}
}

func TestAWorkerThatTheNodeDismissesFinishesAndComesBack(t *testing.T) {
	n := startFake(t)
	c := dial(t, n)
	begun, release := make(chan struct{}), make(chan struct{})
	w := c.Worker()
	w.Handle("q", func(_ context.Context, task *Task) error {
		if string(task.Payload()) == "slow" {
			close(begun)
			<-release
		}
		return nil
	})
	slow, next := NewTask("q", "slow", Key("k")), NewTask("q", "next", Key("k"))
	submit(t, c, slow)
	stop := work(t, w)
	<-begun
	n.with(func() {
		for s := range n.sessions {
			s.push(&fenfav1.WorkResponse{Drain: true})
		}
	})
	n.await("the worker drains", func() bool {
		for s := range n.sessions {
			return s.drained
		}
		return false
	})
	close(release)
	if have := n.awaitState(slow, done); have.deliveries != 1 {
		t.Errorf("the task was delivered %d times", have.deliveries)
	}
	submit(t, c, next)
	n.awaitState(next, done)
	if err := stop(); err != nil {
		t.Error(err)
	}
	if len(n.hellos) != 2 {
		t.Errorf("%d hellos, want 2", len(n.hellos))
	}
}

func TestAWorkerWithoutANodeEndsWithItsContext(t *testing.T) {
	n := startFake(t)
	n.stop()
	disconnected := make(chan error, 10)
	c := dial(t, n, WithDialTimeout(20*time.Millisecond))
	w := c.Worker(OnEvent(func(e Event) {
		select {
		case disconnected <- e.Err:
		default:
		}
	}))
	w.Handle("q", func(context.Context, *Task) error { return nil })
	stop := work(t, w)
	if err := <-disconnected; CodeOf(err) != CodeUnavailable || !strings.Contains(err.Error(), n.addr) {
		t.Errorf("disconnected by %v", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
