package fenfa

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// newAttempt makes a context of a minute, in a lease of its own.
func newAttempt(t *testing.T) *attemptContext {
	t.Helper()
	ctx, cancel := context.WithCancelCause(context.WithValue(t.Context(), attemptKey{}, "value"))
	t.Cleanup(func() { cancel(nil) })
	s := &session{worker: &Worker{}, ctx: ctx, cancel: cancel}
	l := &lease{session: s, wire: &fenfav1.Lease{}}
	return &attemptContext{lease: l, deadline: time.Now().Add(time.Minute)}
}

type attemptKey struct{}

func TestAnAttemptEndsAtItsDeadline(t *testing.T) {
	for _, watched := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			c := newAttempt(t)
			if d, ok := c.Deadline(); !ok || !d.Equal(time.Now().Add(time.Minute)) {
				t.Errorf("deadline %v, %v", d, ok)
			}
			if watched {
				c.Done()
			}
			<-time.After(time.Minute - 1)
			synctest.Wait()
			if err := c.Err(); err != nil {
				t.Errorf("it ended early: %v", err)
			}
			<-time.After(1)
			synctest.Wait()
			if err := c.Err(); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("at its deadline its error is %v", err)
			}
			<-c.Done()
			c.end()
		})
	}
}

func TestAnAttemptEndsWithItsLease(t *testing.T) {
	for name, use := range map[string]func(context.Context){
		"watched":   func(c context.Context) { c.Done() },
		"unwatched": func(context.Context) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newAttempt(t)
				use(c)
				child, cancel := context.WithCancel(c)
				defer cancel()
				c.lease.lose()
				<-child.Done()
				if !errors.Is(c.Err(), context.Canceled) || !errors.Is(context.Cause(c), errLeaseLost) || !errors.Is(context.Cause(child), errLeaseLost) {
					t.Errorf("error %v, cause %v, child's cause %v", c.Err(), context.Cause(c), context.Cause(child))
				}
				c.end()
			})
		})
	}
}

func TestAnAttemptThatNobodyWatchedCanStillBeLost(t *testing.T) {
	c := newAttempt(t)
	c.lease.lose()
	if !errors.Is(c.Err(), context.Canceled) {
		t.Errorf("error %v", c.Err())
	}
	c.end()
}

func TestAnAttemptIsOverWhenItsHandlerHasReturned(t *testing.T) {
	for _, watched := range []bool{true, false} {
		c := newAttempt(t)
		if watched {
			c.Done()
		}
		c.end()
		<-c.Done()
		if !errors.Is(c.Err(), context.Canceled) {
			t.Errorf("error %v", c.Err())
		}
	}
}

func TestAnAttemptHasTheValuesOfRun(t *testing.T) {
	c := newAttempt(t)
	if c.Value(attemptKey{}) != "value" {
		t.Error("no value before it was watched")
	}
	c.Done()
	if c.Value(attemptKey{}) != "value" {
		t.Error("no value after it was watched")
	}
	c.end()
}

func TestAnAttemptCostsNothingUntilSomebodyWatches(t *testing.T) {
	c := newAttempt(t)
	if allocs := testing.AllocsPerRun(100, func() {
		if c.Err() != nil {
			t.Error("it ended")
		}
	}); allocs > 0 || c.inner != nil {
		t.Errorf("%v allocations for a look at the error", allocs)
	}
}
