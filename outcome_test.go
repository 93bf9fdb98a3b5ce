package fenfa

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

func TestWhatHandlersReturnBecomesTheOutcome(t *testing.T) {
	boom := errors.New("boom")
	for _, test := range []struct {
		name    string
		handler HandlerFunc
		state   fenfav1.TaskState
		text    string
		delay   *durationpb.Duration
		result  string
	}{
		{name: "nothing", handler: func(context.Context, *Task) error { return nil }, state: done},
		{name: "a result", handler: func(_ context.Context, t *Task) error { return t.Return(map[string]int{"n": 1}) }, state: done, result: `{"n":1}`},
		{name: "an error", handler: func(context.Context, *Task) error { return boom }, state: queued, text: "boom"},
		{name: "no valid text", handler: func(context.Context, *Task) error { return errors.New("a\xffb") }, state: queued, text: "a\ufffdb"},
		{name: "reject", handler: func(context.Context, *Task) error { return fmt.Errorf("so: %w", Reject(boom)) }, state: dead, text: "so: boom"},
		{name: "retry after", handler: func(context.Context, *Task) error { return RetryAfter(time.Minute, boom) }, state: queued, text: "boom", delay: durationpb.New(time.Minute)},
		{name: "retry at once", handler: func(context.Context, *Task) error { return RetryAfter(-1, boom) }, state: queued, text: "boom", delay: durationpb.New(0)},
		{name: "a panic", handler: func(context.Context, *Task) error { panic("ouch") }, state: queued, text: "panicked: ouch"},
		{name: "a big result", handler: func(_ context.Context, t *Task) error { return t.Return(make([]byte, maxResult+1)) }, state: queued, text: "the result has 262145 bytes"},
		{name: "a big result, unheeded", handler: func(_ context.Context, t *Task) error {
			_ = t.Return(make([]byte, maxResult+1))
			return nil
		}, state: queued, text: "the result has 262145 bytes"},
		{name: "a bad emit", handler: func(_ context.Context, t *Task) error {
			t.Emit(NewTask("q", func() {}))
			return nil
		}, state: queued, text: "encode func()"},
		{name: "too many emits", handler: func(_ context.Context, t *Task) error {
			for range maxEmits + 1 {
				t.Emit(NewTask("nobody", nil))
			}
			return nil
		}, state: queued, text: "more than 1000 tasks"},
		{name: "a big record", handler: func(_ context.Context, t *Task) error {
			t.State().PutRaw("r", make([]byte, maxRecordValue+1))
			return nil
		}, state: queued, text: `record "r" has 262145 bytes`},
		{name: "a record that is no JSON", handler: func(_ context.Context, t *Task) error {
			t.State().Put("r", func() {})
			return nil
		}, state: queued, text: "encode func()"},
		{name: "a record without name", handler: func(ctx context.Context, t *Task) error {
			_, _, err := t.State().GetRaw(ctx, "")
			return err
		}, state: queued, text: "name has 1 to 128 bytes"},
		{name: "too much in all", handler: func(_ context.Context, t *Task) error {
			for i := range 13 {
				t.State().PutRaw(strconv.Itoa(i), make([]byte, maxRecordValue))
			}
			return nil
		}, state: queued, text: "the outcome has more than"},
		{name: "too many records", handler: func(_ context.Context, t *Task) error {
			for i := range maxWrites + 1 {
				t.State().Delete(strconv.Itoa(i))
			}
			return nil
		}, state: queued, text: "more than 1000 records"},
		{name: "a record that is not there", handler: func(ctx context.Context, t *Task) error {
			var v int
			err := t.State().Get(ctx, "none", &v)
			if !errors.Is(err, ErrNotFound) {
				return fmt.Errorf("not what was expected: %w", err)
			}
			return Reject(err)
		}, state: dead, text: `record "none" of key "k" does not exist`},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := startFake(t)
			c := dial(t, n)
			w := c.Worker()
			w.Handle("q", func(ctx context.Context, task *Task) error {
				if task.Attempt() > 1 {
					return nil
				}
				return test.handler(ctx, task)
			})
			task := NewTask("q", nil, Key("k"))
			submit(t, c, task)
			stop := work(t, w)
			final := test.state
			if final == queued {
				final = done
			}
			have := n.awaitState(task, final)
			if err := stop(); err != nil {
				t.Error(err)
			}
			if string(have.result) != test.result {
				t.Errorf("result %q, want %q", have.result, test.result)
			}
			if test.text == "" {
				return
			}
			if len(have.errs) != 1 || !strings.Contains(have.errs[0], test.text) {
				t.Fatalf("errors %q, want one with %q", have.errs, test.text)
			}
			if len(have.errs[0]) > maxErrorText {
				t.Errorf("the error's text has %d bytes", len(have.errs[0]))
			}
			if got := have.delays[0]; (got == nil) != (test.delay == nil) || got.AsDuration() != test.delay.AsDuration() {
				t.Errorf("delay %v, want %v", got, test.delay)
			}
		})
	}
}

func TestAPanicIsReportedWithWhereItHappened(t *testing.T) {
	n := startFake(t)
	c := dial(t, n)
	w := c.Worker()
	w.Handle("q", func(_ context.Context, task *Task) error {
		if task.Attempt() == 1 {
			blowUp()
		}
		return nil
	})
	task := NewTask("q", nil, Key("k"))
	submit(t, c, task)
	stop := work(t, w)
	have := n.awaitState(task, done)
	if err := stop(); err != nil {
		t.Error(err)
	}
	first, rest, _ := strings.Cut(have.errs[0], "\n")
	if !strings.Contains(first, "nil map") || !strings.HasPrefix(rest, "github.com/fenfa/fenfa.blowUp") {
		t.Errorf("error text:\n%s", have.errs[0])
	}
}

func blowUp() {
	var m map[string]int
	m["x"] = 1 //nolint:staticcheck,govet // It must panic.
}

func TestAHandlerThatEndsItsGoroutineIsAFailedAttempt(t *testing.T) {
	for _, order := range []string{"key", "none"} {
		t.Run(order, func(t *testing.T) {
			n := startFake(t)
			n.with(func() { n.queues["q"] = &fenfav1.Queue{Order: order} })
			c := dial(t, n)
			w := c.Worker(Concurrency(1))
			w.Handle("q", func(_ context.Context, task *Task) error {
				if task.Attempt() == 1 {
					goexit()
				}
				return nil
			})
			tasks := []*Task{NewTask("q", 1, Key("k")), NewTask("q", 2, Key("k"))}
			submit(t, c, tasks...)
			stop := work(t, w)
			for _, task := range tasks {
				if have := n.awaitState(task, done); len(have.errs) != 1 || !strings.Contains(have.errs[0], "Goexit") {
					t.Errorf("errors %q", have.errs)
				}
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	}
}
