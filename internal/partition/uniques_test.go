package partition

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// only is a task of the content "x" of a queue.
func only(queue, name string, u task.Unique) task.Task {
	x := newTask(queue, "k", name)
	u.By = "x"
	x.Unique = &u
	return x
}

// offer submits one task, and returns what became of it.
func (r *engineRig) offer(x task.Task) SubmitResult {
	r.t.Helper()
	results := r.e.Submit(r.t.Context(), []task.Task{x})
	synctest.Wait()
	return results[0]
}

// wantHeld holds that a task is kept out by another one.
func (r *engineRig) wantHeld(x task.Task, holder string, state task.State) {
	r.t.Helper()
	if got := r.offer(x); got.Err != nil || !got.Duplicate || got.ID != task.DeriveID(holder) || got.State != state {
		r.t.Errorf("%s: got %+v, want it kept out by %s, which is %s", x.Payload, got, holder, state)
	}
}

// wantTaken holds that a task is accepted.
func (r *engineRig) wantTaken(x task.Task) {
	r.t.Helper()
	if got := r.offer(x); got.Err != nil || got.Duplicate {
		r.t.Errorf("%s: got %+v, want it accepted", x.Payload, got)
	}
}

func TestATaskThatHoldsOnlyWhileItWaitsLetsOthersInOnceItRuns(t *testing.T) {
	inBubble(t, 2, func(r *engineRig) {
		t := r.t
		waiting := task.Unique{States: task.StatesOf(task.StateQueued, task.StateScheduled)}
		r.w.setClosed(true)
		r.submit(only("loose", "a", waiting))
		r.wantHeld(only("loose", "b", waiting), "a", task.StateReady)
		r.rest(0)
		r.wantTaken(only("loose", "b", waiting))
		first := r.w.take()
		if len(first) != 2 {
			t.Fatalf("%d leases, want those of both", len(first))
		}
		// The first one ends, fails or ends again: it has nothing to release any more.
		r.e.Outcomes(WorkerRef{Session: 1, ID: "w1"}, first[0].LeaseRef, 0, []task.Outcome{{Kind: task.OutcomeRetry, RetryAfter: time.Hour}})
		r.e.Outcomes(WorkerRef{Session: 1, ID: "w1"}, first[1].LeaseRef, 0, []task.Outcome{{Kind: task.OutcomeRetry, RetryAfter: 2 * time.Hour}})
		r.wantHeld(only("loose", "c", waiting), "b", task.StateScheduled)
		r.wait(time.Hour + time.Second)
		r.work(done)
		if s := r.status("a").State; s != task.StateDone {
			t.Fatalf("the first one is %s", s)
		}
		r.wantHeld(only("loose", "c", waiting), "b", task.StateScheduled)
		r.wait(time.Hour)
		r.work(done)
		r.wantTaken(only("loose", "c", waiting))
	})
}

func TestATaskHoldsItsContentInTheStatesThatWereChosen(t *testing.T) {
	const period = time.Hour
	open := []task.State{task.StateQueued, task.StateScheduled, task.StateRunning}
	for _, c := range []struct {
		states []task.State
		how    task.State
		held   bool
	}{
		{open, task.StateDone, false},
		{append(open, task.StateDone), task.StateDone, true},
		{append(open, task.StateDone), task.StateDead, false},
		{append(open, task.StateDead), task.StateDead, true},
		{append(open, task.StateDead), task.StateCancelled, false},
		{append(open, task.StateCancelled), task.StateCancelled, true},
		{[]task.State{task.StateDone}, task.StateDone, true},
		{[]task.State{task.StateQueued, task.StateDead}, task.StateDone, false},
	} {
		t.Run(fmt.Sprintf("%v %s", c.states, c.how), func(t *testing.T) {
			inBubble(t, 1, func(r *engineRig) {
				t := r.t
				u := task.Unique{States: task.StatesOf(c.states...)}
				if u.States&^task.OpenStates() != 0 {
					u.Period = period
				}
				r.w.setClosed(c.how == task.StateCancelled)
				r.submit(only("keyed", "a", u))
				switch c.how {
				case task.StateDone:
					r.work(done)
				case task.StateDead:
					r.work(func(*task.Leased) task.Outcome { return reject() })
				default:
					r.e.Cancel(t.Context(), []task.ID{task.DeriveID("a")}, "")
				}
				r.w.setClosed(true)
				if !c.held {
					r.wantTaken(only("keyed", "b", u))
					return
				}
				r.wantHeld(only("keyed", "b", u), "a", c.how)
				r.stop()
				r.start(1)
				r.wantHeld(only("keyed", "b", u), "a", c.how)
				r.wait(period)
				r.wantTaken(only("keyed", "b", u))
			})
		})
	}
}

// A period may be longer than what is kept of a task.
func TestAPeriodHoldsAlsoWhenNothingElseIsKeptOfTheTask(t *testing.T) {
	inBubble(t, 1, func(r *engineRig) {
		t := r.t
		r.configure(task.Queue{Name: "keyed", DedupeWindow: time.Minute, ResultTTL: time.Minute})
		u := task.Unique{Period: 10 * time.Hour}
		r.submit(only("keyed", "a", u))
		r.work(done)
		r.wait(5 * time.Hour)
		if _, err := r.e.TaskStatus(t.Context(), task.DeriveID("a")); task.CodeOf(err) != task.CodeNotFound {
			t.Fatalf("the task is still known: %v", err)
		}
		r.wantHeld(only("keyed", "b", u), "a", task.StateDone)
		r.wait(5 * time.Hour)
		r.wantTaken(only("keyed", "b", u))
	})
}

// The publish fails as it does where the node goes down in it.
func TestTheClaimOfAnEarlierRunIsTakenOverAtOnce(t *testing.T) {
	inBubble(t, 2, func(r *engineRig) {
		t := r.t
		r.b.failing = 1
		if got := r.offer(only("loose", "a", task.Unique{})); got.Err == nil {
			t.Fatalf("it was accepted: %+v", got)
		}
		if got := r.offer(only("loose", "b", task.Unique{})); task.CodeOf(got.Err) != task.CodeUnavailable {
			t.Errorf("while the first one may still come: %+v", got)
		}
		r.stop()
		r.wait(time.Millisecond)
		r.start(2)
		r.wantTaken(only("loose", "b", task.Unique{}))
		r.wantHeld(only("loose", "c", task.Unique{}), "b", task.StateRunning)
		r.work(done)
	})
}

func TestARequeuedDeadLetterHoldsItsContentAgain(t *testing.T) {
	for name, u := range map[string]task.Unique{
		"until its end": {},
		"for a period":  {Period: time.Hour},
		"while waiting": {States: task.StatesOf(task.StateQueued, task.StateScheduled)},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 2, func(r *engineRig) {
				t := r.t
				r.submit(only("loose", "bad", u))
				r.work(dies)
				r.w.setClosed(true)
				if err := r.e.RequeueDead(t.Context(), task.DeriveID("bad"), nil, anyQueue); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				r.wait(2 * u.Period) // It holds beyond its period, because it has not ended.
				r.wantHeld(only("loose", "b", u), "bad", r.status("bad").State)
				r.rest(0)
				r.work(done)
				r.wantTaken(only("loose", "c", u))
				r.work(done)
			})
		})
	}
}

func TestADeadLetterStaysWhileAnotherTaskHasItsContent(t *testing.T) {
	inBubble(t, 2, func(r *engineRig) {
		t := r.t
		r.submit(only("loose", "bad 1", task.Unique{}))
		r.work(dies)
		r.submit(only("loose", "bad 2", task.Unique{}))
		r.work(dies)
		r.submit(newTask("loose", "k", "bad 3"))
		r.work(dies)
		r.w.setClosed(true)
		r.submit(only("loose", "c", task.Unique{}))

		err := r.e.RequeueDead(t.Context(), task.DeriveID("bad 1"), nil, anyQueue)
		if task.CodeOf(err) != task.CodeConflict || !strings.Contains(err.Error(), task.DeriveID("c").String()) {
			t.Errorf("requeue while another one is there: %v", err)
		}
		if sum := r.walk(DeadRequeue, DeadFilter{}, 10); sum.Changed != 1 || sum.Refusals != 2 {
			t.Errorf("requeue of all: %+v, want the one that is not unique", sum)
		}
		r.rest(0)
		r.work(done)
		// Of two with the same content one comes back.
		if sum := r.walk(DeadRequeue, DeadFilter{}, 10); sum.Changed != 1 || sum.Refusals != 1 {
			t.Errorf("requeue of both: %+v", sum)
		}
		r.work(done)
		if sum := r.walk(DeadRequeue, DeadFilter{}, 10); sum.Changed != 1 || sum.Refusals != 0 {
			t.Errorf("requeue of the last: %+v", sum)
		}
		r.work(done)
		r.wantTaken(only("loose", "d", task.Unique{}))
		r.work(done)
	})
}

// A dead letter that cannot come back leaves what held its content as it was.
func TestARefusedRequeueLeavesThePeriodAsItWas(t *testing.T) {
	inBubble(t, 1, func(r *engineRig) {
		t := r.t
		u := task.Unique{Period: time.Hour}
		r.submit(only("keyed", "bad", u))
		r.work(dies)
		own := r.e.owners[0].current()
		_, row, err := r.e.findDead(t.Context(), task.DeriveID("bad"), anyQueue)
		if err != nil {
			t.Fatal(err)
		}
		x, _ := task.Decode(row.Body)
		refused := task.Errorf(task.CodeConflict, "not now")
		errs, err := own.reviveDead(t.Context(), []*letter{{row: row, task: x, body: row.Body}}, func(*core, time.Time, *letter) error { return refused })
		if err != nil || len(errs) != 1 || errs[0] == nil {
			t.Fatalf("%v, %v", errs, err)
		}
		r.wantHeld(only("keyed", "b", u), "bad", task.StateDead)
		r.wait(time.Hour)
		r.wantTaken(only("keyed", "b", u))
		r.work(done)
	})
}
