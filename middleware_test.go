package fenfa

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// naming is middleware that writes its name down before and after what it is around.
func naming(calls chan<- string, name string) Middleware {
	return func(next HandlerFunc) HandlerFunc {
		return func(ctx context.Context, t *Task) error {
			calls <- name + " begins"
			defer func() { calls <- name + " ends" }()
			return next(ctx, t)
		}
	}
}

func TestMiddlewareIsAroundHandlers(t *testing.T) {
	type key struct{}
	n := startFake(t)
	n.unordered("q")
	c := dial(t, n)
	calls := make(chan string, 100)
	w := c.Worker(Concurrency(1))
	w.Use(naming(calls, "a"), func(next HandlerFunc) HandlerFunc {
		calls <- "wrapped"
		return func(ctx context.Context, task *Task) error {
			return next(context.WithValue(ctx, key{}, "value"), task)
		}
	})
	w.Handle("q", func(ctx context.Context, _ *Task) error {
		calls <- fmt.Sprint("handler sees ", ctx.Value(key{}))
		return nil
	})
	w.Handle("q2", func(context.Context, *Task) error { return nil })
	w.Use(naming(calls, "b"))
	stop := work(t, w)
	submit(t, c, NewTask("q", "p"))
	var got []string
	for len(got) < 7 {
		got = append(got, <-calls)
	}
	want := []string{"wrapped", "wrapped", "a begins", "b begins", "handler sees value", "b ends", "a ends"}
	if !slices.Equal(got, want) {
		t.Errorf("called %s", strings.Join(got, ", "))
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestEmittedTasksPassThroughMiddleware(t *testing.T) {
	emitting := &execution{task: Task{wire: NewTask("q", nil).wire}}
	emitting.task.run = emitting
	task := &emitting.task
	task.OnEmit(func(emitted *Task) *Task { return emitted.With(Header("by", emitted.Header("by")+"first")) })
	task.OnEmit(func(emitted *Task) *Task { return emitted.With(Header("by", emitted.Header("by")+"second,")) })
	next := NewTask("next", "x", Header("own", "1"))
	task.Emit(next)
	if len(emitting.emits) != 1 || emitting.failure != nil {
		t.Fatalf("emitted %v, %v", emitting.emits, emitting.failure)
	}
	w := emitting.emits[0]
	if w.GetHeaders()["by"] != "second,first" || w.GetHeaders()["own"] != "1" || w.GetId() == next.wire.GetId() || next.Header("by") != "" {
		t.Errorf("emitted %v of %v", w, next.wire)
	}
}

func TestMiddlewareIsAroundSubmits(t *testing.T) {
	n := startFake(t)
	var calls []string
	around := func(name string) SubmitMiddleware {
		return func(next SubmitFunc) SubmitFunc {
			return func(ctx context.Context, tasks []*Task) ([]SubmitResult, error) {
				calls = append(calls, fmt.Sprint(name, len(tasks)))
				marked := make([]*Task, len(tasks))
				for i, task := range tasks {
					marked[i] = task.With(Header("by", task.Header("by")+name))
				}
				return next(ctx, marked)
			}
		}
	}
	c := dial(t, n, WithSubmitMiddleware(around("a")), WithSubmitMiddleware(around("b")))
	one, two := NewTask("q", "1"), NewTask("q", "2", Header("by", "me,"))
	if r, err := c.SubmitResult(t.Context(), one); err != nil || r.ID != one.ID() || r.Duplicate {
		t.Errorf("got %+v, %v", r, err)
	}
	results, err := c.SubmitBatch(t.Context(), []*Task{one, two})
	if err != nil || len(results) != 2 || !results[0].Duplicate || results[1].ID != two.ID() {
		t.Errorf("got %+v, %v", results, err)
	}
	if got := strings.Join(calls, " "); got != "a1 b1 a2 b2" {
		t.Errorf("called %s", got)
	}
	n.with(func() {
		for id, want := range map[string]string{one.ID().String(): "ab", two.ID().String(): "me,ab"} {
			if got := n.tasks[id].wire.GetHeaders()["by"]; got != want {
				t.Errorf("the node has %q, want %q", got, want)
			}
		}
	})
	if one.Header("by") != "" || two.Header("by") != "me," {
		t.Error("the submitter's tasks were changed")
	}
}

func TestMiddlewareMayRefuseSubmits(t *testing.T) {
	n := startFake(t)
	closed := errors.New("closed")
	answer := func(results []SubmitResult, err error) SubmitMiddleware {
		return func(SubmitFunc) SubmitFunc {
			return func(context.Context, []*Task) ([]SubmitResult, error) { return results, err }
		}
	}
	c := dial(t, n, WithSubmitMiddleware(answer(nil, closed)))
	task := NewTask("q", "1")
	if id, err := c.Submit(t.Context(), task); !errors.Is(err, closed) || id != task.ID() {
		t.Errorf("got %v, %v", id, err)
	}
	if results, err := c.SubmitBatch(t.Context(), []*Task{task, nil}); !errors.Is(err, closed) || len(results) != 2 || !errors.Is(results[1].Err, closed) {
		t.Errorf("got %v, %v", results, err)
	}
	c = dial(t, n, WithSubmitMiddleware(answer(make([]SubmitResult, 3), nil)))
	if _, err := c.Submit(t.Context(), task); CodeOf(err) != CodeInternal {
		t.Errorf("three results for one task: %v", err)
	}
	if n.state(task.ID()) != 0 {
		t.Error("the task was submitted")
	}
}
