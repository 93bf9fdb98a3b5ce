package partition

import (
	"fmt"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

func returned() task.Outcome { return task.Outcome{Kind: task.OutcomeReturned} }

func did() task.Outcome { return task.Outcome{} }

// three leases three tasks of one lane.
func three(t *testing.T, queue string) (*rig, *task.Lease) {
	t.Helper()
	r := newRig(t, nil)
	r.slots = 0
	r.deliver(newTask(queue, "k", "1"), newTask(queue, "k", "2"), newTask(queue, "k", "3"))
	r.slots = 3
	r.capacity(queue, "")
	return r, r.one()
}

func TestAReturnedChainGoesOutAgainAtOnce(t *testing.T) {
	r, l := three(t, "keyed")
	r.answer(l, 0, did(), returned())
	r.commit()
	again := r.one()
	if names([]*task.Lease{again}) != "[[2 3]]" || again.Tasks[0].Delivery != 1 || again.Tasks[1].Delivery != 1 || again.Tasks[0].Attempt != 1 {
		t.Errorf("leased again %+v", again.Tasks)
	}
	if len(r.verdicts) != 1 || r.verdicts[0].Kind != task.VerdictCommitted || r.verdicts[0].First != 0 || r.verdicts[0].Count != 2 {
		t.Errorf("verdicts %+v, want both outcomes accepted", r.verdicts)
	}
	if len(r.table(store.TableAttempt)) != 0 || r.state("1") != task.StateDone {
		t.Errorf("%d attempt rows, the task before is %v", len(r.table(store.TableAttempt)), r.state("1"))
	}
	r.answer(l, 1, did()) // begun after all
	if v := r.verdicts[len(r.verdicts)-1]; v.Kind != task.VerdictStale {
		t.Errorf("verdict %+v under the ended token", v)
	}
	r.finish(again)
	if m := r.mark("3"); m.Deliveries != 1 || m.Attempts != 0 {
		t.Errorf("mark %+v", m)
	}
	r.wantEmpty()
}

func TestReturnedTasksWithoutOrderKeepTheirPlace(t *testing.T) {
	r, l := three(t, "loose")
	r.slots = 0
	r.deliver(newTask("loose", "", "4"))
	r.answer(l, 0, returned(), returned())
	if len(r.verdicts) != 1 || r.verdicts[0].Kind != task.VerdictCommitted || r.verdicts[0].Count != 2 {
		t.Errorf("verdicts %+v", r.verdicts)
	}
	r.answer(l, 0, returned()) // a repeat
	r.capacity("loose", "")
	again := r.one()
	if got := names([]*task.Lease{again}); got != "[[1 2]]" || again.Tasks[0].Delivery != 1 {
		t.Fatalf("leased %s", got)
	}
	r.answer(l, 2, did())
	r.finish(again)
	r.capacity("loose", "")
	r.goOn(1)
	r.wantEmpty()
}

// TestOnlyWhatComesNextCanBeReturned returns a task of a chain whose outcome is in,
// or is not next.
func TestOnlyWhatComesNextCanBeReturned(t *testing.T) {
	r, l := three(t, "keyed")
	r.answer(l, 0, did())
	r.answer(l, 0, returned())
	r.answer(l, 2, returned())
	if len(r.take()) != 0 || len(r.c.leases) != 1 {
		t.Error("the lease ended")
	}
	r.answer(l, 1, did(), did())
	r.commit()
	r.wantEmpty()
}

func TestATaskThatIsReturnedAgainAndAgainPauses(t *testing.T) {
	for _, queue := range []string{"keyed", "loose"} {
		t.Run(queue, func(t *testing.T) {
			r := newRig(t, nil)
			r.deliver(newTask(queue, "k", "1"))
			for range freeReturns {
				r.answer(r.one(), 0, returned())
			}
			for i, pause := range []time.Duration{returnPause, 2 * returnPause, 4 * returnPause} {
				r.answer(r.one(), 0, returned())
				if st, ok := r.c.status(r.now, task.DeriveID("1")); !ok || st.State != task.StateScheduled || !st.NextAt.Equal(r.now.Add(pause)) {
					t.Errorf("status %+v after %d returns", st, freeReturns+i+1)
				}
				r.pass(pause - 1)
				if len(r.sent) != 0 {
					t.Fatalf("handed out again before %v", pause)
				}
				r.pass(1)
			}
			for range 100 {
				r.answer(r.one(), 0, returned())
				r.pass(maxReturnPause)
			}
			l := r.one()
			if l.Tasks[0].Delivery != 1 || l.Tasks[0].Attempt != 1 {
				t.Errorf("task %+v: returns are counted", l.Tasks[0])
			}
			r.answer(l, 0, retry(0))
			r.commit()
			r.answer(r.one(), 0, returned())
			l = r.one() // at once: it was tried in between
			if l.Tasks[0].Delivery != 2 || l.Tasks[0].Attempt != 2 {
				t.Errorf("task %+v", l.Tasks[0])
			}
			r.finish(l)
			r.wantEmpty()
		})
	}
}

func TestAReturnTakesOneDeliveryBack(t *testing.T) {
	for _, queue := range []string{"keyed", "loose"} {
		t.Run(queue, func(t *testing.T) {
			r := newRig(t, nil)
			r.deliver(newTask(queue, "k", "1"))
			for want := 1; want < 4; want++ {
				l := r.one()
				if l.Tasks[0].Delivery != want {
					t.Fatalf("delivery %d, want %d", l.Tasks[0].Delivery, want)
				}
				r.answer(l, 0, returned())
				if again := r.one(); again.Tasks[0].Delivery != want {
					t.Fatalf("delivery %d after the return, want %d", again.Tasks[0].Delivery, want)
				}
				r.c.workerGone(r.now, r.worker.Session, false) // this one counts
				r.step()
				r.commit()
			}
			r.finish(r.one())
			r.wantEmpty()
		})
	}
}

func TestWhatIsSeenOfAWorkerIsReported(t *testing.T) {
	second := func(r *rig, n int) { r.now = r.now.Add(time.Duration(n) * time.Second) }
	for name, c := range map[string]struct {
		queue string
		do    func(*rig, *task.Lease)
		want  []Use
	}{
		"a chain as it goes on": {"keyed", func(r *rig, l *task.Lease) {
			second(r, 1)
			r.answer(l, 0, did())
			second(r, 2)
			r.answer(l, 1, did(), did())
		}, []Use{{0, 1, 0, time.Second}, {1, 2, 0, 2 * time.Second}}},
		"a chain that fails": {"keyed", func(r *rig, l *task.Lease) {
			second(r, 3)
			r.answer(l, 0, did(), retry(time.Hour))
		}, []Use{{1, 2, 1, 3 * time.Second}}},
		"a chain that is given back": {"keyed", func(r *rig, l *task.Lease) {
			second(r, 1)
			r.answer(l, 0, did(), returned())
		}, []Use{{1, 1, 0, time.Second}}},
		"a rejection": {"keyed", func(r *rig, l *task.Lease) {
			second(r, 1)
			r.answer(l, 0, reject())
		}, []Use{{1, 1, 0, time.Second}}},
		"an outcome that is refused": {"keyed", func(r *rig, l *task.Lease) {
			second(r, 1)
			r.answer(l, 0, task.Outcome{Emits: []task.Task{{Queue: "nowhere"}}})
		}, []Use{{1, 1, 0, time.Second}}},
		"a chain that takes too long": {"keyed", func(r *rig, l *task.Lease) {
			second(r, 5)
			r.answer(l, 0, did())
			second(r, 40)
			r.c.endOverdue(r.now)
		}, []Use{{0, 1, 0, 5 * time.Second}, {1, 1, 1, 40 * time.Second}}},
		"a lost worker": {"keyed", func(r *rig, _ *task.Lease) {
			second(r, 1)
			r.c.workerGone(r.now, r.worker.Session, false)
		}, []Use{{1, 0, 0, 0}}},
		"tasks without order": {"loose", func(r *rig, l *task.Lease) {
			second(r, 1)
			r.answer(l, 0, did())
			second(r, 1)
			r.answer(l, 1, retry(time.Hour), reject())
		}, []Use{{1, 1, 0, time.Second}, {2, 2, 1, 4 * time.Second}}},
		"tasks without order given back": {"loose", func(r *rig, l *task.Lease) {
			second(r, 1)
			r.answer(l, 0, returned(), did())
		}, []Use{{2, 1, 0, time.Second}}},
		"tasks without order that take too long": {"loose", func(r *rig, _ *task.Lease) {
			second(r, 40)
			r.c.endOverdue(r.now)
		}, []Use{{3, 3, 3, 120 * time.Second}}},
		"a clock that goes back": {"loose", func(r *rig, l *task.Lease) {
			second(r, -5)
			r.answer(l, 0, did())
		}, []Use{{1, 1, 0, 0}}},
	} {
		t.Run(name, func(t *testing.T) {
			r, l := three(t, c.queue)
			r.uses = nil
			r.c.draining = true // nothing is handed out again
			c.do(r, l)
			if got := fmt.Sprint(r.uses); got != fmt.Sprint(c.want) {
				t.Errorf("reported %s, want %v", got, c.want)
			}
		})
	}
}

func TestWhatADrainedWorkerStillHoldsWasNeverHandedOut(t *testing.T) {
	for _, queue := range []string{"keyed", "loose"} {
		t.Run(queue, func(t *testing.T) {
			r := newRig(t, nil)
			r.deliver(newTask(queue, "k", "1"), newTask(queue, "k", "2"))
			l := r.one()
			if queue == "keyed" {
				r.answer(l, 0, task.Outcome{})
			}
			r.c.workerGone(r.now, r.worker.Session, true)
			r.step()
			r.commit()
			again := r.one()
			for _, got := range again.Tasks {
				if got.Delivery != 1 || got.Attempt != 1 {
					t.Errorf("%v comes again as attempt %d, delivery %d", got.ID, got.Attempt, got.Delivery)
				}
			}
			if want := map[string]int{"keyed": 1, "loose": 2}[queue]; len(again.Tasks) != want {
				t.Errorf("%d tasks come again, want %d", len(again.Tasks), want)
			}
			if rows := r.table(store.TableAttempt); len(rows) != 0 {
				t.Errorf("attempt rows %v", rows)
			}
			r.finish(again)
		})
	}
}
