package fenfa

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

const (
	done   = fenfav1.TaskState_TASK_STATE_DONE
	dead   = fenfav1.TaskState_TASK_STATE_DEAD
	queued = fenfav1.TaskState_TASK_STATE_QUEUED
)

// unordered makes a queue whose tasks have no order.
func (n *fakeNode) unordered(queue string) {
	n.with(func() { n.queues[queue] = &fenfav1.Queue{Name: queue, Order: "none"} })
}

// awaitState waits until the task is in the state, and returns it.
func (n *fakeNode) awaitState(t *Task, state fenfav1.TaskState) *fakeTask {
	n.tb.Helper()
	id := t.ID()
	n.await(fmt.Sprintf("task %s becomes %v", id, state), func() bool { return n.state(id) == state })
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.tasks[id.String()]
}

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
	n.awaitState(tasks[99], done)
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

func TestHandlersSeeTheirTask(t *testing.T) {
	n := startFake(t)
	c := dial(t, n)
	type key struct{}
	task := NewTask("q", map[string]string{"a": "b"}, Key("k"), Type("kind"), Header("h", "v"), WithID(DeriveID("x")))
	submit(t, c, task)
	checked := make(chan error, 1)
	w := c.Worker()
	w.Handle("q", func(ctx context.Context, got *Task) error {
		var payload map[string]string
		err := got.Decode(&payload)
		switch {
		case err != nil:
		case payload["a"] != "b" || got.ID() != task.ID() || got.Queue() != "q" || got.Key() != "k" || got.Type() != "kind":
			err = fmt.Errorf("task %+v", got.wire)
		case got.Header("h") != "v" || got.Headers()["h"] != "v" || got.Header("none") != "":
			err = errors.New("headers")
		case got.Attempt() != 1 || got.Delivery() != 1 || got.CreatedAt() != time.UnixMicro(1_700_000_000_000_000).UTC():
			err = fmt.Errorf("attempt %d, delivery %d, created %v", got.Attempt(), got.Delivery(), got.CreatedAt())
		case ctx.Value(key{}) != "value":
			err = errors.New("the context has not the values of Run's")
		}
		checked <- err
		return Reject(err)
	})
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	if err := <-checked; err != nil {
		t.Error(err)
	}
	n.awaitState(task, done)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestUnorderedTasksRunAtTheSameTime(t *testing.T) {
	n := startFake(t)
	n.unordered("q")
	c := dial(t, n)
	const slots = 20
	together := make(chan struct{})
	var inside atomic.Int32
	w := c.Worker(Concurrency(slots))
	w.Handle("q", func(ctx context.Context, _ *Task) error {
		if inside.Add(1) == slots {
			close(together)
		}
		select {
		case <-together:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	tasks := make([]*Task, slots)
	for i := range tasks {
		tasks[i] = NewTask("q", i)
	}
	submit(t, c, tasks...)
	stop := work(t, w)
	for _, task := range tasks {
		n.awaitState(task, done)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestALateOutcomeEndsNoOtherTaskOfItsLease(t *testing.T) {
	n := startFake(t)
	n.unordered("q")
	c := dial(t, n)
	began := make(chan struct{})
	lost := make(chan Event, 1)
	late := make(chan Event, 1)
	w := c.Worker(Concurrency(2), OnEvent(func(e Event) {
		if e.Kind == EventLeaseLost {
			late <- e
		}
	}))
	w.Handle("q", func(ctx context.Context, task *Task) error {
		if string(task.Payload()) == "1" {
			<-began
			return task.Return("too late")
		}
		close(began)
		lost <- <-late
		return ctx.Err()
	})
	tasks := []*Task{NewTask("q", 1), NewTask("q", 2)}
	submit(t, c, tasks...)
	stop := work(t, w)
	n.awaitState(tasks[1], done)
	if e := <-lost; e.TaskID != tasks[0].ID() || !errors.Is(e.Err, errLeaseLost) {
		t.Errorf("event %+v, want that the first task is lost", e)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestConcurrencyIsNotExceeded(t *testing.T) {
	n := startFake(t)
	c := dial(t, n)
	var inside, most atomic.Int32
	w := c.Worker(Concurrency(3))
	w.Handle("q", func(context.Context, *Task) error {
		now := inside.Add(1)
		defer inside.Add(-1)
		for m := most.Load(); now > m; m = most.Load() {
			if most.CompareAndSwap(m, now) {
				break
			}
		}
		return nil
	})
	tasks := make([]*Task, 500)
	for i := range tasks {
		tasks[i] = NewTask("q", i, Key(strconv.Itoa(i%50)))
	}
	submit(t, c, tasks...)
	stop := work(t, w)
	for _, task := range tasks {
		n.awaitState(task, done)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if most.Load() > 3 {
		t.Errorf("%d handlers ran at the same time, want at most 3", most.Load())
	}
}

func TestAFailureStopsTheLeaseAndKeepsTheOrder(t *testing.T) {
	n := startFake(t)
	c := dial(t, n)
	var ran []string
	w := c.Worker()
	w.Handle("q", func(ctx context.Context, task *Task) error {
		var text string
		if _, _, err := task.State().GetRaw(ctx, "text"); err != nil {
			return err
		}
		_ = task.State().Get(ctx, "text", &text)
		ran = append(ran, string(task.Payload())+strconv.Itoa(task.Attempt()))
		task.State().Put("text", text+string(task.Payload()))
		if string(task.Payload()) == "c" && task.Attempt() < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	var tasks []*Task
	for _, p := range []string{"a", "b", "c", "d"} {
		tasks = append(tasks, NewTask("q", p, Key("k")))
	}
	submit(t, c, tasks...)
	stop := work(t, w)
	n.awaitState(tasks[3], done)
	if err := stop(); err != nil {
		t.Error(err)
	}
	if got := strings.Join(ran, " "); got != "a1 b1 c1 c2 c3 d1" {
		t.Errorf("ran %s", got)
	}
	if got := string(n.records[fakeKey{"k", "text"}].value); got != "abcd" && got != `"abcd"` {
		t.Errorf("the record is %s: writes of failed attempts must not count", got)
	}
}

func TestEmittedTasksHaveIDsThatFollowFromTheirTask(t *testing.T) {
	n := startFake(t)
	c := dial(t, n)
	own := NewID()
	w := c.Worker()
	w.Handle("q", func(_ context.Context, task *Task) error {
		next := NewTask("next", "x", Key("n"))
		task.Emit(next)
		task.Emit(next)
		task.Emit(NewTask("next", "y", WithID(own)))
		return nil
	})
	task := NewTask("q", nil, Key("k"))
	submit(t, c, task)
	stop := work(t, w)
	n.awaitState(task, done)
	if err := stop(); err != nil {
		t.Error(err)
	}
	for _, id := range []ID{DeriveID("emit", task.ID().String(), "0"), DeriveID("emit", task.ID().String(), "1"), own} {
		if n.state(id) != queued {
			t.Errorf("there is no emitted task %s", id)
		}
	}
}

func TestTheHandlersContextEndsAtTheDeadlineOfItsTask(t *testing.T) {
	n := startFake(t)
	n.with(func() { n.queues["q"] = &fenfav1.Queue{Timeout: durationpb.New(10 * time.Millisecond)} })
	c := dial(t, n)
	w := c.Worker()
	w.Handle("q", func(ctx context.Context, task *Task) error {
		if task.Attempt() > 1 {
			return nil
		}
		child, cancel := context.WithTimeout(ctx, time.Hour)
		defer cancel()
		<-child.Done()
		return fmt.Errorf("so: %w", ctx.Err())
	})
	byQueue, byTask := NewTask("q", nil, Key("a")), NewTask("long", nil, Key("b"), Timeout(5*time.Millisecond))
	w.Handle("long", w.handlers["q"])
	submit(t, c, byQueue, byTask)
	stop := work(t, w)
	for _, task := range []*Task{byQueue, byTask} {
		if have := n.awaitState(task, done); len(have.errs) != 1 || have.errs[0] != "so: context deadline exceeded" {
			t.Errorf("errors %q", have.errs)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestAStaleVerdictEndsTheLeaseAndItsHandlers(t *testing.T) {
	for _, order := range []string{"key", "none"} {
		t.Run(order, func(t *testing.T) {
			n := startFake(t)
			n.with(func() { n.queues["q"] = &fenfav1.Queue{Order: order} })
			c := dial(t, n)
			var lost atomic.Int32
			running := make(chan struct{}, 10)
			revoked := make(chan struct{})
			causes := make(chan error, 10)
			w := c.Worker(Concurrency(4), OnEvent(func(e Event) {
				if e.Kind == EventLeaseLost {
					lost.Add(1)
				}
			}))
			w.Handle("q", func(ctx context.Context, task *Task) error {
				if task.Delivery() > 1 {
					return nil
				}
				if string(task.Payload()) == "first" {
					running <- struct{}{}
					<-revoked
					return nil // Its outcome meets an ended token.
				}
				running <- struct{}{}
				<-ctx.Done()
				causes <- context.Cause(ctx)
				return nil
			})
			first, second := NewTask("q", "first", Key("k")), NewTask("q", "second", Key("k"))
			submit(t, c, first, second)
			stop := work(t, w)
			<-running
			n.with(func() {
				for s := range n.sessions {
					s.used = 4 // Nothing new until the handlers have seen their end.
					s.revoke()
				}
			})
			close(revoked)
			<-running
			if cause := <-causes; !errors.Is(cause, errLeaseLost) {
				t.Errorf("the context's cause is %v", cause)
			}
			n.with(func() {
				for s := range n.sessions {
					s.used = 0
				}
				n.grant()
			})
			for _, task := range []*Task{first, second} {
				if have := n.awaitState(task, done); have.effects != 1 || have.attempts != 0 {
					t.Errorf("%d effects, %d failed attempts; want 1 and 0", have.effects, have.attempts)
				}
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
			if n.stale == 0 || lost.Load() == 0 {
				t.Errorf("%d stale outcomes, %d events: the test shows nothing", n.stale, lost.Load())
			}
		})
	}
}

func TestARefusedOutcomeEndsItsTaskOnly(t *testing.T) {
	n := startFake(t)
	c := dial(t, n)
	refused := make(chan error, 1)
	w := c.Worker(OnEvent(func(e Event) {
		if e.Kind == EventRefused {
			refused <- e.Err
		}
	}))
	w.Handle("q", func(_ context.Context, task *Task) error {
		if string(task.Payload()) == "bad" {
			return task.Return("refuse me")
		}
		return nil
	})
	bad, good := NewTask("q", "bad", Key("k")), NewTask("q", "good", Key("k"))
	submit(t, c, bad, good)
	stop := work(t, w)
	n.awaitState(bad, dead)
	n.awaitState(good, done)
	if err := stop(); err != nil {
		t.Error(err)
	}
	if err := <-refused; CodeOf(err) != CodeInvalidArgument {
		t.Errorf("event with %v", err)
	}
}

func TestHeartbeatsComeWhileEveryHandlerBlocks(t *testing.T) {
	n := startFake(t)
	c := dial(t, n)
	release := make(chan struct{})
	w := c.Worker(Concurrency(1), WorkerID("me"), Weight(2.5), Labels(map[string]string{"zone": "a"}))
	w.Handle("q", func(context.Context, *Task) error {
		<-release
		return nil
	})
	task := NewTask("q", nil, Key("k"))
	submit(t, c, task)
	stop := work(t, w)
	n.await("heartbeats", func() bool {
		for s := range n.sessions {
			return s.beats >= 5
		}
		return false
	})
	close(release)
	n.awaitState(task, done)
	if err := stop(); err != nil {
		t.Error(err)
	}
	hello := n.hellos[0]
	if hello.GetWorkerId() != "me" || w.ID() != "me" || hello.GetSlots() != 1 || hello.GetWeight() != 2.5 || hello.GetLabels()["zone"] != "a" || hello.GetQueues()[0] != "q" || hello.GetClient() == "" {
		t.Errorf("hello %v", hello)
	}
}

func TestRunFailsForAWorkerThatCannotWork(t *testing.T) {
	n := startFake(t)
	c := dial(t, n)
	handler := func(context.Context, *Task) error { return nil }
	for name, test := range map[string]struct {
		options []WorkerOption
		handler HandlerFunc
		queues  []string
	}{
		"nothing to do":  {handler: handler},
		"nil handler":    {queues: []string{"q"}},
		"no id":          {options: []WorkerOption{WorkerID("")}, queues: []string{"q"}, handler: handler},
		"no concurrency": {options: []WorkerOption{Concurrency(0)}, queues: []string{"q"}, handler: handler},
		"no weight":      {options: []WorkerOption{Weight(0)}, queues: []string{"q"}, handler: handler},
		"drain timeout":  {options: []WorkerOption{DrainTimeout(-1)}, queues: []string{"q"}, handler: handler},
		"refused":        {options: []WorkerOption{WorkerID("refused")}, queues: []string{"q"}, handler: handler},
	} {
		t.Run(name, func(t *testing.T) {
			w := c.Worker(test.options...)
			for _, q := range test.queues {
				w.Handle(q, test.handler)
			}
			if err := w.Run(t.Context()); CodeOf(err) != CodeInvalidArgument {
				t.Errorf("error %v, want an invalid argument", err)
			}
		})
	}
}

func TestARefusedWorkerIsToldThatItIsFinal(t *testing.T) {
	n := startFake(t)
	events := make(chan Event, 10)
	w := dial(t, n).Worker(WorkerID("refused"), OnEvent(func(e Event) { events <- e }))
	w.Handle("q", func(context.Context, *Task) error { return nil })
	err := w.Run(t.Context())
	for e := range events {
		if e.Kind == EventDisconnected {
			if !e.Final || e.Err == nil || !errors.Is(err, e.Err) {
				t.Errorf("event %+v, and Run returned %v; want a final one with that error", e, err)
			}
			return
		}
	}
}

func TestStateNeedsAHandlersTaskAndAKey(t *testing.T) {
	n := startFake(t)
	n.unordered("q")
	c := dial(t, n)
	var once sync.Once
	errs := make(chan error, 1)
	w := c.Worker()
	w.Handle("q", func(ctx context.Context, task *Task) error {
		_, _, err := task.State().GetRaw(ctx, "x")
		once.Do(func() { errs <- err })
		return nil
	})
	task := NewTask("q", nil)
	submit(t, c, task)
	stop := work(t, w)
	n.awaitState(task, done)
	if err := stop(); err != nil {
		t.Error(err)
	}
	if err := <-errs; CodeOf(err) != CodeFailedPrecondition {
		t.Errorf("state of a task without a key: %v", err)
	}
	defer func() {
		if v := recover(); v == nil || !strings.Contains(fmt.Sprint(v), "not a handler's") {
			t.Errorf("Emit on a task that is not a handler's: %v", v)
		}
	}()
	task.Emit(NewTask("q", nil))
}
