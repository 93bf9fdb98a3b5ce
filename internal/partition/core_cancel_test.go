package partition

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// cancelCall is a call that cancels tasks.
type cancelCall struct {
	answered bool
	results  []CancelResult
}

// begin cancels tasks that the broker has, as far as located says, without carrying
// out what follows.
func (r *rig) beginCancel(located broker.Located, names ...string) *cancelCall {
	call := &cancelCall{}
	x := &cancelling{why: "not needed", answer: func(results []CancelResult) { call.answered, call.results = true, results }}
	for _, name := range names {
		x.results = append(x.results, CancelResult{ID: task.DeriveID(name)})
		x.places = append(x.places, place{Located: located})
	}
	r.c.cancel(r.now, x)
	r.step()
	return call
}

// readRows answers reads of rows by their keys from what is durable.
func (r *rig) readRows() {
	reads := r.wanted
	r.wanted = nil
	for _, read := range reads {
		rows := make([]store.Row, len(read.keys))
		for i, key := range read.keys {
			if row := r.rows[fmt.Sprint(key.Table(), " ", rowName(key))]; row != nil {
				rows[i] = row
			}
		}
		read.then(r.now, rows)
		r.step()
	}
}

// until carries on until the call is answered.
func (r *rig) until(call *cancelCall) []CancelResult {
	r.t.Helper()
	for range 100 {
		if call.answered {
			return call.results
		}
		r.commit()
		r.readRows()
	}
	r.t.Fatal("the call is not answered")
	return nil
}

func (r *rig) cancel(names ...string) []CancelResult {
	r.t.Helper()
	return r.until(r.beginCancel(broker.Located{}, names...))
}

// cancelOne cancels a task and returns what became of it.
func (r *rig) cancelOne(name string) string {
	r.t.Helper()
	res := r.cancel(name)[0]
	switch {
	case res.Err != nil:
		return res.Err.Error()
	case res.Stopping:
		return res.State.String() + ", stopping"
	}
	return res.State.String()
}

func (r *rig) wantCancelled(names ...string) {
	r.t.Helper()
	for _, name := range names {
		m := r.mark(name)
		if m == nil || m.State != task.StateCancelled || m.Error != "not needed" || m.CreatedAt == 0 || m.FinishedAt == 0 || m.Expires.IsZero() {
			r.t.Errorf("the mark of %s is %+v", name, m)
		}
	}
}

func TestCancelOfAWaitingTaskTakesItOutOfItsKeysOrder(t *testing.T) {
	r := newRig(t, nil)
	r.slots = 0
	r.deliver(newTask("keyed", "k", "a"), newTask("keyed", "k", "b"), newTask("keyed", "k", "c"), newTask("keyed", "other", "d"))
	for _, name := range []string{"b", "d"} {
		if got := r.cancelOne(name); got != "cancelled" {
			t.Errorf("cancel of %s: %s", name, got)
		}
	}
	r.slots = 9
	r.c.capacity("keyed", task.Placement{}, 0)
	r.step()
	l := r.one()
	if got := names([]*task.Lease{l}); got != "[[a c]]" {
		t.Errorf("leased: %s", got)
	}
	r.finish(l)
	r.wantCancelled("b", "d")
	if len(r.settled) != 4 {
		t.Errorf("%d tasks are settled, want 4", len(r.settled))
	}
	r.wantEmpty()
}

func TestCancelAnswersOnlyWhenItIsDurable(t *testing.T) {
	r := newRig(t, nil)
	r.slots = 0
	r.deliver(newTask("keyed", "k", "a"))
	call := r.beginCancel(broker.Located{}, "a")
	if call.answered || len(r.settled) > 0 {
		t.Error("it was answered, or settled, before it was durable")
	}
	r.commit()
	if !call.answered || len(r.settled) != 1 {
		t.Errorf("answered %v, %d settled", call.answered, len(r.settled))
	}
}

func TestCancelOfWhoABlockedKeyWaitsForLetsItGoOn(t *testing.T) {
	for _, wait := range []time.Duration{time.Second, time.Hour} { // in memory, and parked
		t.Run(wait.String(), func(t *testing.T) {
			r := newRig(t, nil)
			r.deliver(newTask("keyed", "k", "a"))
			l := r.one()
			r.deliver(newTask("keyed", "k", "b"))
			r.answer(l, 0, retry(wait))
			r.commit()
			if len(r.take()) > 0 {
				t.Fatal("the key does not wait")
			}
			if got := r.cancelOne("a"); got != "cancelled" {
				t.Fatalf("cancelled: %s", got)
			}
			for len(r.parked) > 0 {
				r.page(10)
				r.commit()
			}
			r.finish(r.one())
			r.wantCancelled("a")
			if got := r.state("b"); got != task.StateDone {
				t.Errorf("b is %s", got)
			}
			if m := r.mark("a"); m.Attempts != 1 {
				t.Errorf("the mark has %d attempts", m.Attempts)
			}
			for len(r.parked) > 0 {
				r.page(10)
			}
			r.commit()
			r.wantEmpty()
		})
	}
}

func TestCancelOfTasksWithoutOrder(t *testing.T) {
	r := newRig(t, nil)
	r.deliver(newTask("loose", "", "soon"), newTask("loose", "", "late"))
	for _, l := range r.take() {
		for i := range l.Tasks {
			wait := time.Second // waits beside its lane
			if string(l.Tasks[i].Payload) == "late" {
				wait = time.Hour // in a schedule row
			}
			r.answer(l, i, retry(wait))
		}
	}
	r.commit()
	r.slots = 0
	r.deliver(newTask("loose", "", "ready"), newTask("loose", "", "stays"))
	for _, name := range []string{"soon", "late", "ready"} {
		if got := r.cancelOne(name); got != "cancelled" {
			t.Errorf("cancel of %s: %s", name, got)
		}
	}
	r.wantCancelled("soon", "late", "ready")
	r.slots = 9
	r.c.capacity("loose", task.Placement{}, 0)
	r.step()
	l := r.one()
	if got := names([]*task.Lease{l}); got != "[[stays]]" {
		t.Errorf("leased: %s", got)
	}
	r.finish(l)
	r.pass(2 * time.Hour)
	for len(r.schedule) > 0 {
		r.rowsDue()
	}
	r.wantEmpty()
}

func TestCancelOfAScheduledTaskThatIsBeingRead(t *testing.T) {
	r := newRig(t, nil)
	at := func(name string, d time.Duration) task.Task {
		t := newTask("keyed", name, name)
		t.RunAt = rigStart.Add(d)
		return t
	}
	r.deliver(at("a", time.Minute), at("b", 2*time.Minute), at("c", 3*time.Minute))
	r.commit()
	r.now = rigStart.Add(time.Hour) // and the first read of the schedule is still under way
	r.step()
	r.schedule = nil
	var page []arrival
	for _, name := range []string{"a", "b", "c"} {
		row := r.rowOf(name).(*store.Schedule)
		page = append(page, r.revived(row.Body, row.Due, row.Seq))
	}
	if got := r.cancelOne("b"); got != "cancelled" {
		t.Fatalf("cancelled: %s", got)
	}
	r.c.scheduleLoaded(r.now, page, true)
	r.step()
	for len(r.schedule) > 0 {
		r.rowsDue()
	}
	leases := r.take()
	if got := names(leases); got != "[[a] [c]]" {
		t.Errorf("leased: %s", got)
	}
	for _, l := range leases {
		r.finish(l)
	}
	r.wantCancelled("b")
	r.wantEmpty()
}

// rowOf returns the schedule or parked row of a task.
func (r *rig) rowOf(name string) store.Row {
	m := r.mark(name)
	for _, row := range append(r.table(store.TableSchedule), r.table(store.TableParked)...) {
		switch row := row.(type) {
		case *store.Schedule:
			if row.Seq == m.Ref {
				return row
			}
		case *store.Parked:
			if row.Seq == m.Ref {
				return row
			}
		}
	}
	r.t.Fatalf("%s has no row", name)
	return nil
}

func TestCancelOfAParkedTaskThatIsBeingRead(t *testing.T) {
	r := newRig(t, nil)
	r.deliver(newTask("keyed", "k", "a"))
	l := r.one()
	r.deliver(newTask("keyed", "k", "b"), newTask("keyed", "k", "c"), newTask("keyed", "k", "d"))
	r.answer(l, 0, retry(time.Minute)) // for so long that all are parked
	r.commit()
	r.now = r.now.Add(time.Minute)
	r.step()
	page := r.pageOf(r.parked[0], 10)
	at := r.parked[0].at
	r.parked = nil
	if got := r.cancelOne("c"); got != "cancelled" {
		t.Fatalf("cancelled: %s", got)
	}
	r.c.parkedLoaded(r.now, at, page, true) // has the task that was cancelled
	r.step()
	var ran []string
	for range 10 {
		for len(r.parked) > 0 {
			r.page(10)
			r.commit()
		}
		for _, l := range r.take() {
			ran = append(ran, names([]*task.Lease{l}))
			r.finish(l)
		}
	}
	if got := strings.Join(ran, ""); got != "[[a b d]]" {
		t.Errorf("ran: %s", got)
	}
	r.wantCancelled("c")
	r.wantEmpty()
}

func TestCancelFindsParkedTasksWithoutOrderInEveryClass(t *testing.T) {
	r := newRig(t, nil)
	far := newTask("loose", "", "far")
	far.Placement = task.Placement{Require: "zone=far"}
	r.slots = 0
	r.deliver(far, newTask("loose", "", "near"))
	q := r.c.queues["loose"]
	for _, cl := range q.classes {
		r.c.evict(r.now, cl.shared, 0)
	}
	r.commit()
	if len(r.c.tasks) != 0 {
		t.Fatal("they are in memory")
	}
	for _, name := range []string{"far", "near"} {
		if got := r.cancelOne(name); got != "cancelled" {
			t.Errorf("cancel of %s: %s", name, got)
		}
	}
	r.wantCancelled("far", "near")
	if q.stats.Parked != 0 || len(r.table(store.TableParked)) != 0 {
		t.Errorf("parked: %d counted, %d rows", q.stats.Parked, len(r.table(store.TableParked)))
	}
}

// A key whose first task asks for workers that are busy must go on when that is
// cancelled and the next one asks for others.
func TestCancelOfAHeadLeavesTheLineOfItsClass(t *testing.T) {
	r := newRig(t, nil)
	far := newTask("keyed", "k", "far")
	far.Placement = task.Placement{Require: "zone=far"}
	r.deliver(far, newTask("keyed", "k", "near"))
	if n := len(r.take()); n != 0 {
		t.Fatalf("%d leases", n)
	}
	r.cancelOne("far")
	l := r.one()
	if got := names([]*task.Lease{l}); got != "[[near]]" {
		t.Errorf("leased: %s", got)
	}
	r.finish(l)
	r.wantCancelled("far")
	r.wantEmpty()
}

func TestCancelOfARunningTask(t *testing.T) {
	cases := map[string]struct {
		answer func(r *rig, l *task.Lease)
		want   task.State
	}{
		"done all the same": {func(r *rig, l *task.Lease) { r.answer(l, 0, task.Outcome{}) }, task.StateDone},
		"failed":            {func(r *rig, l *task.Lease) { r.answer(l, 0, retry(0)) }, task.StateCancelled},
		"rejected":          {func(r *rig, l *task.Lease) { r.answer(l, 0, reject()) }, task.StateCancelled},
		"returned": {func(r *rig, l *task.Lease) {
			r.answer(l, 0, task.Outcome{Kind: task.OutcomeReturned})
		}, task.StateCancelled},
		"refused": {func(r *rig, l *task.Lease) {
			r.answer(l, 0, task.Outcome{Emits: []task.Task{newTask("none", "", "x")}})
		}, task.StateCancelled},
		"worker lost":      {func(r *rig, _ *task.Lease) { r.c.workerGone(r.now, 1, false); r.step() }, task.StateCancelled},
		"worker left":      {func(r *rig, _ *task.Lease) { r.c.workerGone(r.now, 1, true); r.step() }, task.StateCancelled},
		"took too long":    {func(r *rig, _ *task.Lease) { r.pass(time.Hour) }, task.StateCancelled},
		"failed past last": {func(r *rig, l *task.Lease) { r.answer(l, 0, retry(-1)) }, task.StateCancelled},
	}
	for name, tc := range cases {
		for _, queue := range []string{"keyed", "loose"} {
			t.Run(name+" "+queue, func(t *testing.T) {
				r := newRig(t, nil)
				r.deliver(newTask(queue, "k", "a"))
				l := r.one()
				for range 2 { // again changes nothing
					if got := r.cancelOne("a"); got != "running, stopping" {
						t.Fatalf("cancelled: %s", got)
					}
				}
				if m := r.mark("a"); m == nil || m.State != task.StateRunning {
					t.Errorf("the mark is %+v", m)
				}
				if len(r.cancels) != 1 || r.cancels[0] != (stopOf{l.LeaseRef, 0}) {
					t.Errorf("the worker was told %v", r.cancels)
				}
				tc.answer(r, l)
				r.commit()
				if got := r.state("a"); got != tc.want {
					t.Errorf("it is %s, want %s", got, tc.want)
				}
				r.pass(time.Hour)
				if n := len(r.take()); n > 0 {
					t.Error("it was handed out again")
				}
				if got := r.cancelOne("a"); got != tc.want.String() {
					t.Errorf("cancelled once more: %s", got)
				}
				if n := len(r.table(store.TableDead)); n > 0 {
					t.Errorf("%d dead letters", n)
				}
				r.wantEmpty()
			})
		}
	}
}

func TestCancelOfOneTaskOfALeaseKeepsTheOthers(t *testing.T) {
	r := newRig(t, nil)
	r.slots = 0
	r.deliver(newTask("keyed", "k", "a"), newTask("keyed", "k", "b"), newTask("keyed", "k", "c"))
	r.slots = 1
	r.c.capacity("keyed", task.Placement{}, 0)
	r.step()
	l := r.one()
	r.cancelOne("b")
	if len(r.cancels) != 1 || r.cancels[0].index != 1 {
		t.Fatalf("the worker was told %v", r.cancels)
	}
	r.answer(l, 0, task.Outcome{}, retry(0)) // b was not begun
	r.commit()
	l = r.one()
	if got := names([]*task.Lease{l}); got != "[[c]]" {
		t.Errorf("leased: %s", got)
	}
	r.finish(l)
	if r.state("a") != task.StateDone || r.state("c") != task.StateDone {
		t.Errorf("a is %s, c is %s", r.state("a"), r.state("c"))
	}
	r.wantCancelled("b")
	r.wantEmpty()
}

// The next owner finds a task again whose handler was asked to stop: what the
// handler answers is fenced, so the task is cancelled.
func TestCancelOfARunningTaskOutlivesItsOwner(t *testing.T) {
	for _, where := range []string{"log", "parked", "schedule"} {
		t.Run(where, func(t *testing.T) {
			r := newRig(t, nil)
			a := newTask("keyed", "k", "a")
			if where == "schedule" {
				a.RunAt = rigStart.Add(time.Minute)
			}
			r.deliver(a)
			r.commit()
			if where == "schedule" {
				r.pass(time.Minute)
				r.rowsDue()
				r.rowsDue()
			}
			l := r.one()
			if where == "parked" {
				r.c.parkAll(r.now, r.c.queues["keyed"].lanes["k"])
				r.step()
				r.commit()
			}
			r.cancelOne("a")
			r.c.abandon()
			r.schedule, r.parked = nil, nil
			r.fence.Epoch++
			r.claim(nil)
			switch where {
			case "log":
				again := arrivalOf(a)
				again.item.pos, again.known = r.pos, r.mark("a")
				r.c.delivered(r.now, "keyed", rankNormal, []arrival{again})
			case "parked":
				r.restore()
				r.page(10)
			case "schedule":
				r.rowsDue()
			}
			r.step()
			r.commit()
			r.wantCancelled("a")
			r.answer(l, 0, task.Outcome{}) // of an earlier epoch
			r.commit()
			r.wantCancelled("a")
			if n := len(r.take()); n > 0 {
				t.Error("it was handed out again")
			}
			for len(r.parked) > 0 {
				r.page(10)
			}
			r.commit()
			r.wantEmpty()
		})
	}
}

// A task that stands still at a worker is parked with its lane: what was asked of it
// stays.
func TestParkingKeepsThatATaskIsToBeCancelled(t *testing.T) {
	r := newRig(t, nil)
	r.deliver(newTask("keyed", "k", "a"))
	l := r.one()
	r.cancelOne("a")
	r.c.parkAll(r.now, r.c.queues["keyed"].lanes["k"])
	r.step()
	r.commit()
	if m := r.mark("a"); m.State != task.StateRunning || m.Ref == 0 || m.Error != "not needed" {
		t.Errorf("the mark is %+v", m)
	}
	r.answer(l, 0, retry(0))
	r.commit()
	r.wantCancelled("a")
}
