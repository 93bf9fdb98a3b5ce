package partition

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/task"
)

// stock submits tasks in all places where tasks wait: 24 of a queue, with 3 keys and 2
// types, an hour later 12 more, half of them for later.
func (r *engineRig) stock() (middle time.Time) {
	r.w.setClosed(true)
	for i := range 36 {
		x := newTask("keyed", fmt.Sprint("key-", i%3), fmt.Sprintf("n=%d;", i))
		x.Type = fmt.Sprint("type-", i%2)
		if i == 24 {
			r.wait(time.Hour)
			middle = time.Now()
			r.wait(time.Second)
		}
		if i >= 30 {
			x.RunAt = time.Now().Add(time.Hour)
		}
		r.submit(x)
	}
	return middle
}

func TestAPurgeTakesOutWhatItsFilterMeans(t *testing.T) {
	for name, c := range map[string]struct {
		only      func(middle time.Time) TaskFilter
		queued    int64
		scheduled int64
	}{
		"key":           {func(time.Time) TaskFilter { return TaskFilter{Key: "key-1"} }, 10, 2},
		"type":          {func(time.Time) TaskFilter { return TaskFilter{Type: "type-0"} }, 15, 3},
		"key and type":  {func(time.Time) TaskFilter { return TaskFilter{Key: "key-1", Type: "type-0"} }, 5, 1},
		"text":          {func(time.Time) TaskFilter { return TaskFilter{Text: "n=7;"} }, 1, 0},
		"since":         {func(m time.Time) TaskFilter { return TaskFilter{Since: m} }, 6, 6},
		"until":         {func(m time.Time) TaskFilter { return TaskFilter{Until: m} }, 24, 0},
		"nothing":       {func(m time.Time) TaskFilter { return TaskFilter{Until: m, Since: m} }, 0, 0},
		"another queue": {func(time.Time) TaskFilter { return TaskFilter{Queue: "keyed", Text: "n=40;"} }, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 4, func(r *engineRig) {
				t := r.t
				p := Purge{Queue: "keyed", Queued: true, Scheduled: true, Only: c.only(r.stock())}
				p.Only.Queue = ""
				would, err := r.e.PreviewPurge(t.Context(), p)
				if want := (Purged{Queued: c.queued, Scheduled: c.scheduled}); err != nil || would != want {
					t.Errorf("the preview says %+v, %v, want %+v", would, err, want)
				}
				did, err := r.e.PurgeQueue(t.Context(), p)
				if err != nil || did.Queued != c.queued || did.Scheduled != c.scheduled || did.More || did.Unread {
					t.Errorf("purged %+v, %v, want %d and %d", did, err, c.queued, c.scheduled)
				}
				rest, err := r.e.PreviewPurge(t.Context(), Purge{Queue: "keyed", Queued: true, Scheduled: true})
				if err != nil || rest.Queued+rest.Scheduled != 36-c.queued-c.scheduled {
					t.Errorf("left are %+v, %v", rest, err)
				}
				if again, err := r.e.PurgeQueue(t.Context(), p); err != nil || again.Queued+again.Scheduled != 0 {
					t.Errorf("purged again: %+v, %v", again, err)
				}
			})
		})
	}
}

// One state alone is counted and taken out by the filter too.
func TestAPurgeOfOneStateAndAFilterMeansBoth(t *testing.T) {
	inBubble(t, 2, func(r *engineRig) {
		t := r.t
		r.stock()
		p := Purge{Queue: "keyed", Scheduled: true, Only: TaskFilter{Key: "key-2"}}
		would, err := r.e.PreviewPurge(t.Context(), p)
		if err != nil || would != (Purged{Scheduled: 2}) {
			t.Errorf("the preview says %+v, %v", would, err)
		}
		did, err := r.e.PurgeQueue(t.Context(), p)
		if err != nil || did.Queued != 0 || did.Scheduled != 2 {
			t.Errorf("purged %+v, %v", did, err)
		}
	})
}

// The log is full of tasks that stay, and the node reads only as far as it has room.
func TestAPurgeSaysThatItCouldNotLookBehindWhatStays(t *testing.T) {
	inBubble(t, 1, func(r *engineRig) {
		t := r.t
		r.stop()
		r.w = newCrew()
		e, err := New(Config{Partitions: 1, Broker: r.b, Store: r.s, Dispatch: r.w, Node: "node", Window: broker.Limit{Tasks: 8, Bytes: 1 << 20}})
		if err != nil {
			t.Fatal(err)
		}
		r.e, r.w.e = e, e
		r.w.setClosed(true)
		if err := e.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i := range 40 {
			x := newTask("keyed", "k", fmt.Sprint(i))
			if x.Type = "stays"; i%10 == 0 {
				x.Type = "goes"
			}
			r.submit(x)
		}
		synctest.Wait()
		p := Purge{Queue: "keyed", Queued: true, Scheduled: true, Only: TaskFilter{Type: "goes"}}
		would, err := e.PreviewPurge(t.Context(), p)
		if err != nil || !would.Unread || would.Queued >= 4 {
			t.Errorf("the preview says %+v, %v", would, err)
		}
		removed := int64(0)
		did := Purged{More: true}
		for n := 0; did.More; n++ {
			if n > 9 {
				t.Fatal("it goes on without end")
			}
			if did, err = e.PurgeQueue(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			removed += did.Queued
		}
		if !did.Unread || removed == 0 || removed >= 4 {
			t.Errorf("%d were taken out, and at last %+v", removed, did)
		}
		r.rest(0)
		r.work(done)
		r.w.setClosed(true)
		if did, err = e.PurgeQueue(t.Context(), p); err != nil || did.Unread || did.More || did.Queued != 0 {
			t.Errorf("with nothing left: %+v, %v", did, err)
		}
		if st := r.status("10").State; st != task.StateDone && st != task.StateCancelled {
			t.Errorf("the second one is %s", st)
		}
	})
}
