package fenfatest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
)

const day = 24 * time.Hour

// serve lets a worker of the node's serve a queue.
func serve(node *fenfatest.Node, queue string, handler fenfa.HandlerFunc) {
	worker := node.Client().Worker()
	worker.Handle(queue, handler)
	node.Run(worker)
}

// submitTask submits a task and returns its ID.
func submitTask(t *testing.T, node *fenfatest.Node, queue string, opts ...fenfa.TaskOption) fenfa.ID {
	t.Helper()
	id, err := node.Client().Submit(t.Context(), fenfa.NewTask(queue, "x", opts...))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// expectState fails the test unless a task is in a state now.
func expectState(t *testing.T, node *fenfatest.Node, id fenfa.ID, want fenfa.LifeState) *fenfa.TaskStatus {
	t.Helper()
	s, err := node.Client().Task(t.Context(), id)
	if err != nil || s.State != want {
		t.Fatalf("task %s is %+v, want %s: %v", id, s, want, err)
	}
	return s
}

func TestADelayOfMonthsTakesNoTime(t *testing.T) {
	node := fenfatest.Start(t, fenfatest.WithQueues("mail"))
	serve(node, "mail", func(context.Context, *fenfa.Task) error { return nil })
	id := submitTask(t, node, "mail", fenfa.Delay(100*day))
	node.Advance(99 * day)
	expectState(t, node, id, fenfa.StateScheduled)
	node.Advance(day)
	expectState(t, node, id, fenfa.StateDone)
	// A delay counts by the node's clock, which is ahead of the machine's now.
	again := submitTask(t, node, "mail", fenfa.Delay(time.Hour))
	node.Advance(59 * time.Minute)
	expectState(t, node, again, fenfa.StateScheduled)
	node.Advance(time.Minute)
	expectState(t, node, again, fenfa.StateDone)
}

func TestRetriesAndTheirDeadLetterTakeNoTime(t *testing.T) {
	policy := fenfa.RetryPolicy{Base: time.Minute, Factor: 2, Max: 10 * time.Minute, MaxAttempts: 10}
	node := fenfatest.Start(t, fenfatest.WithQueue(fenfa.Queue{Name: "mail", Retry: policy}))
	var began []time.Time // Of the latest task; one attempt follows the other.
	serve(node, "mail", func(context.Context, *fenfa.Task) error {
		began = append(began, node.Now())
		return errors.New("no")
	})
	for name, opts := range map[string][]fenfa.TaskOption{"with order": {fenfa.Key("k")}, "without": nil} {
		t.Run(name, func(t *testing.T) {
			began = nil
			id := submitTask(t, node, "mail", opts...)
			node.Advance(2 * time.Hour)
			if s := expectState(t, node, id, fenfa.StateDead); s.Attempts != 10 || len(began) != 10 {
				t.Fatalf("attempts at %v, dead letter %+v", began, s)
			}
			for i := 1; i < len(began); i++ {
				if pause := began[i].Sub(began[i-1]); pause > 30*time.Minute {
					t.Errorf("attempt %d began %v after the one before", i+1, pause)
				}
			}
			if whole := began[9].Sub(began[0]); whole < 10*time.Minute {
				t.Errorf("ten attempts within %v", whole)
			}
		})
	}
}

func TestWhatIsDueHappensInTheOrderOfItsTime(t *testing.T) {
	node := fenfatest.Start(t, fenfatest.WithQueues("mail"))
	var ran []string
	serve(node, "mail", func(_ context.Context, x *fenfa.Task) error {
		ran = append(ran, x.Type())
		switch x.Type() {
		case "one":
			x.Emit(fenfa.NewTask("mail", nil, fenfa.Type("two"), fenfa.Delay(30*time.Minute)))
		case "three":
			if x.Attempt() == 1 {
				return fenfa.RetryAfter(2*time.Hour, errors.New("not yet"))
			}
		}
		return nil
	})
	for name, delay := range map[string]time.Duration{"one": time.Hour, "three": 2 * time.Hour, "four": 3 * time.Hour} {
		submitTask(t, node, "mail", fenfa.Type(name), fenfa.Delay(delay))
	}
	node.Advance(day)
	if got := len(ran); got != 5 || ran[0] != "one" || ran[1] != "two" || ran[2] != "three" || ran[3] != "four" || ran[4] != "three" {
		t.Errorf("ran %v", ran)
	}
}

func TestEachTickOfAScheduleInAYearTakesNoTime(t *testing.T) {
	node := fenfatest.Start(t, fenfatest.WithQueues("reports"))
	var ran atomic.Int64
	serve(node, "reports", func(context.Context, *fenfa.Task) error {
		ran.Add(1)
		return nil
	})
	d := fenfa.CronDefinition{Name: "weekly", Spec: "30 2 * * 1", Zone: "Europe/Berlin", Queue: "reports"}
	if _, _, err := node.Client().Crons().Create(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	node.Advance(7 * 52 * day)
	s, err := node.Client().Crons().Get(t.Context(), "weekly")
	if err != nil || s.FiredTicks != 52 || s.MissedTicks != 0 || s.SkippedTicks != 0 || ran.Load() != 52 {
		t.Errorf("%d tasks ran, schedule %+v: %v", ran.Load(), s, err)
	}
}

func TestAHandlerThatTakesLongOverlapsTicks(t *testing.T) {
	node := fenfatest.Start(t, fenfatest.WithQueue(fenfa.Queue{Name: "reports", Timeout: time.Minute}))
	serve(node, "reports", func(ctx context.Context, x *fenfa.Task) error {
		if err := x.Extend(10 * time.Minute); err != nil { // Of the machine's time, as the timeout is.
			return err
		}
		return node.Sleep(ctx, 150*time.Minute, x)
	})
	d := fenfa.CronDefinition{Name: "hourly", Spec: "0 * * * *", Queue: "reports", Overlap: fenfa.CronSkip}
	if _, _, err := node.Client().Crons().Create(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	node.AdvanceTo(node.Now().Truncate(time.Hour).Add(7*time.Hour - time.Second))
	s, err := node.Client().Crons().Get(t.Context(), "hourly")
	if err != nil || s.FiredTicks != 2 || s.SkippedTicks != 4 {
		t.Errorf("schedule %+v: %v", s, err)
	}
	info, err := node.Client().DescribeQueue(t.Context(), "reports")
	if err != nil || info.Stats.DoneTotal != 2 || info.Stats.FailedTotal != 0 {
		t.Errorf("queue %+v: %v", info.Stats, err)
	}
}

func TestTasksExpireByTheNodesClock(t *testing.T) {
	node := fenfatest.Start(t, fenfatest.WithQueues("mail"))
	early := submitTask(t, node, "mail", fenfa.ExpiresAt(node.Now().Add(time.Hour)))
	late := submitTask(t, node, "mail", fenfa.ExpiresAt(node.Now().Add(3*time.Hour)))
	node.Advance(2 * time.Hour) // Nobody works: that is rest.
	s := expectState(t, node, early, fenfa.StateExpired)
	if late := node.Now().Sub(s.FinishedAt); late < 50*time.Minute || late > 70*time.Minute {
		t.Errorf("it expired %v ago, want an hour", late)
	}
	serve(node, "mail", func(context.Context, *fenfa.Task) error { return nil })
	node.Advance(0)
	expectState(t, node, late, fenfa.StateDone)
}

func TestWhatIsKeptForATimeGoesAfterIt(t *testing.T) {
	node := fenfatest.Start(t, fenfatest.WithQueue(fenfa.Queue{
		Name: "mail", DedupeWindow: 2 * time.Hour, ResultTTL: 2 * time.Hour, DeadTTL: day, Retry: fenfa.RetryPolicy{MaxAttempts: 1},
	}))
	serve(node, "mail", func(_ context.Context, x *fenfa.Task) error {
		if x.Type() == "bad" {
			return errors.New("no")
		}
		return nil
	})
	id := fenfa.NewID()
	submit := func() fenfa.SubmitResult {
		t.Helper()
		r, err := node.Client().SubmitResult(t.Context(), fenfa.NewTask("mail", "x", fenfa.WithID(id)))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	submit()
	bad := submitTask(t, node, "mail", fenfa.Type("bad"))
	node.Advance(time.Hour)
	if r := submit(); !r.Duplicate || r.State != fenfa.StateDone {
		t.Errorf("within its window a task is submitted again: %+v", r)
	}
	node.Advance(2 * time.Hour)
	if s, err := node.Client().Task(t.Context(), id); fenfa.CodeOf(err) != fenfa.CodeNotFound {
		t.Errorf("the result is still there: %+v, %v", s, err)
	}
	if r := submit(); r.Duplicate {
		t.Errorf("after its window a task is not new: %+v", r)
	}
	expectState(t, node, bad, fenfa.StateDead)
	node.Advance(day)
	if dead, _, err := node.Client().DeadLetters(t.Context(), fenfa.DeadFilter{Queue: "mail"}, fenfa.Page{}); err != nil || len(dead) != 0 {
		t.Errorf("dead letters %+v: %v", dead, err)
	}
}

func TestAUniqueTaskKeepsOthersOutForItsPeriod(t *testing.T) {
	node := fenfatest.Start(t, fenfatest.WithQueues("mail"))
	serve(node, "mail", func(context.Context, *fenfa.Task) error { return nil })
	submit := func() fenfa.SubmitResult {
		t.Helper()
		r, err := node.Client().SubmitResult(t.Context(), fenfa.NewTask("mail", "x", fenfa.OnlyOne(fenfa.Unique{Period: day})))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := submit()
	node.Advance(23 * time.Hour)
	if r := submit(); !r.Duplicate || r.ID != first.ID {
		t.Errorf("within the period: %+v", r)
	}
	node.Advance(2 * time.Hour)
	if r := submit(); r.Duplicate {
		t.Errorf("after the period: %+v", r)
	}
}

func TestARateIsByTheNodesClock(t *testing.T) {
	node := fenfatest.Start(t, fenfatest.WithQueue(fenfa.Queue{Name: "calls", Rate: fenfa.Rate{PerSecond: 1.0 / 60, Burst: 1}}))
	began := make(chan time.Time, 10)
	serve(node, "calls", func(context.Context, *fenfa.Task) error {
		began <- node.Now()
		return nil
	})
	for range 6 {
		submitTask(t, node, "calls")
	}
	node.Advance(time.Hour)
	last := <-began
	for range 5 {
		next := <-began
		if pause := next.Sub(last); pause < 59*time.Second {
			t.Errorf("a task began %v after another one", pause)
		}
		last = next
	}
}

func TestWaitReturnsWhenTheClockHasBroughtTheEnd(t *testing.T) {
	node := fenfatest.Start(t, fenfatest.WithQueues("mail"))
	serve(node, "mail", func(_ context.Context, x *fenfa.Task) error { return x.Return("sent") })
	id := submitTask(t, node, "mail", fenfa.Delay(30*day))
	ended := make(chan *fenfa.TaskStatus, 1)
	go func() {
		s, err := node.Client().Wait(t.Context(), id)
		if err != nil {
			t.Error(err)
		}
		ended <- s
	}()
	node.Advance(31 * day)
	if s := <-ended; s.State != fenfa.StateDone || s.FinishedAt.After(node.Now()) || s.FinishedAt.Before(node.Now().Add(-2*day)) {
		t.Errorf("%+v", s)
	}
}

func TestLocksAndWorkersOutliveAJump(t *testing.T) {
	node := fenfatest.Start(t, fenfatest.WithQueues("mail"))
	serve(node, "mail", func(context.Context, *fenfa.Task) error { return nil })
	held, err := node.Client().Lock(t.Context(), "inventory", fenfa.LockTTL(30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	node.Advance(365 * day)
	if other, err := node.Client().Lock(t.Context(), "inventory", fenfa.LockWait(0)); !errors.Is(err, fenfa.ErrLockHeld) {
		t.Errorf("another one has the lock: %+v, %v", other, err)
	}
	if err := held.Unlock(t.Context()); err != nil {
		t.Error(err)
	}
	workers, err := node.Client().Workers(t.Context())
	if err != nil || len(workers) != 1 || time.Since(workers[0].ConnectedAt) > day {
		t.Errorf("workers %+v: %v", workers, err)
	}
}

func TestTheClockGoesOnOverARestart(t *testing.T) {
	node := fenfatest.Start(t, fenfatest.WithQueues("mail"))
	serve(node, "mail", func(context.Context, *fenfa.Task) error { return nil })
	id := submitTask(t, node, "mail", fenfa.Delay(2*day))
	node.Advance(day)
	before := node.Now()
	node.Restart()
	if node.Now().Before(before) {
		t.Error("the clock went back")
	}
	node.Advance(day)
	expectState(t, node, id, fenfa.StateDone)
}

func TestNodesHaveClocksOfTheirOwn(t *testing.T) {
	for _, ahead := range []time.Duration{day, 30 * day} {
		t.Run(ahead.String(), func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			node := fenfatest.Start(t, fenfatest.WithQueues("mail"))
			serve(node, "mail", func(context.Context, *fenfa.Task) error { return nil })
			soon, later := submitTask(t, node, "mail", fenfa.Delay(ahead-time.Hour)), submitTask(t, node, "mail", fenfa.Delay(ahead+time.Hour))
			node.Advance(ahead)
			expectState(t, node, soon, fenfa.StateDone)
			expectState(t, node, later, fenfa.StateScheduled)
			if gone := node.Now().Sub(began) - time.Since(began); gone.Round(time.Second) > ahead {
				t.Errorf("the clock is ahead by %v", gone)
			}
		})
	}
}

func TestTheExampleOfTheDocumentationIsTheOneThatRuns(t *testing.T) {
	page, err := os.ReadFile("../docs/testing.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```go\n")
	shown, _, _ := strings.Cut(rest, "```")
	code, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	if shown == "" || !strings.HasSuffix(string(code), "\n"+shown) {
		t.Errorf("docs/testing.md shows another example than example_test.go:\n%s", shown)
	}
}

// verdict is a test that may fail.
type verdict struct {
	testing.TB
	failed chan string
}

func (v *verdict) Fatalf(format string, args ...any) {
	v.failed <- fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestAHandlerThatDoesNotReturnFailsTheTestByName(t *testing.T) {
	v := &verdict{TB: t, failed: make(chan string, 1)}
	node := fenfatest.Start(v, fenfatest.WithQueues("mail"), fenfatest.WithPatience(20*time.Millisecond))
	began, goOn := make(chan struct{}), make(chan struct{})
	serve(node, "mail", func(context.Context, *fenfa.Task) error {
		close(began)
		<-goOn
		return nil
	})
	id := submitTask(t, node, "mail")
	<-began
	go func() {
		defer close(v.failed)
		node.Advance(time.Hour)
	}()
	if why := <-v.failed; !strings.Contains(why, "task "+id.String()+" of queue mail runs on worker") || !strings.Contains(why, "(attempt 1)") {
		t.Errorf("failed with %q", why)
	}
	close(goOn)
}

func TestAClockDoesNotGoBack(t *testing.T) {
	v := &verdict{TB: t, failed: make(chan string, 2)}
	node := fenfatest.Start(v)
	for _, back := range []func(){
		func() { node.AdvanceTo(node.Now().Add(-time.Hour)) },
		func() { node.Advance(-time.Hour) },
	} {
		go back()
		if why := <-v.failed; !strings.Contains(why, "goes forward only") {
			t.Errorf("failed with %q", why)
		}
	}
}

func TestAHandlerThatSleepsEndsWithItsContext(t *testing.T) {
	node := fenfatest.Start(t, fenfatest.WithQueues("mail"))
	began := make(chan struct{})
	serve(node, "mail", func(ctx context.Context, x *fenfa.Task) error {
		close(began)
		return node.Sleep(ctx, day, x)
	})
	id := submitTask(t, node, "mail")
	<-began
	node.Advance(time.Hour)
	expectState(t, node, id, fenfa.StateRunning)
	if r, err := node.Client().Cancel(t.Context(), id, "enough"); err != nil {
		t.Fatalf("%+v: %v", r, err)
	}
	node.Advance(0)
	expectState(t, node, id, fenfa.StateCancelled)
}
