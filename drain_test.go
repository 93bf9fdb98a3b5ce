package fenfa

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// holding starts a worker whose handlers wait for the returned release, after each
// has said that it began.
func holding(t *testing.T, c *Client, opts ...WorkerOption) (w *Worker, begun chan *Task, release chan struct{}) {
	t.Helper()
	begun, release = make(chan *Task, 1000), make(chan struct{})
	w = c.Worker(opts...)
	w.Handle("q", func(ctx context.Context, task *Task) error {
		begun <- task
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return w, begun, release
}

// settled checks that n tasks are done and the others wait as if nobody had ever had
// them.
func settled(t *testing.T, n *fakeNode, tasks []*Task, want int) {
	t.Helper()
	n.with(func() {
		finished := 0
		for i, task := range tasks {
			have := n.tasks[task.ID().String()]
			if have.state == done {
				finished++
			} else if have.state != queued || have.deliveries != 0 {
				t.Errorf("task %d is %v after %d deliveries", i, have.state, have.deliveries)
			}
			if have.attempts != 0 || have.effects > 1 {
				t.Errorf("task %d has %d failed attempts and %d effects", i, have.attempts, have.effects)
			}
		}
		if finished != want {
			t.Errorf("%d tasks are done, want %d", finished, want)
		}
		if len(n.sessions) != 0 {
			t.Error("the session did not end")
		}
	})
}

func TestDrainFinishesWhatRunsAndGivesBackTheRest(t *testing.T) {
	for _, order := range []string{"key", "none"} {
		t.Run(order, func(t *testing.T) {
			n := startFake(t)
			n.with(func() { n.queues["q"] = &fenfav1.Queue{Order: order} })
			c := dial(t, n)
			const slots, prefetch = 2, 2
			w, begun, release := holding(t, c, Concurrency(slots))
			tasks := make([]*Task, 60)
			for i := range tasks {
				tasks[i] = NewTask("q", i, Key(strconv.Itoa(i%6)))
			}
			submit(t, c, tasks...)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- w.Run(ctx) }()
			<-begun
			<-begun
			// The node hands out more, as it would for a worker that prefetches.
			n.with(func() {
				for s := range n.sessions {
					s.prefetch = prefetch
				}
				n.grant()
			})
			cancel()
			n.await("everything that has not begun is back", func() bool {
				for s := range n.sessions {
					return s.drained && (order == "none" && n.returned == prefetch || order == "key" && n.returned == prefetch*10)
				}
				return false
			})
			close(release)
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			if len(begun) != 0 {
				t.Errorf("%d handlers began after the drain", len(begun))
			}
			settled(t, n, tasks, slots)
		})
	}
}

func TestLeasesThatComeWhileTheWorkerDrainsGoBackAtOnce(t *testing.T) {
	for _, order := range []string{"key", "none"} {
		t.Run(order, func(t *testing.T) {
			n := startFake(t)
			n.with(func() { n.queues["q"] = &fenfav1.Queue{Order: order} })
			c := dial(t, n)
			w, begun, release := holding(t, c, Concurrency(1))
			first, late := NewTask("q", 1, Key("a")), NewTask("q", 2, Key("b"))
			submit(t, c, first)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- w.Run(ctx) }()
			<-begun
			cancel()
			n.await("the worker drains", func() bool {
				for s := range n.sessions {
					return s.drained
				}
				return false
			})
			submit(t, c, late)
			n.with(func() { // A lease that was on its way when the worker said so.
				for s := range n.sessions {
					for _, lane := range n.ring {
						if len(lane.waiting) > 0 {
							s.lease(lane, 1)
							s.used++
						}
					}
				}
			})
			n.await("the late task is back", func() bool { return n.returned == 1 })
			close(release)
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			settled(t, n, []*Task{first, late}, 1)
		})
	}
}

func TestAConflictWhileTheWorkerDrainsGivesTheTaskBack(t *testing.T) {
	for _, order := range []string{"key", "none"} {
		t.Run(order, func(t *testing.T) {
			n := startFake(t)
			n.with(func() { n.queues["q"] = &fenfav1.Queue{Order: order} })
			c := dial(t, n)
			running := make(chan struct{}, 10)
			n.knobs.before = func(*fakeTask) { n.put("k", "text", "x") } // Every outcome meets a conflict.
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			draining := make(chan struct{})
			w := c.Worker(OnEvent(func(e Event) {
				if e.Kind == EventDraining {
					close(draining)
				}
			}))
			w.Handle("q", func(ctx context.Context, task *Task) error {
				running <- struct{}{}
				if err := append1(ctx, task); err != nil {
					return err
				}
				<-draining
				return nil
			})
			task := NewTask("q", "a", Key("k"))
			submit(t, c, task)
			ended := make(chan error, 1)
			go func() { ended <- w.Run(ctx) }()
			<-running
			cancel()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			if len(running) != 0 {
				t.Error("the handler ran again after the drain")
			}
			settled(t, n, []*Task{task}, 0)
		})
	}
}

func TestNothingIsSaidAfterTheGoodbye(t *testing.T) {
	s, l := idle(t, true, 1)
	out := &silentStream{}
	s.stream = out
	if err := s.sayGoodbye(); err != nil {
		t.Fatal(err)
	}
	s.finishOrdered(l, 0, s.nothing, time.Now())
	if err := s.send(s.collect()); err == nil || len(out.sent) > 1 || !out.closed {
		t.Errorf("%d messages were sent, error %v", len(out.sent), err)
	}
	if len(out.sent) != 1 || !out.sent[0].GetDrain() {
		t.Errorf("the goodbye is %v, want one that says that the worker drains", out.sent)
	}
}

// silentStream keeps what is sent.
type silentStream struct {
	workStream
	sent   []*fenfav1.WorkRequest
	closed bool
}

// Send implements workStream.
func (s *silentStream) Send(req *fenfav1.WorkRequest) error {
	s.sent = append(s.sent, req)
	return nil
}

// CloseSend implements workStream.
func (s *silentStream) CloseSend() error {
	s.closed = true
	return nil
}

func TestDrainGivesUpAfterItsTimeout(t *testing.T) {
	n := startFake(t)
	c := dial(t, n)
	begun := make(chan struct{})
	w := c.Worker(DrainTimeout(10 * time.Millisecond))
	w.Handle("q", func(ctx context.Context, _ *Task) error {
		close(begun)
		<-ctx.Done()
		return nil
	})
	task := NewTask("q", nil, Key("k"))
	submit(t, c, task)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	<-begun
	cancel()
	err := <-ended
	if CodeOf(err) != CodeUnavailable || !strings.Contains(err.Error(), "1 tasks unconfirmed") {
		t.Errorf("error %v, want that a task is not finished", err)
	}
	n.awaitState(task, queued)
}

func TestDrainWaitsForVerdicts(t *testing.T) {
	n := startFake(t)
	n.knobs.silent = true
	c := dial(t, n)
	w := c.Worker(DrainTimeout(10 * time.Millisecond))
	w.Handle("q", func(context.Context, *Task) error { return nil })
	task := NewTask("q", nil, Key("k"))
	submit(t, c, task)
	stop := work(t, w)
	n.awaitState(task, done)
	if err := stop(); CodeOf(err) != CodeUnavailable {
		t.Errorf("error %v, want that a task is not confirmed", err)
	}
}

func TestALostStreamEndsHandlersAndTheWorkerComesBack(t *testing.T) {
	n := startFake(t)
	c := dial(t, n)
	begun := make(chan struct{}, 2)
	causes := make(chan error, 1)
	disconnected := make(chan error, 10)
	w := c.Worker(WorkerID("me"), OnEvent(func(e Event) {
		if e.Kind == EventDisconnected {
			if e.Final {
				t.Error("a lost stream is final")
			}
			disconnected <- e.Err
		}
	}))
	w.Handle("q", func(ctx context.Context, task *Task) error {
		if task.Delivery() > 1 {
			return nil
		}
		begun <- struct{}{}
		<-ctx.Done()
		causes <- context.Cause(ctx)
		return nil
	})
	task := NewTask("q", nil, Key("k"))
	submit(t, c, task)
	stop := work(t, w)
	<-begun
	n.stop()
	if cause := <-causes; !errors.Is(cause, errLeaseLost) {
		t.Errorf("the context's cause is %v", cause)
	}
	if err := <-disconnected; CodeOf(err) != CodeUnavailable {
		t.Errorf("disconnected by %v", err)
	}
	n.start()
	have := n.awaitState(task, done)
	if err := stop(); err != nil {
		t.Error(err)
	}
	if have.deliveries != 2 || have.attempts != 0 || have.effects != 1 {
		t.Errorf("%d deliveries, %d failures, %d effects", have.deliveries, have.attempts, have.effects)
	}
	if len(n.hellos) < 2 || n.hellos[1].GetWorkerId() != "me" {
		t.Errorf("hellos %v", n.hellos)
	}
}

func TestAWorkerThatTheNodeDismissesFinishesAndComesBack(t *testing.T) {
	n := startFake(t)
	c := dial(t, n)
	begun, release := make(chan struct{}), make(chan struct{})
	w := c.Worker()
	w.Handle("q", func(_ context.Context, task *Task) error {
		if string(task.Payload()) == "slow" {
			close(begun)
			<-release
		}
		return nil
	})
	slow, next := NewTask("q", "slow", Key("k")), NewTask("q", "next", Key("k"))
	submit(t, c, slow)
	stop := work(t, w)
	<-begun
	n.with(func() {
		for s := range n.sessions {
			s.push(&fenfav1.WorkResponse{Drain: true})
		}
	})
	n.await("the worker drains", func() bool {
		for s := range n.sessions {
			return s.drained
		}
		return false
	})
	close(release)
	if have := n.awaitState(slow, done); have.deliveries != 1 {
		t.Errorf("the task was delivered %d times", have.deliveries)
	}
	submit(t, c, next)
	n.awaitState(next, done)
	if err := stop(); err != nil {
		t.Error(err)
	}
	if len(n.hellos) != 2 {
		t.Errorf("%d hellos, want 2", len(n.hellos))
	}
}

func TestAWorkerThatIsSentAwayFinishesAndDoesNotComeBack(t *testing.T) {
	n := startFake(t)
	c := dial(t, n)
	final := make(chan Event, 10)
	w, begun, release := holding(t, c, WorkerID("me"), Concurrency(1), OnEvent(func(e Event) {
		if e.Kind == EventDisconnected {
			final <- e
		}
	}))
	tasks := []*Task{NewTask("q", 1, Key("k")), NewTask("q", 2, Key("k")), NewTask("q", 3, Key("k"))}
	submit(t, c, tasks...)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(t.Context()) }()
	<-begun
	if _, err := c.DrainWorker(t.Context(), "me"); err != nil {
		t.Fatal(err)
	}
	n.await("the worker drains", func() bool {
		for s := range n.sessions {
			return s.drained
		}
		return false
	})
	close(release)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	settled(t, n, tasks, 1)
	if e := <-final; !e.Final || e.Err != nil || len(n.hellos) != 1 {
		t.Errorf("event %+v and %d hellos, want a final one without error and one hello", e, len(n.hellos))
	}
}

func TestAWorkerThatIsSentAwayAndLosesItsNodeSaysWhatIsUnfinished(t *testing.T) {
	n := startFake(t)
	c := dial(t, n)
	draining := make(chan struct{})
	w, begun, _ := holding(t, c, WorkerID("me"), OnEvent(func(e Event) {
		if e.Kind == EventDraining {
			close(draining)
		}
	}))
	task := NewTask("q", 1, Key("k"))
	submit(t, c, task)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(t.Context()) }()
	<-begun
	if _, err := c.DrainWorker(t.Context(), "me"); err != nil {
		t.Fatal(err)
	}
	<-draining
	n.stop()
	if err := <-ended; CodeOf(err) != CodeUnavailable || !strings.Contains(err.Error(), "1 tasks unconfirmed") {
		t.Errorf("ended with %v", err)
	}
}

func TestAWorkerWithoutANodeEndsWithItsContext(t *testing.T) {
	n := startFake(t)
	n.stop()
	disconnected := make(chan error, 10)
	c := dial(t, n, WithDialTimeout(20*time.Millisecond))
	w := c.Worker(OnEvent(func(e Event) {
		select {
		case disconnected <- e.Err:
		default:
		}
	}))
	w.Handle("q", func(context.Context, *Task) error { return nil })
	stop := work(t, w)
	if err := <-disconnected; CodeOf(err) != CodeUnavailable || !strings.Contains(err.Error(), n.addr) {
		t.Errorf("disconnected by %v", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestAWorkerSaysWhetherItIsConnected(t *testing.T) {
	n := startFake(t)
	c := dial(t, n)
	w, begun, release := holding(t, c)
	if w.Connected() {
		t.Error("a worker that never ran is connected")
	}
	stop := work(t, w)
	submit(t, c, NewTask("q", nil))
	<-begun
	if !w.Connected() {
		t.Error("a worker that has a task is not connected")
	}
	close(release)
	if err := stop(); err != nil {
		t.Error(err)
	}
	if w.Connected() {
		t.Error("a worker that has stopped is connected")
	}
}
