package partition

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

func TestConfigureQueueTakesEffectAtRunTime(t *testing.T) {
	inBubble(t, 4, func(r *engineRig) {
		t := r.t
		q, created, err := r.e.ConfigureQueue(t.Context(), task.Queue{Name: "new", Batch: 3, Timeout: time.Minute})
		if err != nil || !created || q.Batch != 3 || q.Order != task.OrderKey {
			t.Fatalf("%+v, %v, %v", q, created, err)
		}
		r.w.setClosed(true)
		var tasks []task.Task
		for i := range 7 {
			tasks = append(tasks, newTask("new", "k", fmt.Sprint("n", i)))
		}
		r.submit(tasks...)
		q, created, err = r.e.ConfigureQueue(t.Context(), task.Queue{Name: "new", Batch: 5})
		if err != nil || created || q.Batch != 5 || q.Timeout != time.Minute {
			t.Fatalf("%+v, %v, %v", q, created, err)
		}
		r.w.setClosed(false)
		r.e.Capacity(task.PartitionOf("k", 4), "new", task.Placement{}, 1)
		synctest.Wait()
		leases := r.w.take()
		if len(leases) != 1 || len(leases[0].Tasks) != 5 || leases[0].Timeout != time.Minute {
			t.Fatalf("leases %s", names(leases))
		}
		r.e.Outcomes(WorkerRef{Session: 1, ID: "w1"}, leases[0].LeaseRef, 0, make([]task.Outcome, 5))
		r.work(done)
		r.wantState("n6", task.StateDone)
		_, _, err = r.e.ConfigureQueue(t.Context(), task.Queue{Name: "new", Order: task.OrderNone})
		wantCode(t, err, task.CodeFailedPrecondition, "cannot be changed")
		_, _, err = r.e.ConfigureQueue(t.Context(), task.Queue{Name: "new", Batch: -1})
		wantCode(t, err, task.CodeInvalidArgument, "batch")
		_, _, err = r.e.ConfigureQueue(t.Context(), task.Queue{Name: "no/slash"})
		wantCode(t, err, task.CodeInvalidArgument, "queue name")
		_, err = r.e.QueueStats(t.Context(), "nex")
		wantCode(t, err, task.CodeNotFound, `did you mean "new"`)
		_, err = r.e.QueueStats(t.Context(), "something else")
		wantCode(t, err, task.CodeNotFound, "create it")
	})
}

// A node that starts declares what is stored, and fails where its broker refuses.
func TestAQueueThatTheBrokerRefusesIsNotStored(t *testing.T) {
	inBubble(t, 2, func(r *engineRig) {
		t := r.t
		r.b.set(func() { r.b.refuse["strange"] = errors.New("it exists with other arguments") })
		if _, _, err := r.e.ConfigureQueue(t.Context(), task.Queue{Name: "strange"}); err == nil {
			t.Fatal("the broker refused")
		}
		if _, version, err := r.e.cfg.Store.Meta().Get(t.Context(), metaQueue+"strange"); version != 0 || err != nil {
			t.Errorf("it is stored as version %d, %v", version, err)
		}
		if _, ok := r.e.Queue("strange"); ok {
			t.Error("the engine knows it")
		}
	})
}

func TestAQueueCanBeChangedAfterAChangeFailed(t *testing.T) {
	inBubble(t, 2, func(r *engineRig) {
		t := r.t
		r.b.set(func() { r.b.refuse["keyed"] = errors.New("no broker") })
		if _, _, err := r.e.ConfigureQueue(t.Context(), task.Queue{Name: "keyed", Batch: 9}); err == nil {
			t.Fatal("the broker refused")
		}
		r.b.set(func() { delete(r.b.refuse, "keyed") })
		if q := r.configure(task.Queue{Name: "keyed", Timeout: time.Minute}); q.Timeout != time.Minute {
			t.Errorf("settings %+v", q)
		}
	})
}

func TestAQueueThatWasMadeDuringAClaimIsServed(t *testing.T) {
	inBubble(t, 1, func(r *engineRig) {
		t := r.t
		r.s.set(func(s *flakyStore) { s.commits, s.claims = 1, errors.New("no store") })
		r.submit(newTask("keyed", "k", "1"))
		r.work(done)
		if len(r.e.Problems()) == 0 {
			t.Fatal("the partition is owned")
		}
		r.configure(task.Queue{Name: "late"})
		r.s.set(func(s *flakyStore) { s.claims = nil })
		r.wait(10 * time.Second)
		r.submit(newTask("late", "k", "2"))
		r.work(done)
		r.wantState("2", task.StateDone)
	})
}

func TestCatchUpServesWhatTheClaimMissed(t *testing.T) {
	inBubble(t, 1, func(r *engineRig) {
		t := r.t
		// A queue appears after restore read the settings and before the owner is known.
		own := r.e.owners[0].current()
		next := maps.Clone(*r.e.queues.Load())
		q := task.DefaultQueue("missed")
		next["missed"] = r.e.register(q, 1)
		r.e.queues.Store(&next)
		if err := r.e.declare(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		own.start(func(ctx context.Context) {
			own.mail.post(func(c *core, _ time.Time) { own.catchUp(ctx, c) })
		})
		r.submit(newTask("missed", "k", "1"))
		r.work(done)
		r.wantState("1", task.StateDone)
	})
}
