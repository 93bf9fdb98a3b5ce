package fenfa

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

func TestSubmitConfirmsWhatTheNodeHas(t *testing.T) {
	n := startFake(t)
	c := dial(t, n)
	var wg sync.WaitGroup
	ids := make([]ID, 64)
	for i := range ids {
		wg.Go(func() {
			id, err := c.Submit(t.Context(), NewTask("orders", map[string]int{"n": i}, Key(fmt.Sprint("k", i))))
			if err != nil {
				t.Error(err)
			}
			ids[i] = id
		})
	}
	wg.Wait()
	n.with(func() {
		for i, id := range ids {
			have := n.tasks[id.String()]
			if have == nil {
				t.Fatalf("task %s was confirmed, and the node has no such task", id)
			}
			if want := fmt.Sprintf(`{"n":%d}`, i); string(have.wire.GetPayload()) != want {
				t.Errorf("payload %s, want %s", have.wire.GetPayload(), want)
			}
		}
	})
}

func TestSubmitSendsWhatGathersWhileAConfirmIsUnderWay(t *testing.T) {
	n := startFake(t)
	hold := make(chan struct{})
	n.knobs.hold = hold
	c := dial(t, n)
	var wg sync.WaitGroup
	send := func() {
		if _, err := c.Submit(t.Context(), NewTask("q", nil)); err != nil {
			t.Error(err)
		}
	}
	wg.Go(send)
	n.await("the first request", func() bool { return n.requests == 1 })
	for range 200 {
		wg.Go(send)
	}
	awaitWaiting(t, c.batcher, 201)
	close(hold)
	wg.Wait()
	n.with(func() {
		if n.requests != 2 || n.biggest != 200 {
			t.Errorf("%d requests, the biggest of %d tasks; want 2 and 200", n.requests, n.biggest)
		}
	})
}

// awaitWaiting waits until so many tasks are in the batcher.
func awaitWaiting(tb testing.TB, b *batcher, want int) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 20*time.Second)
	defer cancel()
	for {
		b.mu.Lock()
		have := 0
		for _, x := range slices.Concat(b.inFlight, b.waiting) {
			have += len(x.tasks)
		}
		b.mu.Unlock()
		if have >= want {
			return
		}
		if ctx.Err() != nil {
			tb.Fatalf("%d tasks wait, want %d", have, want)
		}
		runtime.Gosched()
	}
}

func TestFullBatchesLeaveWhileOthersAreInFlight(t *testing.T) {
	n := startFake(t)
	hold := make(chan struct{})
	n.knobs.hold = hold
	c := dial(t, n, WithMaxBatch(10))
	tasks := make([]*Task, 100)
	for i := range tasks {
		tasks[i] = NewTask("q", i)
	}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		submit(t, c, tasks...)
	}()
	awaitWaiting(t, c.batcher, 100)
	n.await("the first request", func() bool { return n.requests == 1 })
	c.batcher.mu.Lock()
	if got := len(c.batcher.inFlight); got > maxInFlight {
		t.Errorf("%d batches are in flight, want at most %d", got, maxInFlight)
	}
	c.batcher.mu.Unlock()
	close(hold)
	<-finished
	n.with(func() {
		if n.biggest != 10 {
			t.Errorf("a request had %d tasks, want at most 10", n.biggest)
		}
	})
}

// cuts makes a knob that breaks about one request in n, before or after the node
// took it.
func cuts(seed uint64, oneIn int) func() (bool, bool) {
	r := rand.New(rand.NewPCG(seed, 1))
	return func() (cut, after bool) { return r.IntN(oneIn) == 0, r.IntN(2) == 0 }
}

func TestSubmitBatchKeepsItsOrderOverCutStreams(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			n := startFake(t)
			n.knobs.cutSubmit = cuts(seed, 4)
			c := dial(t, n, WithMaxBatch(20))
			tasks := make([]*Task, 400)
			for i := range tasks {
				tasks[i] = NewTask("q", i, Key("k"))
			}
			results, err := c.SubmitBatch(t.Context(), tasks)
			if err != nil {
				t.Fatal(err)
			}
			n.with(func() {
				if len(n.order) != len(tasks) {
					t.Fatalf("the node has %d tasks, want %d", len(n.order), len(tasks))
				}
				for i, task := range tasks {
					if n.order[i].wire.GetId() != task.ID().String() {
						t.Fatalf("place %d has another task than was submitted there", i)
					}
					if results[i].Err != nil || results[i].ID != task.ID() {
						t.Errorf("result %d is %+v", i, results[i])
					}
				}
				if n.streams < 2 {
					t.Error("no stream was cut: the test shows nothing")
				}
			})
		})
	}
}

func TestConcurrentSubmitsOverCutsAndRestartsAreNeitherLostNorConfirmedFalsely(t *testing.T) {
	n := startFake(t)
	n.knobs.cutSubmit = cuts(7, 10)
	c := dial(t, n)
	const callers, each = 16, 60
	confirmed := make([][]ID, callers)
	half := make(chan struct{}, callers)
	var wg sync.WaitGroup
	for g := range callers {
		wg.Go(func() {
			for i := range each {
				id, err := c.Submit(t.Context(), NewTask("q", i, Key(fmt.Sprint(g))))
				if err != nil {
					t.Error(err)
					return
				}
				confirmed[g] = append(confirmed[g], id)
				if i == each/2 {
					half <- struct{}{}
				}
			}
		})
	}
	<-half
	n.stop()
	n.start()
	wg.Wait()
	n.with(func() {
		place := make(map[string]int)
		for i, task := range n.order {
			place[task.wire.GetId()] = i + 1
		}
		if len(n.order) != callers*each {
			t.Errorf("the node has %d tasks, want %d", len(n.order), callers*each)
		}
		for g := range confirmed {
			last := 0
			for _, id := range confirmed[g] {
				at := place[id.String()]
				if at == 0 {
					t.Fatalf("task %s was confirmed and is not there", id)
				}
				if at < last {
					t.Fatalf("task %s was confirmed later than one behind it", id)
				}
				last = at
			}
		}
	})
}

func TestRepeatedSubmitIsADuplicateWithoutError(t *testing.T) {
	n := startFake(t)
	c := dial(t, n)
	task := NewTask("q", "x")
	for i := range 2 {
		r, err := c.SubmitResult(t.Context(), task)
		if err != nil || r.Duplicate != (i == 1) || r.State != StateQueued || r.ID != task.ID() {
			t.Errorf("submit %d: %+v, %v", i+1, r, err)
		}
	}
	_, err := c.Submit(t.Context(), NewTask("q", "y", WithID(task.ID())))
	if !errors.Is(err, ErrAlreadyExists) || CodeOf(err) != CodeAlreadyExists {
		t.Errorf("the same id with other content: %v, want already_exists", err)
	}
}

func TestRefusedTasksDoNotStopOthers(t *testing.T) {
	n := startFake(t)
	n.knobs.refuse = func(w *fenfav1.Task) *fenfav1.Error {
		if w.GetType() != "bad" {
			return nil
		}
		return &fenfav1.Error{Code: fenfav1.Code_CODE_RESOURCE_EXHAUSTED, Message: "full", Field: "queue", RetryAfter: durationpb.New(time.Minute)}
	}
	c := dial(t, n)
	results, err := c.SubmitBatch(t.Context(), []*Task{NewTask("q", 1), NewTask("q", 2, Type("bad")), NewTask("q", 3), nil})
	if err != nil {
		t.Fatalf("every task was answered, and the error is %v", err)
	}
	for i, want := range []Code{CodeInternal, CodeResourceExhausted, CodeInternal, CodeInvalidArgument} {
		if got := CodeOf(results[i].Err); (results[i].Err == nil) != (want == CodeInternal) || got != want {
			t.Errorf("task %d: %v", i, results[i].Err)
		}
	}
	var e *Error
	if !errors.As(results[1].Err, &e) || e.RetryAfter != time.Minute || e.Field != "queue" || e.Message != "full" {
		t.Errorf("refusal %+v", e)
	}
}

func TestTasksThatMustNotTravelAreRefusedHere(t *testing.T) {
	n := startFake(t)
	c := dial(t, n)
	long := strings.Repeat("x", 1<<20+1)
	for name, test := range map[string]struct {
		task  *Task
		code  Code
		field string
	}{
		"payload":      {NewTask("q", long), CodeTooLarge, "payload"},
		"key":          {NewTask("q", nil, Key(long)), CodeTooLarge, "key"},
		"type":         {NewTask("q", nil, Type(long)), CodeTooLarge, "type"},
		"queue":        {NewTask(long, nil), CodeTooLarge, "queue"},
		"headers":      {NewTask("q", nil, Header("a", long[:10000]), Header("b", long[:10000])), CodeTooLarge, "headers"},
		"key text":     {NewTask("q", nil, Key("\xff")), CodeInvalidArgument, "key"},
		"header text":  {NewTask("q", nil, Header("a", "\xff")), CodeInvalidArgument, "headers"},
		"no JSON":      {NewTask("q", func() {}), CodeInvalidArgument, ""},
		"nothing":      {nil, CodeInvalidArgument, "task"},
		"text in type": {NewTask("q", nil, Type("\xff")), CodeInvalidArgument, "type"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.Submit(t.Context(), test.task)
			var e *Error
			if !errors.As(err, &e) || e.Code != test.code || e.Field != test.field {
				t.Errorf("error %+v, want code %v of field %q", err, test.code, test.field)
			}
		})
	}
	if n.requests > 0 {
		t.Error("something was sent")
	}
}

func TestACancelledCallerDoesNotDisturbOthers(t *testing.T) {
	n := startFake(t)
	hold := make(chan struct{})
	n.knobs.hold = hold
	n.knobs.refuse = func(w *fenfav1.Task) *fenfav1.Error {
		if w.GetType() == "bad" {
			return &fenfav1.Error{Code: fenfav1.Code_CODE_INVALID_ARGUMENT, Message: "bad"}
		}
		return nil
	}
	c := dial(t, n)
	ctx, cancel := context.WithCancel(t.Context())
	sent, left, refused := NewTask("q", "sent"), NewTask("q", "left"), NewTask("q", "refused", Type("bad"))
	errs := make(chan error, 2)
	go func() {
		_, err := c.Submit(ctx, sent)
		errs <- err
	}()
	n.await("the first request", func() bool { return n.requests == 1 })
	waiting := make(chan struct{})
	go func() {
		close(waiting)
		_, err := c.Submit(ctx, left)
		errs <- err
	}()
	<-waiting
	awaitWaiting(t, c.batcher, 2)
	others := make(chan []SubmitResult, 1)
	go func() {
		results, err := c.SubmitBatch(t.Context(), []*Task{NewTask("q", 1), refused, NewTask("q", 2)})
		if err != nil {
			t.Error(err)
		}
		others <- results
	}()
	awaitWaiting(t, c.batcher, 5)
	cancel()
	unknown := 0
	for range 2 {
		err := <-errs
		if !errors.Is(err, context.Canceled) || CodeOf(err) != CodeUnavailable {
			t.Errorf("error %v, want one of the context", err)
		}
		if errors.Is(err, ErrUnknownOutcome) {
			unknown++
		}
	}
	if unknown != 1 {
		t.Errorf("%d outcomes are unknown, want that of the task that was sent", unknown)
	}
	close(hold)
	results := <-others
	if results[0].Err != nil || results[1].Err == nil || results[2].Err != nil {
		t.Errorf("results of the others: %+v", results)
	}
	n.with(func() {
		if n.tasks[left.ID().String()] != nil {
			t.Error("a task was sent after its caller had gone")
		}
		if len(n.order) != 3 {
			t.Errorf("the node has %d tasks, want 3", len(n.order))
		}
	})
}

func TestABatchWhoseCallersHaveAllGoneIsNotSent(t *testing.T) {
	n := startFake(t)
	hold := make(chan struct{})
	n.knobs.hold = hold
	c := dial(t, n)
	first := make(chan error, 1)
	go func() {
		_, err := c.Submit(t.Context(), NewTask("q", 1))
		first <- err
	}()
	n.await("the first request", func() bool { return n.requests == 1 })
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := c.SubmitBatch(ctx, []*Task{NewTask("q", 2), NewTask("q", 3)})
		gone <- err
	}()
	awaitWaiting(t, c.batcher, 3)
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnknownOutcome) {
		t.Errorf("error %v, want that the tasks were not sent", err)
	}
	close(hold)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if _, err := c.Submit(t.Context(), NewTask("q", 4)); err != nil {
		t.Error(err)
	}
	n.with(func() {
		if n.requests != 2 || len(n.order) != 2 {
			t.Errorf("%d requests with %d tasks, want 2 and 2", n.requests, len(n.order))
		}
	})
}

func TestWithoutANodeSubmitSaysWhereAndWhatToDo(t *testing.T) {
	n := startFake(t)
	n.stop()
	c := dial(t, n, WithDialTimeout(50*time.Millisecond))
	_, err := c.Submit(t.Context(), NewTask("q", 1))
	var e *Error
	if !errors.As(err, &e) || e.Code != CodeUnavailable || !errors.Is(err, ErrUnavailable) {
		t.Fatalf("error %v, want unavailable", err)
	}
	for _, want := range []string{n.addr, "refused", "fenfa serve", "not sent"} {
		if !strings.Contains(e.Message, want) {
			t.Errorf("message %q does not say %q", e.Message, want)
		}
	}
	if errors.Is(err, ErrUnknownOutcome) {
		t.Error("nothing was sent, and the outcome is said to be unknown")
	}
}

func TestSubmitWaitsForANodeThatStartsLate(t *testing.T) {
	n := startFake(t)
	n.stop()
	c := dial(t, n)
	errs := make(chan error, 1)
	go func() {
		_, err := c.Submit(t.Context(), NewTask("q", 1))
		errs <- err
	}()
	awaitWaiting(t, c.batcher, 1)
	n.start()
	if err := <-errs; err != nil {
		t.Error(err)
	}
}

func TestAHungNodeIsGivenUpAfterTheSubmitTimeout(t *testing.T) {
	n := startFake(t)
	hold := make(chan struct{})
	n.knobs.hold = hold
	c := dial(t, n, WithSubmitTimeout(100*time.Millisecond))
	task := NewTask("q", 1)
	_, err := c.Submit(t.Context(), task)
	if !errors.Is(err, ErrUnknownOutcome) || CodeOf(err) != CodeUnavailable {
		t.Fatalf("error %v, want an unknown outcome", err)
	}
	n.with(func() { n.knobs.hold = nil })
	defer close(hold) // The stream of before hangs until its end.
	for attempts := 1; ; attempts++ {
		if _, err = c.Submit(t.Context(), task); err == nil {
			break
		}
		if attempts == 100 {
			t.Fatalf("the same task again and again: %v", err)
		}
	}
	n.with(func() {
		if n.streams < 2 || len(n.order) != 1 {
			t.Errorf("%d streams, %d tasks; want another stream and one task", n.streams, len(n.order))
		}
	})
}

func TestTheErrorOfANodeThatRefusesStreamsIsReturned(t *testing.T) {
	n := startFake(t)
	n.knobs.status = func() error {
		return refusal(codes.Unimplemented, &fenfav1.Error{Code: fenfav1.Code_CODE_UNIMPLEMENTED, Message: "no streams here"})
	}
	c := dial(t, n)
	_, err := c.Submit(t.Context(), NewTask("q", 1))
	if CodeOf(err) != CodeUnimplemented || !strings.Contains(err.Error(), "no streams here") {
		t.Errorf("error %v, want the node's", err)
	}
}

func TestAStreamThatTheNodeEndsIsOpenedAgain(t *testing.T) {
	n := startFake(t)
	refusals := 3
	n.knobs.status = func() error {
		n.mu.Lock()
		defer n.mu.Unlock()
		if refusals--; refusals >= 0 {
			return status.Error(codes.Unavailable, "starting")
		}
		return nil
	}
	c := dial(t, n)
	if _, err := c.Submit(t.Context(), NewTask("q", 1)); err != nil {
		t.Error(err)
	}
}

func TestCloseEndsSubmitsThatWait(t *testing.T) {
	n := startFake(t)
	hold := make(chan struct{})
	defer close(hold)
	n.knobs.hold = hold
	c := dial(t, n)
	errs := make(chan error, 1)
	go func() {
		_, err := c.Submit(t.Context(), NewTask("q", 1))
		errs <- err
	}()
	n.await("the first request", func() bool { return n.requests == 1 })
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-errs; !errors.Is(err, ErrUnknownOutcome) {
		t.Errorf("error %v, want an unknown outcome", err)
	}
	if _, err := c.Submit(t.Context(), NewTask("q", 2)); CodeOf(err) != CodeUnavailable || !strings.Contains(err.Error(), "closed") {
		t.Errorf("submit on a closed client: %v", err)
	}
}

func TestSubmitBlocksWhileTooMuchWaits(t *testing.T) {
	n := startFake(t)
	hold := make(chan struct{})
	n.knobs.hold = hold
	c := dial(t, n)
	c.batcher.maxBytes = 10_000
	errs := make(chan error, 2)
	go func() {
		_, err := c.Submit(t.Context(), NewTask("q", make([]byte, 9_000)))
		errs <- err
	}()
	n.await("the first request", func() bool { return n.requests == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := c.Submit(ctx, NewTask("q", make([]byte, 2_000)))
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrUnknownOutcome) {
		t.Fatalf("error %v, want a task that was not sent when its context ended", err)
	}
	go func() {
		_, err := c.Submit(t.Context(), NewTask("q", make([]byte, 20_000)))
		errs <- err
	}()
	close(hold)
	for range 2 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if len(n.order) != 2 {
		t.Errorf("the node has %d tasks, want 2", len(n.order))
	}
}

func TestLingerGathers(t *testing.T) {
	n := startFake(t)
	c := dial(t, n, WithLinger(500*time.Millisecond), WithMaxBatch(10))
	tasks := make([]*Task, 10)
	for i := range tasks {
		tasks[i] = NewTask("q", i)
	}
	var wg sync.WaitGroup
	for _, task := range tasks {
		wg.Go(func() { submit(t, c, task) })
	}
	wg.Wait()
	n.with(func() {
		if n.requests != 1 {
			t.Errorf("%d requests, want all tasks in one", n.requests)
		}
	})
	if _, err := c.Submit(t.Context(), NewTask("q", "alone")); err != nil {
		t.Error(err)
	}
}

func TestDelaysCountByTheClockOfTheClient(t *testing.T) {
	n := startFake(t)
	c := dial(t, n, WithClockAhead(func() time.Duration { return 24 * time.Hour }))
	at := time.Now().Add(time.Hour).Truncate(time.Microsecond)
	delayed, fixed := NewTask("other", nil, Delay(time.Hour)), NewTask("other", nil, Delay(time.Hour), RunAt(at))
	submit(t, c, delayed, fixed)
	submit(t, c, delayed) // The same one.
	w := c.Worker()
	w.Handle("q", func(_ context.Context, task *Task) error {
		task.Emit(NewTask("other", nil, Delay(time.Hour)))
		return nil
	})
	work(t, w)
	emitter := NewTask("q", nil)
	submit(t, c, emitter)
	n.awaitState(emitter, done)
	n.with(func() {
		if got := n.tasks[delayed.ID().String()].wire.GetRunAt().AsTime(); got.Sub(at).Round(time.Minute) != 24*time.Hour {
			t.Errorf("a delay of an hour ends %v after that of the machine", got.Sub(at))
		}
		if got := n.tasks[fixed.ID().String()].wire.GetRunAt().AsTime(); !got.Equal(at) {
			t.Errorf("a task for %v is for %v", at, got)
		}
		if got := n.tasks[DeriveID("emit", emitter.ID().String(), "0").String()].wire.GetRunAt().AsTime(); got.Sub(at).Round(time.Minute) != 24*time.Hour {
			t.Errorf("the delay of an emitted task ends %v after that of the machine", got.Sub(at))
		}
	})
}
