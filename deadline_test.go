package fenfa

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestAnExtendedAttemptEndsAtItsNewDeadline(t *testing.T) {
	for _, watched := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			c := newAttempt(t)
			if watched {
				c.Done()
			}
			start := time.Now()
			<-time.After(30 * time.Second)
			if err := c.extend(time.Now().Add(time.Second)); err != nil { // It has more.
				t.Fatal(err)
			}
			if err := c.extend(start.Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			child, cancel := context.WithCancel(c)
			defer cancel()
			<-time.After(40 * time.Minute)
			synctest.Wait()
			if c.Err() != nil || child.Err() != nil {
				t.Errorf("it ended early: %v, %v", c.Err(), child.Err())
			}
			<-child.Done()
			if took := time.Since(start); took != time.Hour {
				t.Errorf("it ended after %v", took)
			}
			if !errors.Is(c.Err(), context.DeadlineExceeded) || !errors.Is(child.Err(), context.DeadlineExceeded) {
				t.Errorf("errors %v, %v", c.Err(), child.Err())
			}
			if err := c.extend(time.Now().Add(time.Hour)); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("an attempt that is over was extended: %v", err)
			}
			c.end()
		})
	}
}

func TestAnAttemptThatIsOverCannotBeExtended(t *testing.T) {
	for name, end := range map[string]func(*attemptContext){
		"returned":  func(c *attemptContext) { c.returned() },
		"lost":      func(c *attemptContext) { c.lease.lose() },
		"cancelled": func(c *attemptContext) { c.cancel(ErrCancelled) },
	} {
		for _, watched := range []bool{true, false} {
			c := newAttempt(t)
			if watched {
				c.Done()
			}
			end(c)
			if c.extend(time.Now().Add(time.Hour)) == nil {
				t.Errorf("an attempt that was %s, watched %v, was extended", name, watched)
			}
			c.end()
		}
	}
}

func TestACancelledAttemptTellsWhyAtOnce(t *testing.T) {
	c := newAttempt(t)
	child, cancel := context.WithCancel(c)
	defer cancel()
	c.cancel(ErrCancelled)
	if !errors.Is(child.Err(), context.Canceled) || !errors.Is(context.Cause(child), ErrCancelled) || !errors.Is(c.Err(), context.Canceled) {
		t.Errorf("error %v, cause %v, of the attempt %v", child.Err(), context.Cause(child), c.Err())
	}
	c.end()
}

func TestADeadlineContextThatHasEndedTellsNewcomers(t *testing.T) {
	c := newDeadlineContext(t.Context(), time.Now().Add(time.Hour))
	c.end(context.DeadlineExceeded)
	c.end(context.Canceled) // The first one counts.
	child, cancel := context.WithCancel(c)
	defer cancel()
	<-child.Done()
	if !errors.Is(child.Err(), context.DeadlineExceeded) || c.move(time.Now().Add(time.Hour)) {
		t.Errorf("error %v", child.Err())
	}
	c.stop()
}

func TestProgressIsSentWithTheNextHeartbeatAndOnlyTheLatest(t *testing.T) {
	c := newAttempt(t)
	l := c.lease
	l.session.leases = map[leaseKey]*lease{}
	l.outcomes = append(l.outcomes, nil, nil)
	for i := range 2 {
		e := &execution{lease: l, index: i}
		task := &Task{run: e}
		task.Progress(0.1, "first")
		task.Progress(2, "second\xff")
	}
	l.outcomes[1] = failedOutcome(errors.New("it has ended"))
	news := l.session.news()
	if len(news) != 1 || news[0].GetIndex() != 0 || news[0].GetProgress().GetRatio() != 1 || news[0].GetProgress().GetText() != "second" {
		t.Errorf("news %v", news)
	}
	if again := l.session.news(); again != nil {
		t.Errorf("said again: %v", again)
	}
}
