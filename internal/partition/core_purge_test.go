package partition

import (
	"fmt"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// purging begins a purge of everything that was accepted until now.
func (r *rig) purging(queue string, change func(*Purge)) (p *purging, reached *bool) {
	reached = new(bool)
	p = &purging{
		Purge:   Purge{Queue: queue, Queued: true, Scheduled: true, Before: task.TimestampAt(rigStart.Add(time.Hour)), Reason: "not needed"},
		markers: map[task.ID]struct{}{task.DeriveID("marker"): {}}, reached: func() { *reached = true },
	}
	if change != nil {
		change(&p.Purge)
	}
	r.c.purge(r.now, r.c.queues[queue], p)
	r.step()
	return p, reached
}

func marker(queue string) task.Task {
	t := newTask(queue, "", "marker")
	t.Headers = []task.Header{{Name: headPurge}}
	return t
}

func TestAPurgeTakesOutWhatWaitsAndLeavesWhatRuns(t *testing.T) {
	for _, queue := range []string{"keyed", "loose"} {
		t.Run(queue, func(t *testing.T) {
			r := newRig(t, nil)
			r.deliver(newTask(queue, "k", "runs"), newTask(queue, "l", "fails"))
			var running *task.Lease
			for _, l := range r.take() {
				for i := range l.Tasks {
					if string(l.Tasks[i].Payload) == "fails" {
						r.answer(l, i, retry(time.Second))
					} else {
						running = l
					}
				}
			}
			r.slots = 0
			r.deliver(newTask(queue, "k", "behind"), newTask(queue, "m", "ready"), newTask("keyed", "k", "other"))
			p, reached := r.purging(queue, nil)
			r.deliver(newTask(queue, "k", "unread"), newTask(queue, "n", "unread too"))
			late := newTask(queue, "k", "after")
			late.CreatedAt = p.Before
			r.deliver(late)
			if *reached {
				t.Error("it ended before the marker came")
			}
			r.deliver(marker(queue))
			r.commit()
			if !*reached {
				t.Error("it did not end with the marker")
			}
			r.c.queues[queue].purge = nil
			r.wantCancelled("fails", "behind", "ready", "unread", "unread too")
			wantQueued, wantScheduled := int64(4), int64(1)
			if queue == "keyed" {
				wantQueued++ // the other one is of this queue here
				r.wantCancelled("other")
			}
			if p.removed.Queued != wantQueued || p.removed.Scheduled != wantScheduled {
				t.Errorf("%d queued and %d scheduled were taken out, want %d and %d", p.removed.Queued, p.removed.Scheduled, wantQueued, wantScheduled)
			}
			r.slots = 9
			r.c.capacity("keyed", task.Placement{}, 0)
			r.c.capacity("loose", task.Placement{}, 0)
			r.finish(running)
			r.pass(time.Minute)
			for range 9 {
				for _, l := range r.take() {
					r.finish(l)
				}
			}
			if r.state("runs") != task.StateDone || r.state("after") != task.StateDone {
				t.Errorf("what ran is %s, what came after is %s", r.state("runs"), r.state("after"))
			}
			if m := r.mark("marker"); m != nil {
				t.Errorf("the marker left a mark: %+v", m)
			}
			r.wantEmpty()
		})
	}
}

func TestAPurgeOfOneStateLeavesTheOther(t *testing.T) {
	for _, scheduled := range []bool{false, true} {
		t.Run(fmt.Sprint(scheduled), func(t *testing.T) {
			r := newRig(t, nil)
			r.slots = 0
			p, _ := r.purging("keyed", func(p *Purge) { p.Queued, p.Scheduled = !scheduled, scheduled })
			timed := newTask("keyed", "a", "timed")
			timed.RunAt = r.now.Add(time.Hour)
			r.deliver(timed, newTask("keyed", "b", "plain"))
			r.commit()
			if got := r.state("timed") == task.StateCancelled; got != scheduled {
				t.Errorf("the scheduled one is %s", r.state("timed"))
			}
			if got := r.state("plain") == task.StateCancelled; got == scheduled {
				t.Errorf("the plain one is %s", r.state("plain"))
			}
			if p.removed.Queued+p.removed.Scheduled != 1 || p.removed.Scheduled == 1 != scheduled {
				t.Errorf("counted %d queued, %d scheduled", p.removed.Queued, p.removed.Scheduled)
			}
		})
	}
}

// A marker of a call that has gone is not a task for anybody.
func TestAMarkerWithoutAPurgeIsSettled(t *testing.T) {
	r := newRig(t, nil)
	r.deliver(marker("loose"), marker("keyed"))
	r.commit()
	if len(r.take()) > 0 || len(r.settled) != 2 {
		t.Errorf("settled %v", r.settled)
	}
	r.wantEmpty()
}

// The reader gets its room back when it is durable what became of the last batch.
func TestAPurgeDoesNotReadFasterThanItWrites(t *testing.T) {
	r := newRig(t, nil)
	r.purging("keyed", nil)
	r.credited = r.c.queues["keyed"].bands[rankNormal].freed
	r.deliver(newTask("keyed", "k", "a"))
	r.deliver(newTask("keyed", "k", "b"))
	if r.credited.Tasks != 0 {
		t.Errorf("room for %d tasks before they are durable", r.credited.Tasks)
	}
	r.commit()
	if r.credited.Tasks != 2 {
		t.Errorf("room for %d tasks, want 2", r.credited.Tasks)
	}
	r.c.queues["keyed"].purge = nil
	r.wantEmpty()
}

func TestAPreviewCountsWhatWaits(t *testing.T) {
	r := newRig(t, nil)
	timed := newTask("loose", "", "timed")
	timed.RunAt = r.now.Add(time.Hour)
	r.deliver(timed, newTask("loose", "", "runs"), newTask("loose", "", "fails"))
	for _, l := range r.take() {
		for i := range l.Tasks {
			if string(l.Tasks[i].Payload) == "fails" {
				r.answer(l, i, retry(time.Second))
			}
		}
	}
	r.slots = 0
	r.deliver(newTask("loose", "", "ready"))
	r.commit()
	// The broker still has those that run, wait for a retry or are ready: three.
	queued, scheduled := r.c.preview(r.now, "loose")
	if queued+3 != 1 || scheduled != 2 {
		t.Errorf("%d queued beyond the backlog, %d scheduled; want -2 and 2", queued, scheduled)
	}
	if queued, scheduled := r.c.preview(r.now, "none"); queued != 0 || scheduled != 0 {
		t.Errorf("of no queue: %d and %d", queued, scheduled)
	}
}
