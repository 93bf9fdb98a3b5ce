package partition

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/fenfa/fenfa/internal/clock"
	"github.com/fenfa/fenfa/internal/cron"
	"github.com/fenfa/fenfa/internal/task"
)

// look returns what the engine does and waits for.
func (r *engineRig) look() Outlook {
	r.t.Helper()
	o, err := r.e.Outlook(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return o
}

// rests fails the test unless the engine rests until a moment; zero: for ever.
func (r *engineRig) rests(until time.Time) {
	r.t.Helper()
	if o := r.look(); o.Busy != "" || len(o.Running) != 0 || !o.Next.Equal(until) {
		r.t.Fatalf("the outlook is %+v, want rest until %v", o, until)
	}
}

func TestTheOutlookSaysWhatIsDueNext(t *testing.T) {
	inBubble(t, 3, func(r *engineRig) {
		r.rests(time.Time{})
		began := time.Now()
		in := func(d time.Duration) time.Time { return began.Add(d) }
		for name, d := range map[string]time.Duration{"minute": time.Minute, "hour": time.Hour} {
			x := newTask("keyed", name, name)
			x.RunAt = in(d)
			r.submit(x)
		}
		r.rests(in(time.Minute))
		r.wait(61 * time.Second)
		synctest.Wait()
		if o := r.look(); o.Busy != "" || len(o.Running) != 1 || o.Running[0].ID != task.DeriveID("minute") || o.Running[0].Queue != "keyed" || o.Running[0].Worker != "w1" || o.Running[0].Attempt != 1 {
			t.Errorf("the outlook is %+v", o)
		}
		r.work(func(*task.Leased) task.Outcome { return retry(30 * time.Second) })
		r.rests(in(91 * time.Second))
		r.wait(31 * time.Second)
		synctest.Wait()
		if o := r.look(); len(o.Running) != 1 || o.Running[0].Attempt != 2 {
			t.Errorf("the outlook is %+v", o)
		}
		r.work(done)
		r.rests(in(time.Hour))
		r.w.setClosed(true)
		x := newTask("loose", "", "expires")
		x.ExpiresAt = in(5 * time.Minute)
		r.submit(x)
		r.rests(in(5 * time.Minute))
		r.wait(time.Until(in(5 * time.Minute)))
		synctest.Wait()
		r.rests(in(time.Hour))
		r.wantState("expires", task.StateExpired)
		if _, _, err := r.e.CreateCron(r.t.Context(), cron.Definition{Name: "often", Spec: "@every 10m", Queue: "loose"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if o := r.look(); o.Busy != "" || o.Next.After(in(20*time.Minute)) {
			t.Errorf("the outlook is %+v, want a tick of the schedule", o)
		}
	})
}

func TestTheOutlookSaysWhatGoesOn(t *testing.T) {
	inBubble(t, 2, func(r *engineRig) {
		hold := make(chan struct{})
		r.s.set(func(s *flakyStore) { s.hold = hold })
		r.submit(newTask("keyed", "k", "a"))
		r.work(done)
		if o := r.look(); o.Busy == "" || len(o.Running) != 0 {
			t.Errorf("while a commit is under way the outlook is %+v", o)
		}
		r.s.set(func(s *flakyStore) { s.hold = nil })
		close(hold)
		synctest.Wait()
		r.rests(time.Time{})
		// A task that nobody takes waits for somebody from outside.
		r.w.setClosed(true)
		r.submit(newTask("loose", "", "b"))
		r.rests(time.Time{})
		r.rest(0)
		if o := r.look(); len(o.Running) != 1 {
			t.Errorf("the outlook is %+v", o)
		}
		r.work(done)
		// So does one of a paused queue.
		if _, err := r.e.PauseQueue(r.t.Context(), "loose", true); err != nil {
			t.Fatal(err)
		}
		r.submit(newTask("loose", "", "c"))
		r.rests(time.Time{})
		// A rate lets the next one go by itself.
		r.configure(task.Queue{Name: "rated", Order: task.OrderNone, Rate: task.Rate{PerSecond: 1.0 / 60, Burst: 1}})
		r.submit(newTask("rated", "", "d"), newTask("rated", "", "e"))
		r.work(done)
		if o := r.look(); o.Busy != "" || o.Next.IsZero() || time.Until(o.Next) > time.Minute {
			t.Errorf("the outlook is %+v, want the next token", o)
		}
	})
}

func TestTasksThatAreOnTheirWayToTheirPartitionAreGoingOn(t *testing.T) {
	inBubble(t, 1, func(r *engineRig) {
		r.b.set(func() { r.b.slow = true })
		r.submit(newTask("keyed", "k", "a"))
		if o := r.look(); o.Busy == "" {
			t.Errorf("the outlook is %+v", o)
		}
		r.b.set(func() { r.b.slow = false })
		r.submit(newTask("keyed", "k", "b"))
		r.work(done)
		r.rests(time.Time{})
	})
}

func TestAJumpOfTheClockTakesNoTimeFromWhatIsUnderWay(t *testing.T) {
	synctestOffset(t, func(r *engineRig, o *clock.Offset) {
		token := r.hold("l", "holder")
		x, later := newTask("keyed", "k", "a"), newTask("keyed", "other", "later")
		x.Timeout, later.RunAt = 20*time.Second, o.Now().Add(time.Hour)
		r.submit(x, later)
		leased := r.w.take()[0]
		r.e.TaskNews(WorkerRef{Session: 1, ID: "w1"}, leased.LeaseRef, 0, task.News{Extend: 25 * time.Second})
		synctest.Wait()
		o.Advance(2 * time.Hour)
		synctest.Wait()
		if st := r.wantState("a", task.StateRunning); st.Running.Deadline.Before(o.Now()) {
			t.Errorf("its time is over: %+v", st.Running)
		}
		if st := r.wantState("later", task.StateRunning); st.Running.StartedAt.Before(later.RunAt) {
			t.Errorf("it began too early: %+v", st.Running)
		}
		if who := r.holder("l"); who != "holder" {
			t.Errorf("the lock is held by %q", who)
		}
		if err := r.renew("l", token); err != nil {
			t.Error(err)
		}
		o.Advance(time.Hour)
		r.wait(11 * time.Second)
		if who := r.holder("l"); who != "" {
			t.Errorf("the lock of somebody who does not renew it is held by %q", who)
		}
		r.wantState("a", task.StateRunning)
		r.wait(16 * time.Second)
		if st := r.status("a"); st.Attempts != 1 {
			t.Errorf("an attempt that took too long goes on: %+v", st)
		}
	})
}

// synctestOffset runs a test with an engine whose clock can be put forward.
func synctestOffset(t *testing.T, f func(r *engineRig, o *clock.Offset)) {
	t.Helper()
	inBubble(t, 1, func(r *engineRig) {
		o := clock.NewOffset(clock.System{})
		r.clock = o
		r.restart(1)
		f(r, o)
	})
}

func TestASweepRemovesAtOnceWhatIsKeptNoLonger(t *testing.T) {
	inBubble(t, 2, func(r *engineRig) {
		r.configure(task.Queue{Name: "keyed", DeadTTL: 61 * time.Second, DedupeWindow: time.Minute, ResultTTL: time.Minute})
		r.bury("keyed", 3, 2)
		r.submit(newTask("keyed", "k", "fine"))
		r.work(done)
		if err := r.e.Sweep(r.t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := r.letters(); n != 3 {
			t.Errorf("%d dead letters are left before their time, want 3", n)
		}
		r.wantState("fine", task.StateDone)
		r.wait(65 * time.Second) // The partitions look after a minute and after a minute and a half.
		if err := r.e.Sweep(r.t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := r.letters(); n != 0 {
			t.Errorf("%d dead letters are left", n)
		}
		if st, err := r.e.TaskStatus(r.t.Context(), task.DeriveID("fine")); task.CodeOf(err) != task.CodeNotFound {
			t.Errorf("the result is left: %+v, %v", st, err)
		}
	})
}

// letters counts the dead letters of queue keyed.
func (r *engineRig) letters() int {
	r.t.Helper()
	sum, err := r.e.QueueStats(r.t.Context(), "keyed")
	if err != nil {
		r.t.Fatal(err)
	}
	return int(sum.Dead)
}
