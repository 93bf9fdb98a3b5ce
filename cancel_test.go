package fenfa

import (
	"context"
	"errors"
	"sync"
	"testing"
)

// The fake node knows no cancelled tasks: what is cancelled fails and comes again.
func TestACancelledTaskThatHasNotBegunDoesNotBegin(t *testing.T) {
	n := startFake(t)
	c := dial(t, n)
	first, second, third := NewTask("q", 1, Key("k")), NewTask("q", 2, Key("k")), NewTask("q", 3, Key("k"))
	submit(t, c, first, second, third)
	started, goOn := make(chan struct{}), make(chan struct{})
	var mu sync.Mutex
	begun := map[ID]int{}
	w := c.Worker(Concurrency(1))
	w.Handle("q", func(ctx context.Context, task *Task) error {
		mu.Lock()
		begun[task.ID()]++
		mu.Unlock()
		if task.ID() == first.ID() && task.Attempt() == 1 {
			close(started)
			<-goOn
			select {
			case <-ctx.Done():
				t.Errorf("the context ended with %v", context.Cause(ctx))
			default:
			}
		}
		return nil
	})
	work(t, w)
	<-started
	n.cancel(second)
	n.cancel(NewTask("q", 4)) // which nobody has
	n.await("the worker is told", func() bool {
		s := w.current.Load()
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, l := range s.leases {
			if l.stopped.Load() {
				return true
			}
		}
		return false
	})
	close(goOn)
	ft := n.awaitState(second, done)
	n.awaitState(third, done)
	n.with(func() {
		if len(ft.errs) != 1 || ft.errs[0] != ErrCancelled.Error() {
			t.Errorf("its attempts failed with %q", ft.errs)
		}
	})
	mu.Lock()
	defer mu.Unlock()
	if begun[second.ID()] != 1 || begun[first.ID()] != 1 {
		t.Errorf("begun: the cancelled one %d times, the first %d times", begun[second.ID()], begun[first.ID()])
	}
}

func TestACancelledTaskIsToldWhy(t *testing.T) {
	for _, asks := range []string{"before", "after"} { // for the end of its context
		t.Run(asks, func(t *testing.T) {
			n := startFake(t)
			c := dial(t, n)
			task := NewTask("q", 1, Key("k"))
			submit(t, c, task)
			started, told := make(chan struct{}), make(chan struct{})
			causes := make(chan error, 1)
			w := c.Worker(Concurrency(1))
			w.Handle("q", func(ctx context.Context, _ *Task) error {
				select {
				case <-started:
					return nil
				default:
				}
				if asks == "before" {
					_ = ctx.Done()
				}
				close(started)
				if asks == "after" {
					<-told
				}
				<-ctx.Done()
				causes <- context.Cause(ctx)
				return ctx.Err()
			})
			work(t, w)
			<-started
			n.cancel(task)
			close(told)
			if cause := <-causes; !errors.Is(cause, ErrCancelled) {
				t.Errorf("the cause is %v", cause)
			}
			n.awaitState(task, done)
		})
	}
}

// A conflict makes the handler run again: over a context that has ended too.
func TestACancelledTaskStaysSoAfterAConflict(t *testing.T) {
	n := startFake(t)
	c := dial(t, n)
	n.with(func() {
		n.put("k", "x", "1")
		n.knobs.noTravel = false
	})
	task := NewTask("q", 1, Key("k"))
	submit(t, c, task)
	causes := make(chan error, 2)
	clashed := false
	n.with(func() {
		n.knobs.before = func(*fakeTask) {
			if !clashed {
				clashed = true
				n.put("k", "x", "2")
			}
		}
	})
	runs := 0
	w := c.Worker(Concurrency(1))
	w.Handle("q", func(ctx context.Context, task *Task) error {
		if runs++; runs == 1 {
			n.cancel(task)
			<-ctx.Done()
		}
		causes <- context.Cause(ctx)
		var x int
		if err := task.State().Get(context.WithoutCancel(ctx), "x", &x); err != nil {
			return err
		}
		task.State().Put("x", x+1)
		return nil // finished all the same
	})
	work(t, w)
	n.awaitState(task, done)
	for range 2 {
		if cause := <-causes; !errors.Is(cause, ErrCancelled) {
			t.Errorf("the cause is %v", cause)
		}
	}
}
