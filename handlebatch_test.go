package fenfa

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// meeting is a gatherer and how its tasks ended.
type meeting struct {
	t     *testing.T
	g     *gatherer
	group sync.WaitGroup

	mu    sync.Mutex
	calls []string // types of the tasks of each call
	ends  map[string]error
}

func newMeeting(t *testing.T, most int, h BatchHandlerFunc) *meeting {
	t.Helper()
	m := &meeting{t: t, ends: map[string]error{}}
	m.g = &gatherer{most: most, linger: time.Second, handle: func(ctx context.Context, tasks []*Task) []error {
		var names []string
		for _, task := range tasks {
			names = append(names, task.Type())
		}
		m.mu.Lock()
		m.calls = append(m.calls, strings.Join(names, " "))
		m.mu.Unlock()
		return h(ctx, tasks)
	}}
	return m
}

// come lets the handler of a task run; synctest settles who is first.
func (m *meeting) come(ctx context.Context, names ...string) {
	for _, name := range names {
		m.group.Go(func() {
			err := errors.New("it did not return")
			defer func() {
				m.mu.Lock()
				defer m.mu.Unlock()
				m.ends[name] = err
			}()
			err = m.g.join(ctx, NewTask("q", nil, Type(name)))
		})
		synctest.Wait()
	}
}

func (m *meeting) want(calls string, ends map[string]string) {
	m.t.Helper()
	m.group.Wait()
	if got := strings.Join(m.calls, "; "); got != calls {
		m.t.Errorf("calls are %q, want %q", got, calls)
	}
	for name, want := range ends {
		if got := fmt.Sprint(m.ends[name]); !strings.Contains(got, want) {
			m.t.Errorf("%s ended with %q, want %q", name, got, want)
		}
	}
}

func TestTasksMeetInOneCallAndEndEachByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeeting(t, 3, func(_ context.Context, tasks []*Task) []error {
			errs := make([]error, len(tasks))
			for i, task := range tasks {
				if task.Type() == "b" {
					errs[i] = Reject(errors.New("b is bad"))
				}
			}
			return errs
		})
		start := time.Now()
		m.come(t.Context(), "a", "b", "c", "d") // The first three fill a call at once.
		m.group.Wait()
		if took := time.Since(start); took != time.Second {
			t.Errorf("the rest waited %v for others, want a second", took)
		}
		m.want("a b c; d", map[string]string{"a": "<nil>", "b": "b is bad", "c": "<nil>", "d": "<nil>"})
	})
}

func TestWhatIsWrongWithACallFailsAllOfItsTasks(t *testing.T) {
	for name, c := range map[string]struct {
		h    BatchHandlerFunc
		want string
	}{
		"a panic":         {func(context.Context, []*Task) []error { panic("boom") }, "boom"},
		"too few errors":  {func(context.Context, []*Task) []error { return []error{nil} }, "returned 1 errors for 2 tasks"},
		"too many errors": {func(context.Context, []*Task) []error { return make([]error, 3) }, "returned 3 errors for 2 tasks"},
		"all are done":    {func(context.Context, []*Task) []error { return nil }, "<nil>"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMeeting(t, 2, c.h)
				m.come(t.Context(), "a", "b")
				m.want("a b", map[string]string{"a": c.want, "b": c.want})
			})
		})
	}
}

func TestAHandlerThatEndsItsGoroutineFailsTheOtherTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeeting(t, 2, func(context.Context, []*Task) []error {
			runtime.Goexit()
			return nil
		})
		m.come(t.Context(), "a", "b")
		m.want("a b", map[string]string{"a": "it did not return", "b": "Goexit"})
	})
}

func TestATaskWhoseAttemptEndedWhileItWaitedIsLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeeting(t, 9, func(context.Context, []*Task) []error { return nil })
		ctx, cancel := context.WithCancel(t.Context())
		m.come(t.Context(), "a")
		m.come(ctx, "b")
		cancel()
		m.want("a", map[string]string{"a": "<nil>", "b": "context canceled"})
		lost, cancelFirst := context.WithCancel(t.Context())
		m.come(lost, "c")
		cancelFirst() // Nobody waits for the rest of its time.
		m.want("a", map[string]string{"c": "context canceled"})
	})
}

func TestTheContextOfACallEndsAtTheEarliestDeadlineOrWithAllOfItsTasks(t *testing.T) {
	type key struct{}
	causes := make(chan error, 1)
	wait := func(ctx context.Context, _ []*Task) []error { //nolint:unparam // It is a BatchHandlerFunc.
		if ctx.Value(key{}) != "value" {
			t.Error("the context has not the values of Run")
		}
		<-ctx.Done()
		causes <- context.Cause(ctx)
		return nil
	}
	synctest.Test(t, func(t *testing.T) {
		base := context.WithValue(t.Context(), key{}, "value")
		m := newMeeting(t, 2, wait)
		start := time.Now()
		long, stopLong := context.WithTimeout(base, time.Hour)
		defer stopLong()
		short, stopShort := context.WithTimeout(base, time.Minute)
		defer stopShort()
		m.come(long, "a")
		m.come(short, "b")
		m.group.Wait()
		if took := time.Since(start); took != time.Minute {
			t.Errorf("the call ended after %v, want a minute", took)
		}
		if err := <-causes; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("cause %v", err)
		}
		first, cancelFirst := context.WithCancelCause(base)
		second, cancelSecond := context.WithCancelCause(base)
		m.come(first, "c")
		m.come(second, "d")
		cancelFirst(ErrCancelled)
		synctest.Wait()
		if len(causes) != 0 {
			t.Error("the call ended with the first of its tasks")
		}
		cancelSecond(errLeaseLost)
		m.group.Wait()
		if err := <-causes; !errors.Is(err, errLeaseLost) {
			t.Errorf("cause %v", err)
		}
	})
}

func TestBatchesThatAreOutOfRangeAreRefusedBeforeTheWorkerRuns(t *testing.T) {
	h := func(context.Context, []*Task) []error { return nil }
	for field, b := range map[string]Batch{
		"most": {Most: -1}, "most ": {Most: 10_001}, "linger": {Linger: -1}, "linger ": {Linger: time.Minute},
	} {
		w := (&Client{}).Worker()
		w.HandleBatch("q", b, h)
		err := w.check()
		if e, ok := errors.AsType[*Error](err); !ok || e.Code != CodeInvalidArgument || e.Field != strings.TrimSpace(field) {
			t.Errorf("%+v: %v", b, err)
		}
	}
	w := (&Client{}).Worker()
	w.HandleBatch("q", Batch{}, nil)
	if w.check() == nil {
		t.Error("a handler that is nil was taken")
	}
}
