package pull_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/fenfa/fenfa/internal/dispatch"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/pull"
	"github.com/fenfa/fenfa/internal/task"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// engine is a partition with a queue "q" of tasks without order.
type engine struct {
	workers *dispatch.Dispatcher
	verdict task.VerdictKind
	silent  bool // outcomes are not answered
	payload []byte

	mu       sync.Mutex
	waiting  int // tasks
	token    uint64
	leases   map[task.LeaseRef]partition.WorkerRef
	outcomes []task.OutcomeKind
	gone     int
	lost     int // leases of sessions that have ended
	extended []time.Duration
}

func (e *engine) Capacity(int, string, task.Placement, uint64) { go e.serve() }

// serve hands out what waits.
func (e *engine) serve() {
	e.mu.Lock()
	defer e.mu.Unlock()
	q := task.DefaultQueue("q")
	for e.waiting > 0 {
		w, _, ok := e.workers.Assign(0, &q, task.Placement{}, "", 1)
		if !ok {
			return
		}
		e.waiting--
		e.token++
		ref := task.LeaseRef{Epoch: 1, Token: e.token}
		e.leases[ref] = w
		e.workers.Send(w.Session, &task.Lease{
			LeaseRef: ref, Queue: "q", Timeout: time.Minute, Ordered: true, Tasks: []task.Leased{{Task: task.Task{Queue: "q", Payload: e.payload}, Attempt: 1, Delivery: 1}},
		})
	}
}

func (e *engine) add(n int) {
	e.mu.Lock()
	e.waiting += n
	e.mu.Unlock()
	e.serve()
}

func (e *engine) Outcomes(w partition.WorkerRef, ref task.LeaseRef, first int, outcomes []task.Outcome) {
	e.mu.Lock()
	e.outcomes = append(e.outcomes, outcomes[0].Kind)
	_, open := e.leases[ref]
	verdict := task.Verdict{LeaseRef: ref, Kind: e.verdict, First: first, Count: 1, Error: "why"}
	if !open {
		verdict.Kind = task.VerdictStale
	}
	if verdict.Kind == task.VerdictConflict {
		verdict.Records, verdict.Complete = []task.Record{{Key: "k", Name: "n", Version: 7}}, true
	} else {
		delete(e.leases, ref)
	}
	if outcomes[0].Kind == task.OutcomeReturned {
		e.waiting++
		defer func() { go e.serve() }()
	}
	silent := e.silent
	e.mu.Unlock()
	if silent {
		return
	}
	if open {
		e.workers.Release(w.Session, "q", partition.Use{Slots: 1})
	}
	e.workers.Answer(w.Session, verdict)
}

func (e *engine) WorkerGone(session uint64, _ bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.gone++
	for ref, w := range e.leases {
		if w.Session == session {
			delete(e.leases, ref)
			e.lost++
		}
	}
}

func (e *engine) ExtendLease(_ context.Context, _ partition.WorkerRef, ref task.LeaseRef, _ int, by time.Duration) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, open := e.leases[ref]; !open {
		return task.Errorf(task.CodeStale, "ended")
	}
	e.extended = append(e.extended, by)
	return nil
}

// state is what the engine has counted at one moment.
type state struct{ leases, waiting, gone, lost, extended int }

func (e *engine) state() state {
	e.mu.Lock()
	defer e.mu.Unlock()
	return state{len(e.leases), e.waiting, e.gone, e.lost, len(e.extended)}
}

// count is what kinds of outcomes there were.
func (e *engine) count(kind task.OutcomeKind) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, k := range e.outcomes {
		if k == kind {
			n++
		}
	}
	return n
}

// start makes a pool in a bubble, in whose time everything runs.
func start(t *testing.T) (*engine, *pull.Pool) {
	t.Helper()
	workers, err := dispatch.New(dispatch.Config{})
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{workers: workers, leases: map[task.LeaseRef]partition.WorkerRef{}}
	workers.Start(e)
	p, err := pull.New(pull.Config{Workers: workers, Engine: e})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Close()
		if err := workers.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return e, p
}

func request(most int, wait time.Duration) pull.Request {
	return pull.Request{WorkerID: "w", Queues: []string{"q"}, Most: most, Wait: wait, TTL: 10 * time.Second}
}

// lease calls for tasks, and fails the test where that fails.
func lease(t *testing.T, p *pull.Pool, r pull.Request) []pull.Leased {
	t.Helper()
	tasks, err := p.Lease(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return tasks
}

func answer(t *testing.T, p *pull.Pool, lease string) pull.Result {
	t.Helper()
	return p.Answer(t.Context(), []pull.Answer{{Lease: lease}})[0]
}

func TestACallWaitsForTheFirstTaskAndTakesWhatIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := start(t)
		began := time.Now()
		if tasks := lease(t, p, request(5, 30*time.Second)); len(tasks) != 0 || time.Since(began) != 30*time.Second {
			t.Errorf("%d tasks after %v, of none", len(tasks), time.Since(began))
		}
		time.AfterFunc(20*time.Second, func() { e.add(3) })
		began = time.Now()
		if tasks := lease(t, p, request(5, time.Minute)); len(tasks) != 3 || time.Since(began) > 21*time.Second {
			t.Errorf("%d tasks after %v", len(tasks), time.Since(began))
		}
		e.add(10)
		if tasks := lease(t, p, request(4, time.Minute)); len(tasks) != 4 {
			t.Errorf("%d tasks of 4 that were asked for", len(tasks))
		}
	})
}

func TestNothingIsHandedOutWhileNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := start(t)
		lease(t, p, request(1, time.Second))
		e.add(1)
		synctest.Wait()
		if e.state().leases != 0 {
			t.Fatal("a task was handed out to a worker that does not wait")
		}
		if tasks := lease(t, p, request(1, time.Second)); len(tasks) != 1 {
			t.Error("the task that waited was not handed out")
		}
	})
}

func TestACallThatEndsLeavesNoTaskBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := start(t)
		// Calls end at all moments, while tasks come.
		var calls sync.WaitGroup
		for i := range 200 {
			calls.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*time.Millisecond+1)
				defer cancel()
				tasks, err := p.Lease(ctx, request(2, time.Duration(50+i/2)*time.Millisecond))
				if err != nil && task.CodeOf(err) != task.CodeUnavailable {
					t.Error(err)
				}
				for _, l := range tasks {
					if r := answer(t, p, l.ID); r.Err != nil {
						t.Error(r.Err)
					}
				}
			})
			if i%2 == 0 {
				time.AfterFunc(time.Duration(i)*time.Millisecond, func() { e.add(1) })
			}
		}
		calls.Wait()
		<-time.After(time.Second)
		for {
			tasks := lease(t, p, request(100, 100*time.Millisecond))
			for _, l := range tasks {
				answer(t, p, l.ID)
			}
			if len(tasks) == 0 {
				break
			}
		}
		if done := e.count(task.OutcomeDone); done != 100 || e.state().leases != 0 || e.state().waiting != 0 {
			t.Errorf("%d of 100 tasks are done: %+v", done, e.state())
		}
	})
}

func TestAnAnswerIsWhatTheVerdictSays(t *testing.T) {
	for kind, want := range map[task.VerdictKind]task.Code{
		task.VerdictConflict: task.CodeConflict,
		task.VerdictRefused:  task.CodeInvalidArgument,
		task.VerdictStale:    task.CodeStale,
		task.VerdictLate:     task.CodeStale,
	} {
		synctest.Test(t, func(t *testing.T) {
			e, p := start(t)
			e.add(1)
			l := lease(t, p, request(1, time.Second))[0]
			e.verdict = kind
			r := answer(t, p, l.ID)
			if task.CodeOf(r.Err) != want || (len(r.Records) == 1 && r.Complete) != (kind == task.VerdictConflict) {
				t.Errorf("%+v, want %s", r, want)
			}
			e.verdict = task.VerdictCommitted
			if again := answer(t, p, l.ID); (again.Err == nil) != (kind == task.VerdictConflict) {
				t.Errorf("after %s a second answer is %v", want, again.Err)
			}
		})
	}
}

func TestTwoAnswersAtATimeAreNotMixed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := start(t)
		e.add(1)
		l := lease(t, p, request(1, time.Second))[0]
		e.silent = true
		results := p.Answer(t.Context(), []pull.Answer{{Lease: l.ID}, {Lease: l.ID}, {Lease: "x"}, {Lease: strings.Replace(l.ID, ".1.0", ".2.0", 1)}})
		var codes []string
		for _, r := range results {
			codes = append(codes, task.CodeOf(r.Err).String())
		}
		if want := []string{"unavailable", "failed_precondition", "invalid_argument", "stale"}; !slices.Equal(codes, want) {
			t.Errorf("%v, want %v", codes, want)
		}
	})
}

// patient is a request of a worker that may be silent for long.
func patient() pull.Request {
	r := request(1, time.Second)
	r.TTL = 10 * time.Minute
	return r
}

// Whoever owned the partition is gone before it said what became of an answer.
func TestAnAnswerWithoutAVerdictMayBeRepeatedAndIsForgotten(t *testing.T) {
	for name, after := range map[string]func(*testing.T, *pull.Pool, string){
		"repeated": func(t *testing.T, p *pull.Pool, id string) {
			t.Helper()
			if r := answer(t, p, id); task.CodeOf(r.Err) != task.CodeStale {
				t.Errorf("the answer to a repeat is %v, want that the lease has ended", r.Err)
			}
		},
		"left alone": func(t *testing.T, p *pull.Pool, id string) {
			t.Helper()
			for range 8 { // It goes on calling, beyond the time of the task.
				<-time.After(20 * time.Second)
				if got := lease(t, p, patient()); len(got) != 0 {
					t.Fatalf("%d tasks", len(got))
				}
			}
			if _, open := p.QueueOf(id); open {
				t.Error("the task is remembered for ever")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, p := start(t)
				e.add(1)
				l := lease(t, p, patient())[0]
				e.silent = true
				if r := answer(t, p, l.ID); task.CodeOf(r.Err) != task.CodeUnavailable {
					t.Fatalf("without a verdict the answer is %v", r.Err)
				}
				e.silent = false
				after(t, p, l.ID)
			})
		})
	}
}

func TestASessionEndsWithoutCallsAndItsLeasesToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := start(t)
		e.add(1)
		l := lease(t, p, request(1, time.Second))[0]
		for range 3 {
			<-time.After(9 * time.Second)
			if _, err := p.Extend(t.Context(), l.ID, time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(11 * time.Second)
		if now := e.state(); now.lost != 1 || now.extended != 3 {
			t.Fatalf("%+v", now)
		}
		if r := answer(t, p, l.ID); task.CodeOf(r.Err) != task.CodeStale {
			t.Errorf("%v", r.Err)
		}
		if _, err := p.Extend(t.Context(), l.ID, time.Minute); task.CodeOf(err) != task.CodeStale {
			t.Errorf("%v", err)
		}
		e.add(1)
		if tasks := lease(t, p, request(1, time.Second)); len(tasks) != 1 {
			t.Error("the worker came back and got nothing")
		}
	})
}

func TestAWorkerThatChangesMustHaveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := start(t)
		e.add(1)
		l := lease(t, p, request(1, time.Second))[0]
		other := request(1, time.Second)
		other.Queues = []string{"q", "r"}
		if _, err := p.Lease(t.Context(), other); task.CodeOf(err) != task.CodeFailedPrecondition {
			t.Errorf("%v", err)
		}
		answer(t, p, l.ID)
		if _, err := p.Lease(t.Context(), other); err != nil {
			t.Error(err)
		}
		if e.state().gone != 1 {
			t.Errorf("%+v", e.state())
		}
	})
}

func TestAWorkerThatIsToldToLeaveGetsNothingAndFinishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := start(t)
		e.add(1)
		l := lease(t, p, request(1, time.Second))[0]
		waits := make(chan error)
		go func() {
			_, err := p.Lease(t.Context(), request(1, time.Minute))
			waits <- err
		}()
		synctest.Wait()
		if _, err := e.workers.DrainWorker("w"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := <-waits; task.CodeOf(err) != task.CodeFailedPrecondition {
				t.Errorf("%v", err)
			}
			go func() {
				_, err := p.Lease(t.Context(), request(1, time.Second))
				waits <- err
			}()
		}
		if err := <-waits; err == nil {
			t.Error("a worker that leaves may wait")
		}
		if r := answer(t, p, l.ID); r.Err != nil {
			t.Error(r.Err)
		}
		synctest.Wait()
		if len(e.workers.Workers()) != 0 {
			t.Error("it has nothing left, and is still there")
		}
	})
}

func TestCallsEndWithTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p := start(t)
		waits := make(chan error)
		go func() {
			_, err := p.Lease(t.Context(), request(1, time.Minute))
			waits <- err
		}()
		synctest.Wait()
		p.Close()
		if err := <-waits; task.CodeOf(err) != task.CodeUnavailable {
			t.Errorf("%v", err)
		}
		if _, err := p.Lease(t.Context(), request(1, time.Minute)); task.CodeOf(err) != task.CodeUnavailable {
			t.Errorf("%v", err)
		}
	})
}

func TestLargeAnswersAreCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := start(t)
		e.payload = make([]byte, 1<<20)
		e.add(9)
		seen := 0
		for seen < 9 {
			tasks := lease(t, p, request(9, time.Second))
			if len(tasks) == 0 || len(tasks) > 3 {
				t.Fatalf("%d tasks of 1 MiB in one answer", len(tasks))
			}
			seen += len(tasks)
			for _, l := range tasks {
				answer(t, p, l.ID)
			}
		}
	})
}
