package partition

import (
	"fmt"
	"testing"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/saga"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

func TestCancelOfATaskThatWasNotRead(t *testing.T) {
	located := broker.Located{Queue: "keyed", Position: 7}
	for _, way := range []string{"looked up", "on its way"} {
		t.Run(way, func(t *testing.T) {
			r := newRig(t, nil)
			if way == "on its way" {
				r.begun = 1
			}
			if res := r.until(r.beginCancel(located, "a"))[0]; res.Err != nil || res.State != task.StateCancelled {
				t.Fatalf("result: %+v", res)
			}
			if m := r.mark("a"); m.State != task.StateCancelled || !m.Expires.IsZero() {
				t.Errorf("the mark is %+v: it must not be swept before the task was read", m)
			}
			if len(r.lookUps) != 1 || r.lookUps[0] != 7 {
				t.Errorf("the reader was told %v", r.lookUps)
			}
			if n, want := len(r.c.unread), int(r.begun); n != want {
				t.Errorf("%d are remembered, want %d", n, want)
			}
			a := arrivalOf(newTask("keyed", "k", "a"))
			a.item.pos = 7
			if way == "looked up" {
				a.known = r.mark("a")
			}
			b := arrivalOf(newTask("keyed", "k", "b"))
			b.item.pos = 8
			r.c.delivered(r.now, "keyed", rankNormal, []arrival{a, b})
			r.step()
			r.commit()
			l := r.one()
			if got := names([]*task.Lease{l}); got != "[[b]]" {
				t.Errorf("leased: %s", got)
			}
			r.finish(l)
			r.wantCancelled("a")
			if len(r.settled) != 2 || len(r.c.unread) != 0 {
				t.Errorf("settled %v, remembered %d", r.settled, len(r.c.unread))
			}
			row, _ := r.rows[fmt.Sprint(store.TableDedup, " ", unreadID("keyed"))].(*store.Dedup)
			if row == nil || row.Ref != 7 || row.Queue != "" {
				t.Errorf("the row of the queue is %+v", row)
			}
			r.wantEmpty()
		})
	}
}

// The task is read between the question for its mark and the answer.
func TestCancelMeetsATaskThatMovesMeanwhile(t *testing.T) {
	located := broker.Located{Queue: "keyed", Position: 1}
	t.Run("it came", func(t *testing.T) {
		r := newRig(t, nil)
		r.slots = 0
		call := r.beginCancel(located, "a")
		r.deliver(newTask("keyed", "k", "a"))
		if res := r.until(call)[0]; res.State != task.StateCancelled {
			t.Errorf("result: %+v", res)
		}
		r.wantCancelled("a")
		r.wantEmpty()
	})
	t.Run("it came and was done", func(t *testing.T) {
		r := newRig(t, nil)
		call := r.beginCancel(located, "a")
		r.deliver(newTask("keyed", "k", "a"))
		r.answer(r.one(), 0, task.Outcome{})
		if res := r.until(call)[0]; res.State != task.StateDone {
			t.Errorf("result: %+v", res)
		}
		if got := r.state("a"); got != task.StateDone {
			t.Errorf("it is %s", got)
		}
		r.wantEmpty()
	})
	t.Run("it moves all the time", func(t *testing.T) {
		r := newRig(t, nil)
		call := r.beginCancel(located, "a")
		for range seekTries {
			r.c.putMark(&store.Dedup{ID: task.DeriveID("a"), State: task.StateQueued, Queue: "keyed"})
			r.step()
			r.readRows()
			r.commit()
		}
		if res := r.until(call)[0]; task.CodeOf(res.Err) != task.CodeUnavailable {
			t.Errorf("result: %+v", res)
		}
	})
}

func TestCancelOfWhatIsNotThereSaysSo(t *testing.T) {
	r := newRig(t, nil)
	for _, located := range []broker.Located{{}, {Queue: "keyed", Settled: true}, {Queue: "removed"}} {
		if res := r.until(r.beginCancel(located, "a"))[0]; task.CodeOf(res.Err) != task.CodeNotFound {
			t.Errorf("located %+v: %+v", located, res)
		}
	}
	if m := r.mark("a"); m != nil {
		t.Errorf("it left %+v", m)
	}
}

// cancelID cancels one task by its ID.
func (r *rig) cancelID(id task.ID) CancelResult {
	r.t.Helper()
	call := &cancelCall{}
	r.c.cancel(r.now, &cancelling{
		why: "not needed", results: []CancelResult{{ID: id}}, places: make([]place, 1),
		answer: func(results []CancelResult) { call.answered, call.results = true, results },
	})
	r.step()
	return r.until(call)[0]
}

// For its saga, a step that was cancelled failed: what was done before is undone.
func TestCancelOfAStepMakesItsSagaCompensate(t *testing.T) {
	r := newSagaRig(t)
	r.startSaga(twoSteps())
	r.pump()
	r.finish(r.one()) // a
	r.slots = 0
	r.pump()
	var b task.ID
	for id := range r.c.tasks {
		b = id
	}
	if res := r.cancelID(b); res.State != task.StateCancelled {
		t.Fatalf("result: %+v", res)
	}
	r.commit()
	message := r.emitted()[0]
	r.c.queues[saga.Queue].lanesWhere(func(*lane) bool { return true })
	r.deliver(message)
	r.slots = 9
	r.c.capacity("loose", task.Placement{}, 0)
	r.pump()
	l := r.one()
	if ref, ok := saga.RefOf(&l.Tasks[0].Task); !ok || !ref.Undo {
		t.Errorf("the next task is %+v, want the compensation of a", l.Tasks[0])
	}
}

func TestMessagesToASagaCannotBeCancelled(t *testing.T) {
	r := newSagaRig(t)
	located := broker.Located{Queue: saga.Queue, Position: 1}
	if res := r.until(r.beginCancel(located, "message"))[0]; task.CodeOf(res.Err) != task.CodeFailedPrecondition {
		t.Errorf("result: %+v", res)
	}
}
