package partition

import (
	"fmt"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/task"
)

func (r *rig) pause(name string, paused bool) {
	r.settings(name, func(q *task.Queue) { q.Paused = paused })
}

func TestAPausedQueueHandsNothingOutUntilItIsResumed(t *testing.T) {
	for _, queue := range []string{"keyed", "loose"} {
		t.Run(queue, func(t *testing.T) {
			r := newRig(t, nil)
			r.deliver(newTask(queue, "k", "a"), newTask(queue, "l", "fails"))
			for _, l := range r.take() {
				o := task.Outcome{}
				if string(l.Tasks[0].Payload) == "fails" {
					o = retry(time.Second)
				}
				r.pause(queue, true)
				r.answer(l, 0, o) // what runs ends as always
			}
			r.commit()
			if r.state("a") != task.StateDone {
				t.Errorf("a is %s", r.state("a"))
			}
			later := newTask(queue, "m", "later")
			later.RunAt = r.now.Add(time.Minute)
			r.deliver(newTask(queue, "k", "b"), newTask(queue, "n", "c"), later)
			r.c.capacity(queue, task.Placement{}, 0)
			r.pass(time.Hour)
			for len(r.schedule) > 0 {
				r.rowsDue()
			}
			if n := len(r.take()); n > 0 {
				t.Errorf("%d leases while it is paused", n)
			}
			other := map[string]string{"keyed": "loose", "loose": "keyed"}[queue]
			r.deliver(newTask(other, "k", "other"))
			r.finish(r.one())

			r.pause(queue, false)
			got := r.take()
			if names := names(got); names != "[[b] [c] [fails] [later]]" && names != "[[b c fails later]]" && names != "[[fails b c later]]" {
				t.Errorf("leased after the pause: %s", names)
			}
			for _, l := range got {
				r.finish(l)
			}
			r.wantEmpty()
		})
	}
}

// What stands still does not make the core look at it again and again, however full
// the window is, and moves nothing into the store.
func TestAPausedQueueIsLeftAlone(t *testing.T) {
	r := newRig(t, func(cfg *coreConfig) { cfg.Window = broker.Limit{Tasks: 40, Bytes: 4 << 20} })
	r.deliver(newTask("keyed", "hot", "held"))
	held := r.one()
	r.pause("keyed", true)
	for i := range 39 {
		r.deliver(newTask("keyed", "hot", fmt.Sprint("t", i)))
	}
	r.finish(held)
	r.pass(time.Hour)
	if at := r.c.nextAlarm(r.now); !at.IsZero() {
		t.Errorf("the next alarm is in %v", at.Sub(r.now))
	}
	if n := r.c.queues["keyed"].stats.Parked; n > 0 {
		t.Errorf("%d tasks were parked", n)
	}
	r.pause("keyed", false)
	for range 100 {
		for _, l := range r.take() {
			r.finish(l)
		}
	}
	if got := r.c.stats("keyed").DoneTotal; got != 40 {
		t.Errorf("%d tasks are done, want 40", got)
	}
	r.wantEmpty()
}

func TestATaskOfAPausedQueueCanBeCancelled(t *testing.T) {
	r := newRig(t, nil)
	r.pause("keyed", true)
	r.deliver(newTask("keyed", "k", "a"), newTask("keyed", "k", "b"))
	r.cancelOne("a")
	r.pause("keyed", false)
	l := r.one()
	if got := names([]*task.Lease{l}); got != "[[b]]" {
		t.Errorf("leased: %s", got)
	}
	if got := r.c.stats("keyed").CancelledTotal; got != 1 {
		t.Errorf("%d are counted as cancelled", got)
	}
	r.finish(l)
	r.wantCancelled("a")
	r.wantEmpty()
}
