package fenfa

import (
	"context"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// blocked makes a session whose only slot is taken, until the returned release, by a
// lease of token 1, and which has two more leases of three tasks.
func blocked(t *testing.T, ordered bool) (s *session, ran chan uint64, release func()) {
	t.Helper()
	begun, gate := make(chan struct{}), make(chan struct{})
	ran = make(chan uint64, 100)
	s = bareSession(t, 1, func(_ context.Context, task *Task) error {
		if task.run.lease.wire.GetRef().GetToken() == 1 {
			close(begun)
			<-gate
		}
		ran <- task.run.lease.wire.GetRef().GetToken()
		return nil
	})
	release = sync.OnceFunc(func() { close(gate) })
	t.Cleanup(release) // Before the session's, which waits for the handler.
	s.take([]*fenfav1.Lease{wireLease(1, ordered, 1)})
	select {
	case <-begun:
	case <-s.wake:
		t.Fatalf("the first task ended and its handler never began: %v", s.collect())
	}
	s.take([]*fenfav1.Lease{wireLease(2, ordered, 3), wireLease(3, ordered, 3)})
	return s, ran, release
}

// kinds counts the outcomes of a message by their kind, for each token.
func kinds(req *fenfav1.WorkRequest) map[uint64]map[fenfav1.OutcomeKind]int {
	counts := make(map[uint64]map[fenfav1.OutcomeKind]int)
	for _, lo := range req.GetOutcomes() {
		token := lo.GetLease().GetToken()
		if counts[token] == nil {
			counts[token] = make(map[fenfav1.OutcomeKind]int)
		}
		for _, o := range lo.GetOutcomes() {
			counts[token][o.GetKind()]++
		}
	}
	return counts
}

func TestWhatWaitsForTooLongGoesBack(t *testing.T) {
	const back = fenfav1.OutcomeKind_OUTCOME_KIND_RETURNED
	for _, test := range []struct {
		name    string
		ordered bool
		want    int // outcomes of each lease
	}{{"ordered", true, 1}, {"unordered", false, 3}} {
		t.Run(test.name, func(t *testing.T) {
			s, ran, release := blocked(t, test.ordered)
			s.mu.Lock()
			arrived := s.leases[leaseKey{token: 3}].arrived
			s.mu.Unlock()
			s.tend(arrived)
			if got := kinds(s.collect()); len(got) != 0 {
				t.Errorf("leases that just came went back: %v", got)
			}
			s.mu.Lock()
			s.leases[leaseKey{token: 2}].arrived = arrived.Add(-2 * time.Second)
			s.mu.Unlock()
			s.tend(arrived)
			if got := kinds(s.collect()); len(got) != 1 || got[2][back] != test.want {
				t.Fatalf("after 2 s there went back %v, want lease 2", got)
			}
			release()
			for _, want := range []uint64{1, 3, 3, 3} {
				if got := <-ran; got != want {
					t.Errorf("a task of lease %d ran, want one of %d", got, want)
				}
			}
			// The verdict ends the lease and its slot was counted once.
			s.verdict(&fenfav1.Verdict{Lease: &fenfav1.LeaseRef{Token: 2}, Count: uint32(test.want)})
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.leases[leaseKey{token: 2}] != nil {
				t.Error("the lease is still there")
			}
		})
	}
}

func TestALeaseWhoseTimeIsHalfOverWhenItsTurnComesGoesBack(t *testing.T) {
	for _, ordered := range []bool{true, false} {
		s, ran, release := blocked(t, ordered)
		s.mu.Lock()
		l := s.leases[leaseKey{token: 2}]
		l.arrived = time.Now().Add(-deadlineSlack - l.timeout/2 - time.Second)
		s.mu.Unlock()
		release()
		for _, want := range []uint64{1, 3, 3, 3} {
			if got := <-ran; got != want {
				t.Errorf("ordered %v: a task of lease %d ran, want one of %d", ordered, got, want)
			}
		}
	}
}

// A task that has begun is not given back as if it had not: its handler may have done
// something outside, and what is left of its time is its own.
func TestATaskThatIsRunOverAgainIsNeverTooLate(t *testing.T) {
	s := bareSession(t, 1, func(context.Context, *Task) error { return nil })
	arrived := time.Now()
	l := newLease(s, wireLease(1, true, 2), arrived)
	l.first[0].begin(l, 0, nil, arrived.Add(l.timeout))
	late := arrived.Add(deadlineSlack + l.timeout/2 + time.Second)
	if l.tooLate(0, late) {
		t.Error("a task that has begun is too late to begin")
	}
	if !l.tooLate(1, late) {
		t.Error("a task that has not begun and has less than half of its time may begin")
	}
}

func TestAWorkerThatWasFrozenBeginsNothing(t *testing.T) {
	for _, ordered := range []bool{true, false} {
		s, ran, release := blocked(t, ordered)
		now := time.Now()
		s.mu.Lock()
		s.silence = time.Hour // So long that a slow machine is not silent again after the next heartbeat.
		s.beat(now.Add(-2 * time.Hour))
		s.mu.Unlock()
		release()
		if got := <-ran; got != 1 {
			t.Fatalf("a task of lease %d ran", got)
		}
		back := make(map[uint64]int)
		for want := map[bool]int{true: 1, false: 3}[ordered]; back[2] < want || back[3] < want; {
			<-s.wake
			for token, counts := range kinds(s.collect()) {
				back[token] += counts[fenfav1.OutcomeKind_OUTCOME_KIND_RETURNED]
			}
		}
		if len(ran) != 0 {
			t.Errorf("ordered %v: %d handlers began", ordered, len(ran))
		}
		s.beat(now)
		s.take([]*fenfav1.Lease{wireLease(4, ordered, 1)})
		if got := <-ran; got != 4 {
			t.Errorf("ordered %v: a task of lease %d ran, want that of 4", ordered, got)
		}
	}
}

// The first heartbeat after a freeze must not make a dead session look alive.
func TestAFrozenWorkerEndsItsSessionInsteadOfBeating(t *testing.T) {
	s, ran, release := blocked(t, true)
	s.mu.Lock()
	s.silence = 3 * time.Second
	s.beat(time.Now().Add(-4 * time.Second))
	s.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.heart(time.Millisecond) // It has no stream: a heartbeat would panic.
	}()
	<-ended
	<-s.broken
	if CodeOf(s.err) != CodeUnavailable {
		t.Errorf("the session ended with %v, want an error that is tried again", s.err)
	}
	release()
	<-ran
	if len(ran) != 0 {
		t.Error("a handler began on a lease that is lost")
	}
}

func TestPatienceIsAPartOfTheTimeout(t *testing.T) {
	s := bareSession(t, 1, func(context.Context, *Task) error { return nil })
	for timeout, want := range map[time.Duration]time.Duration{
		time.Hour: time.Second, 4 * time.Second: time.Second, time.Second: 750 * time.Millisecond, time.Millisecond: 500*time.Millisecond + 250*time.Microsecond,
	} {
		w := wireLease(1, true, 2)
		w.Timeout = durationpb.New(timeout)
		if got := newLease(s, w, time.Now()).patience(); got != want {
			t.Errorf("with a timeout of %v it waits for %v, want %v", timeout, got, want)
		}
	}
}

// TestDeadlinesFitWhatTheNodeEnforces: the node ends an attempt a second after its
// timeout, counted from the hand-out, or from the outcome before in an ordered lease.
func TestDeadlinesFitWhatTheNodeEnforces(t *testing.T) {
	const timeout, own = time.Minute, 2 * time.Second
	s := bareSession(t, 1, func(context.Context, *Task) error { return nil })
	arrived := time.Now()
	begin := func(ordered bool) *lease {
		w := wireLease(1, ordered, 3)
		w.Tasks[2].Timeout = durationpb.New(own)
		return newLease(s, w, arrived)
	}
	after := func(d time.Duration) time.Time { return arrived.Add(d) }
	check := func(what string, got time.Time, want time.Duration) {
		t.Helper()
		if !got.Equal(after(want)) {
			t.Errorf("%s: the deadline is %v after the lease came, want %v", what, got.Sub(arrived), want)
		}
	}
	l := begin(true)
	check("begun at once", l.deadline(0, arrived), timeout)
	check("begun a little later", l.deadline(0, after(deadlineSlack/2)), timeout+deadlineSlack/2)
	check("prefetched", l.deadline(0, after(5*time.Second)), timeout+deadlineSlack)
	check("the next task of a key", l.deadline(1, after(50*time.Second)), 50*time.Second+timeout)
	check("with a timeout of its own", l.deadline(2, after(50*time.Second)), 50*time.Second+own)

	l.first[1].begin(l, 1, nil, after(70*time.Second))
	l.rewound = 1
	check("run again after a conflict", l.deadline(1, after(60*time.Second)), 70*time.Second)
	check("after that one", l.deadline(2, after(60*time.Second)), 60*time.Second+own)

	u := begin(false)
	check("without order, at once", u.deadline(1, arrived), timeout)
	check("without order, prefetched", u.deadline(1, after(5*time.Second)), timeout+deadlineSlack)
	check("without order, with its own", u.deadline(2, after(5*time.Second)), own+deadlineSlack)
	u.first[1].begin(u, 1, nil, after(timeout))
	check("without order, again", u.deadline(1, after(50*time.Second)), timeout)
}

func TestAQuietWorkerFinishesAndTakesNothingUntilItResumes(t *testing.T) {
	n := startFake(t)
	c := dial(t, n)
	w, begun, release := holding(t, c, Concurrency(1))
	w.Quiet()
	tasks := []*Task{NewTask("q", 1, Key("a")), NewTask("q", 2, Key("b"))}
	submit(t, c, tasks...)
	stop := work(t, w)
	quiet := func(want bool) func() bool {
		return func() bool {
			for s := range n.sessions {
				return s.quiet == want && s.beats > 0
			}
			return false
		}
	}
	n.await("it is quiet from the beginning", quiet(true))
	if len(begun) != 0 {
		t.Error("a handler began")
	}
	w.Resume()
	<-begun
	n.await("it is not quiet", quiet(false))
	w.Quiet()
	n.await("it is quiet again", quiet(true))
	close(release)
	n.awaitState(tasks[0], done)
	n.with(func() {
		if state := n.tasks[tasks[1].ID().String()].state; state != queued {
			t.Errorf("the second task is %v", state)
		}
	})
	// A node that it meets anew must hear of it in the first message.
	n.stop()
	n.start()
	n.await("it is connected again", func() bool { return len(n.hellos) > 1 && len(n.sessions) == 1 })
	n.with(func() {
		for s := range n.sessions {
			if !s.quiet {
				t.Error("it is not quiet after it connected again")
			}
		}
	})
	w.Resume()
	n.awaitState(tasks[1], done)
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestAQuietThatAPersonHasEndedStaysEnded(t *testing.T) {
	n := startFake(t)
	c := dial(t, n)
	w := c.Worker(WorkerID("me"))
	w.Handle("q", func(context.Context, *Task) error { return nil })
	w.Quiet()
	stop := work(t, w)
	n.await("it is quiet", func() bool {
		for s := range n.sessions {
			return s.quiet
		}
		return false
	})
	if _, err := c.SetWorkerQuiet(t.Context(), "me", false); err != nil {
		t.Fatal(err)
	}
	// The node sees a change with every heartbeat, so that the worker is looked at again.
	n.await("the worker hears of it", func() bool { return !w.quiet.Load() })
	n.stop()
	n.start()
	task := NewTask("q", nil)
	submit(t, c, task)
	n.awaitState(task, done)
	if err := stop(); err != nil {
		t.Error(err)
	}
}
