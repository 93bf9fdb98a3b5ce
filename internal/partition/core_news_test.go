package partition

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// hear hands in what a handler says.
func (r *rig) hear(l *task.Lease, index int, n task.News) {
	r.t.Helper()
	r.c.news(r.now, r.worker, l.LeaseRef, index, n)
	r.step()
}

// at returns the attempt that is under way at a task.
func (r *rig) at(name string) *Running {
	r.t.Helper()
	st, ok := r.c.status(r.now, task.DeriveID(name))
	if !ok || st.State != task.StateRunning {
		return nil
	}
	return st.Running
}

func TestAnExtendedAttemptIsNotOverdue(t *testing.T) {
	for _, queue := range []string{"keyed", "loose"} {
		t.Run(queue, func(t *testing.T) {
			r := newRig(t, nil)
			r.deliver(newTask(queue, "k", "1"))
			l := r.one()
			r.pass(20 * time.Second)
			r.hear(l, 0, task.News{Extend: time.Minute})
			r.hear(l, 0, task.News{Extend: time.Second}) // takes nothing away
			if d := r.at("1").Deadline.Sub(r.now); d != time.Minute {
				t.Errorf("the attempt has %v left, want a minute", d)
			}
			r.pass(time.Minute)
			if r.at("1") == nil {
				t.Fatal("the attempt ended though it was extended")
			}
			r.hear(l, 0, task.News{Extend: 10 * time.Second})
			r.finish(l)
			if r.state("1") != task.StateDone {
				t.Errorf("the task is %v", r.state("1"))
			}
			r.wantEmpty()
		})
	}
}

func TestAnExtensionEndsToo(t *testing.T) {
	r := newRig(t, nil)
	r.deliver(newTask("keyed", "k", "1"))
	l := r.one()
	r.hear(l, 0, task.News{Extend: time.Minute})
	r.pass(62 * time.Second)
	if it := r.c.tasks[task.DeriveID("1")]; it.attempts != 1 || !strings.Contains(it.tries[0].Error, "took longer") {
		t.Errorf("attempts %d, tries %+v", it.attempts, it.tries)
	}
}

func TestATaskOfAKeyKeepsWhatItWasGivenBeforeTheOutcomeOfTheOneBefore(t *testing.T) {
	r := newRig(t, nil)
	r.slots = 0
	r.deliver(newTask("keyed", "k", "1"), newTask("keyed", "k", "2"))
	r.slots = 1
	r.capacity("keyed", "")
	l := r.one()
	if at := r.at("2"); at == nil || !at.StartedAt.IsZero() || !at.Deadline.IsZero() {
		t.Errorf("a task behind another is %+v", at)
	}
	r.hear(l, 1, task.News{Extend: time.Hour})
	r.pass(5 * time.Second)
	r.answer(l, 0, did())
	if at := r.at("2"); !at.StartedAt.Equal(r.now) || at.Deadline.Sub(r.now) != time.Hour-5*time.Second {
		t.Errorf("it began %v, and has until %v at %v", at.StartedAt, at.Deadline, r.now)
	}
}

func TestProgressIsShownUntilTheAttemptEnds(t *testing.T) {
	r := newRig(t, nil)
	r.deliver(newTask("loose", "", "1"))
	l := r.one()
	if at := r.at("1"); at.Progress != nil || !at.StartedAt.Equal(r.now) || at.Deadline.Sub(r.now) != 30*time.Second {
		t.Errorf("at first %+v", at)
	}
	r.pass(time.Second)
	r.hear(l, 0, task.News{Progress: &task.Progress{Ratio: 0.25, Text: "page 1 of 4"}})
	r.hear(l, 0, task.News{Progress: &task.Progress{Ratio: 7, Text: strings.Repeat("é", 600)}})
	r.hear(l, 0, task.News{Extend: time.Minute})
	p := r.at("1").Progress
	if p == nil || p.Ratio != 1 || p.Text != strings.Repeat("é", 512) || !p.At.Equal(r.now) {
		t.Errorf("progress %+v", p)
	}
	if r.batch != nil {
		t.Error("progress was written to the store")
	}
	r.answer(l, 0, retry(0))
	r.commit()
	if at := r.at("1"); at == nil || at.Progress != nil {
		t.Errorf("the next attempt has %+v", at)
	}
}

func TestNewsOfWhatAWorkerDoesNotHaveChangeNothing(t *testing.T) {
	r := newRig(t, nil)
	r.deliver(newTask("keyed", "k", "1"))
	l := r.one()
	n := task.News{Extend: time.Hour, Progress: &task.Progress{Text: "x"}}
	r.hear(l, -1, n)
	r.hear(l, 1, n)
	r.c.news(r.now, WorkerRef{Session: 9}, l.LeaseRef, 0, n)
	other := *l
	other.Epoch++
	r.hear(&other, 0, n)
	other = *l
	other.Token++
	r.hear(&other, 0, n)
	if at := r.at("1"); at.Progress != nil || at.Deadline.Sub(r.now) != 30*time.Second {
		t.Errorf("the attempt is %+v", at)
	}
	r.finish(l)
	r.hear(l, 0, n)
	r.wantEmpty()
}

func TestTheHistorySaysHowLongEachAttemptTook(t *testing.T) {
	r := newRig(t, nil)
	r.slots = 0
	r.deliver(newTask("keyed", "k", "1"), newTask("keyed", "k", "2"))
	r.slots = 1
	r.capacity("keyed", "")
	l := r.one()
	r.pass(3 * time.Second)
	r.answer(l, 0, did())
	r.pass(2 * time.Second)
	r.answer(l, 1, retry(0))
	r.commit()
	r.one()
	r.pass(40 * time.Second) // It takes too long.
	row, _ := r.table(store.TableAttempt)[0].(*store.Attempt)
	if len(row.Tries) != 2 || row.Tries[0].Took != 2*time.Second || row.Tries[1].Took < 30*time.Second || row.Tries[1].Took > 32*time.Second {
		t.Errorf("tries %+v", row.Tries)
	}
	st, _ := r.c.status(r.now, task.DeriveID("2"))
	if len(st.History) != 2 || st.History[0].Took != 2*time.Second {
		t.Errorf("history %+v", st.History)
	}
}

// What ended as done keeps when it began: in order when the outcome before came, else
// when the worker got the lease. Outcomes that come together have the same begin.
func TestWhatIsDoneKeepsHowLongItTook(t *testing.T) {
	for queue, want := range map[string][3]time.Duration{
		"keyed": {3 * time.Second, 2 * time.Second, 2 * time.Second},
		"loose": {3 * time.Second, 5 * time.Second, 5 * time.Second},
	} {
		t.Run(queue, func(t *testing.T) {
			r := newRig(t, nil)
			r.slots = 0
			r.deliver(newTask(queue, "k", "1"), newTask(queue, "k", "2"), newTask(queue, "k", "3"))
			r.slots = 3
			r.capacity(queue, "")
			l := r.one()
			r.pass(3 * time.Second)
			r.answer(l, 0, did())
			r.pass(2 * time.Second)
			r.answer(l, 1, did(), did())
			r.commit()
			for i, took := range want {
				mark := r.mark(strconv.Itoa(i + 1))
				if mark.Took != took {
					t.Errorf("task %d took %v, want %v", i+1, mark.Took, took)
				}
				if st := statusOf(mark); !st.StartedAt.Equal(st.FinishedAt.Add(-took)) {
					t.Errorf("task %d began at %v and ended at %v", i+1, st.StartedAt, st.FinishedAt)
				}
			}
			r.wantEmpty()
		})
	}
	if st := statusOf(&store.Dedup{FinishedAt: 1}); !st.StartedAt.IsZero() {
		t.Errorf("without a begin: %+v", st)
	}
}
