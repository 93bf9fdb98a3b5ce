package partition

import (
	"fmt"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// why explains a task of the engine rig.
func (r *engineRig) why(name string) Explanation {
	r.t.Helper()
	x, err := r.e.Explain(r.t.Context(), task.DeriveID(name))
	if err != nil {
		r.t.Fatalf("%s: %v", name, err)
	}
	return x
}

func (r *engineRig) wantWhy(name string, want Reason, blocking string) Explanation {
	r.t.Helper()
	x := r.why(name)
	var by task.ID
	if blocking != "" {
		by = task.DeriveID(blocking)
	}
	if x.Reason != want || x.Blocking != by {
		r.t.Errorf("%s: reason %d behind %v, want %d behind %v: %+v", name, x.Reason, x.Blocking, want, by, x)
	}
	return x
}

// fails asks for another attempt after a time.
func fails(after time.Duration) func(*task.Leased) task.Outcome {
	return func(*task.Leased) task.Outcome {
		return task.Outcome{Kind: task.OutcomeRetry, Error: "no stock", RetryAfter: after}
	}
}

func TestATaskBehindARetryIsExplainedWithThatAlsoFromTheStore(t *testing.T) {
	inBubble(t, 2, func(r *engineRig) {
		t := r.t
		r.w.setClosed(true)
		for i := range 3 {
			r.submit(newTask("keyed", "k", fmt.Sprint(i)))
		}
		r.wantWhy("0", ReasonWorkers, "")
		if x := r.wantWhy("2", ReasonWorkers, "0"); x.Ahead != 2 {
			t.Errorf("%d are ahead, want 2", x.Ahead)
		}
		r.w.setClosed(false)
		r.e.Capacity(task.PartitionOf("k", 2), "keyed", task.Placement{}, 1)
		r.work(fails(time.Hour))
		for _, when := range []string{"evicted", "after a restart"} {
			next := r.why("0").NextAt
			if d := time.Until(next); d <= 0 || d > time.Hour {
				t.Errorf("%s: next at %v", when, next)
			}
			if x := r.wantWhy("0", ReasonRetry, ""); x.Attempt != 2 || x.MaxAttempts != 10 || x.Error != "no stock" {
				t.Errorf("%s: %+v", when, x)
			}
			if x := r.wantWhy("1", ReasonBehind, "0"); x.Attempt != 2 || x.MaxAttempts != 10 || x.Error != "no stock" || !x.NextAt.Equal(next) {
				t.Errorf("%s: %+v", when, x)
			}
			r.stop()
			r.start(2)
			r.wait(time.Second)
		}
	})
}

func TestATaskIsExplainedByWhatRunsBeforeIt(t *testing.T) {
	inBubble(t, 2, func(r *engineRig) {
		t := r.t
		r.configure(task.Queue{Name: "keyed", Batch: 1})
		r.submit(newTask("keyed", "k", "1"), newTask("keyed", "k", "2"), newTask("loose", "", "3"))
		if x := r.wantWhy("1", ReasonRunning, ""); x.Worker != "w1" || x.Since.IsZero() || x.Attempt != 1 || x.MaxAttempts != 10 {
			t.Errorf("%+v", x)
		}
		if x := r.wantWhy("2", ReasonBehind, "1"); x.Worker != "w1" || x.Ahead != 1 {
			t.Errorf("%+v", x)
		}
		r.wantWhy("3", ReasonRunning, "")
		r.work(done)
		r.wantWhy("1", ReasonEnded, "")
		r.wantWhy("nobody", ReasonUnknown, "")
		later := newTask("loose", "", "later")
		later.RunAt = time.Now().Add(time.Hour)
		r.submit(later)
		if x := r.wantWhy("later", ReasonScheduled, ""); !x.NextAt.Equal(later.RunAt) {
			t.Errorf("%+v", x)
		}
		r.submit(newTask("loose", "", "again"))
		r.work(fails(time.Minute))
		r.wantWhy("again", ReasonRetry, "")
	})
}

func TestAHaltedKeyIsExplainedByItsDeadLetter(t *testing.T) {
	inBubble(t, 2, func(r *engineRig) {
		r.configure(task.Queue{Name: "keyed", OnDead: task.OnDeadHalt})
		r.submit(newTask("keyed", "k", "bad 1"), newTask("keyed", "k", "2"))
		r.work(dies)
		r.submit(newTask("keyed", "k", "3"))
		for range 2 {
			r.wantWhy("bad 1", ReasonEnded, "")
			for _, name := range []string{"2", "3"} {
				if x := r.wantWhy(name, ReasonHalted, "bad 1"); x.Since.IsZero() {
					r.t.Errorf("%+v", x)
				}
			}
			r.stop()
			r.start(2)
			r.wait(time.Second)
		}
	})
}

func TestAPauseExplainsEverythingThatWaits(t *testing.T) {
	inBubble(t, 1, func(r *engineRig) {
		if _, err := r.e.PauseQueue(r.t.Context(), "keyed", true); err != nil {
			r.t.Fatal(err)
		}
		r.submit(newTask("keyed", "k", "1"), newTask("keyed", "k", "2"))
		r.wantWhy("1", ReasonPaused, "")
		r.wantWhy("2", ReasonPaused, "")
	})
}

func TestALimitExplainsWhatWaits(t *testing.T) {
	for want, change := range map[Reason]task.Queue{
		ReasonConcurrency: {Name: "loose", Concurrency: 1},
		ReasonRate:        {Name: "loose", Rate: task.Rate{PerSecond: 0.001, Burst: 1}},
	} {
		inBubble(t, 1, func(r *engineRig) {
			r.configure(change)
			r.submit(newTask("loose", "", "1"))
			r.submit(newTask("loose", "", "2"))
			r.wantWhy("1", ReasonRunning, "")
			r.wantWhy("2", want, "")
			r.work(done)
		})
	}
}
