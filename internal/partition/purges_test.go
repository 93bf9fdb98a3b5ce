package partition

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// A task of a key that waits long for its next attempt is in a parked row, like those
// behind it, which could start but for it.
func TestAPurgeTellsWhoWaitsForAnAttemptFromWhoWaitsBehindIt(t *testing.T) {
	all := []string{"fails", "behind 0", "behind 1", "loose", "timed"}
	for name, tc := range map[string]struct {
		p    Purge
		want Purged
		gone []string
	}{
		"queued":    {Purge{Queued: true}, Purged{Queued: 2}, []string{"behind 0", "behind 1"}},
		"scheduled": {Purge{Scheduled: true}, Purged{Scheduled: 2}, []string{"fails", "timed"}},
		"both":      {Purge{Queued: true, Scheduled: true}, Purged{Queued: 2, Scheduled: 2}, []string{"fails", "behind 0", "behind 1", "timed"}},
	} {
		for _, restarted := range []bool{false, true} {
			t.Run(fmt.Sprint(name, restarted), func(t *testing.T) {
				inBubble(t, 1, func(r *engineRig) {
					t := r.t
					r.submit(newTask("keyed", "k", "fails"))
					r.work(fails(time.Hour))
					r.submit(newTask("keyed", "k", "behind 0"), newTask("keyed", "k", "behind 1"), newTask("loose", "", "loose"))
					timed := newTask("keyed", "l", "timed")
					timed.RunAt = time.Now().Add(time.Minute)
					r.submit(timed)
					r.wait(time.Second)
					if restarted {
						r.stop()
						r.start(1)
					}
					tc.p.Queue = "keyed"
					would, err := r.e.PreviewPurge(t.Context(), tc.p)
					if err != nil || would != tc.want {
						t.Errorf("the preview says %+v, want %+v: %v", would, tc.want, err)
					}
					did, err := r.e.PurgeQueue(t.Context(), tc.p)
					did.Before = 0
					if err != nil || did != tc.want {
						t.Errorf("it took out %+v, want %+v: %v", did, tc.want, err)
					}
					for _, task := range all {
						if got := r.status(task).State.Final(); got != slices.Contains(tc.gone, task) {
							t.Errorf("%s is %s", task, r.status(task).State)
						}
					}
					r.rest(2 * time.Hour)
					r.work(done)
				})
			})
		}
	}
}

// What a purge has read of a task may be out of date when it comes to the core, which
// knows better.
func TestAPurgeLooksAtATaskInMemoryAgain(t *testing.T) {
	r := newRig(t, nil)
	r.deliver(newTask("loose", "", "runs"), newTask("loose", "", "fails"))
	l := r.one()
	r.answer(l, 1, retry(5*time.Second))
	r.slots = 0
	r.deliver(newTask("loose", "", "ready"))
	cancel := func(p Purge, names ...string) (ended Purged) {
		p.Before = task.TimestampAt(rigStart.Add(time.Hour))
		x := &cancelling{why: "not needed", purge: &p, waiting: true, results: make([]CancelResult, len(names))}
		for i, name := range names {
			x.results[i].ID = task.DeriveID(name)
		}
		x.answer = func([]CancelResult) { ended = x.ended }
		r.c.cancel(r.now, x)
		r.step()
		r.commit()
		return ended
	}
	if n := cancel(Purge{Queued: true}, "runs", "fails", "ready"); n != (Purged{Queued: 1}) || r.state("fails") == task.StateCancelled {
		t.Errorf("as queued were taken out %+v; what waits for its next attempt is %s", n, r.state("fails"))
	}
	r.wantCancelled("ready")
	if n := cancel(Purge{Scheduled: true}, "runs", "fails"); n != (Purged{Scheduled: 1}) {
		t.Errorf("as scheduled were taken out %+v", n)
	}
	r.wantCancelled("ready", "fails")
	r.finish(l)
	if r.state("runs") != task.StateDone {
		t.Errorf("what ran is %s", r.state("runs"))
	}
}

func TestAPurgeOfAPartitionThatIsMovedWaitsForIt(t *testing.T) {
	inBubble(t, 2, func(r *engineRig) {
		r.holdFor(time.Second)
		if _, err := r.e.PurgeQueue(r.t.Context(), Purge{Queue: "keyed", Queued: true, Reason: "x"}); err != nil {
			r.t.Error(err)
		}
	})
}

func TestAPurgeWhoseCallerIsGoneLeavesTheQueueToOthers(t *testing.T) {
	inBubble(t, 1, func(r *engineRig) {
		for range 50 { // its question may be answered all the same
			ctx, cancel := context.WithCancel(r.t.Context())
			cancel()
			_, _ = r.e.PurgeQueue(ctx, Purge{Queue: "keyed", Queued: true, Reason: "x"})
		}
		r.wait(time.Minute)
		if _, err := r.e.PurgeQueue(r.t.Context(), Purge{Queue: "keyed", Queued: true, Reason: "x"}); err != nil {
			r.t.Error(err)
		}
	})
}
