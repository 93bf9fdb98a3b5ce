package partition

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

func later(name string, r *rig, d time.Duration) task.Task {
	x := newTask("keyed", "k", name)
	x.RunAt = r.now.Add(d)
	return x
}

// begin answers the first read of the schedule, which finds nothing.
func (r *rig) begin() *rig {
	r.t.Helper()
	r.rowsDue()
	return r
}

func TestRunAtBecomesAScheduleRow(t *testing.T) {
	r := newRig(t, nil).begin()
	r.deliver(later("1", r, time.Minute))
	r.commit()
	if m := r.mark("1"); m == nil || m.State != task.StateScheduled || !m.Due.Equal(r.now.Add(time.Minute)) || fmt.Sprint(r.settled) != "[1]" {
		t.Fatalf("mark %+v, settled %v", m, r.settled)
	}
	if len(r.c.tasks) != 0 || len(r.c.queues["keyed"].lanes) != 0 || r.credited.Tasks != 1 {
		t.Error("a scheduled task takes memory")
	}
	if s := r.c.stats("keyed"); s.Scheduled != 1 {
		t.Errorf("stats %+v", s)
	}
	r.pass(time.Minute - 1)
	if len(r.schedule) != 0 {
		t.Fatal("the schedule is read before anything is due")
	}
	r.pass(1)
	if len(r.schedule) != 0 {
		t.Fatal("the row is read though it was at hand")
	}
	r.finish(r.one())
	if r.state("1") != task.StateDone || r.c.stats("keyed").Scheduled != 0 {
		t.Errorf("state %v", r.state("1"))
	}
	r.wantEmpty()
}

func TestRowsBeyondThoseAtHandAreReadInTime(t *testing.T) {
	r := newRig(t, func(cfg *coreConfig) { cfg.Ahead = 2 }).begin()
	var want []string
	for i := range 9 {
		name := fmt.Sprint(i)
		want = append([]string{name}, want...)
		r.deliver(later(name, r, time.Minute-time.Duration(i)*time.Second))
	}
	r.commit()
	if n := len(r.c.sched.ahead); n != 2 {
		t.Fatalf("%d rows are at hand", n)
	}
	var got []string
	for range 60 {
		r.pass(time.Second)
		for len(r.schedule) > 0 {
			r.rowsDue()
		}
		got = append(got, r.goOn(2)...)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	r.wantEmpty()
}

func TestRowsWrittenWhileTheScheduleIsReadAreNotPassed(t *testing.T) {
	r := newRig(t, func(cfg *coreConfig) { cfg.Ahead = 1 }).begin()
	r.deliver(later("early", r, 10*time.Millisecond), later("late", r, 30*time.Millisecond), later("later", r, 31*time.Millisecond))
	r.commit()
	r.pass(10 * time.Millisecond)
	if len(r.schedule) != 1 {
		t.Fatal("the schedule is not read")
	}
	// The page was read; before it comes a row is written between its rows.
	page := []arrival{}
	for _, name := range []string{"late", "later"} {
		for _, row := range r.table(store.TableSchedule) {
			if s := row.(*store.Schedule); s.Seq == r.mark(name).Ref {
				page = append(page, r.revived(s.Body, s.Due, s.Seq))
			}
		}
	}
	r.deliver(later("between", r, 10*time.Millisecond))
	r.commit()
	r.now = r.now.Add(time.Second)
	r.schedule = nil
	r.c.scheduleLoaded(r.now, page, true)
	r.step()
	r.commit()
	for range 10 {
		for _, l := range r.take() {
			r.finish(l)
		}
		if len(r.schedule) > 0 {
			r.rowsDue()
		}
		r.pass(time.Millisecond)
	}
	for _, name := range []string{"early", "between", "late", "later"} {
		if r.state(name) != task.StateDone {
			t.Errorf("%s is %v", name, r.state(name))
		}
	}
	r.wantEmpty()
}

func TestAClockThatWentBackHidesNoRow(t *testing.T) {
	r := newRig(t, nil).begin()
	r.deliver(later("1", r, time.Second))
	r.commit()
	r.pass(time.Second)
	r.finish(r.one())
	for len(r.schedule) > 0 {
		r.rowsDue()
	}
	r.now = r.now.Add(-time.Hour)
	r.deliver(later("2", r, time.Second)) // due before what was read already
	r.commit()
	r.pass(time.Second)
	for len(r.schedule) > 0 {
		r.rowsDue()
	}
	r.finish(r.one())
	r.wantEmpty()
}

func TestLongBackoffWithoutOrderBecomesAScheduleRow(t *testing.T) {
	r := newRig(t, nil).begin()
	r.deliver(newTask("loose", "", "short"))
	r.answer(r.one(), 0, retry(longBackoff))
	r.deliver(newTask("loose", "", "long"))
	r.answer(r.one(), 0, retry(longBackoff+time.Millisecond))
	r.commit()
	if rows := r.table(store.TableSchedule); len(rows) != 1 || rows[0].(*store.Schedule).Seq != r.mark("long").Ref {
		t.Fatalf("schedule %+v", rows)
	}
	if len(r.c.tasks) != 1 || len(r.table(store.TableAttempt)) != 2 {
		t.Errorf("%d tasks in memory", len(r.c.tasks))
	}
	r.pass(longBackoff)
	r.finish(r.one())
	r.pass(time.Second)
	l := r.one()
	if l.Tasks[0].Attempt != 2 || l.Tasks[0].Delivery != 2 {
		t.Errorf("task %+v", l.Tasks[0])
	}
	r.finish(l)
	r.wantEmpty()
}

// blocked delivers three tasks of one key of which the first fails with a long
// delay.
func blocked(t *testing.T, change func(*coreConfig)) *rig {
	t.Helper()
	r := newRig(t, change).begin()
	r.slots = 0
	r.deliver(newTask("keyed", "k", "1"), newTask("keyed", "k", "2"), newTask("keyed", "k", "3"))
	r.slots = 5
	r.c.capacity("keyed", task.Placement{}, 0)
	r.step()
	r.answer(r.one(), 0, retry(time.Minute))
	r.commit()
	return r
}

// goOn answers reads and finishes leases until nothing happens, and returns what
// was leased, in order.
func (r *rig) goOn(page int) (order []string) {
	r.t.Helper()
	for range 2000 {
		switch {
		case len(r.parked) > 0:
			r.page(page)
		case len(r.schedule) > 0:
			r.rowsDue()
		case len(r.sent) > 0:
			for _, l := range r.take() {
				for i := range l.Tasks {
					order = append(order, string(l.Tasks[i].Payload))
				}
				r.finish(l)
			}
		default:
			r.step()
			r.commit()
			if len(r.parked)+len(r.schedule)+len(r.sent) == 0 {
				return order
			}
		}
	}
	r.t.Fatal("no end")
	return nil
}

func TestABlockedLaneIsParkedInOrder(t *testing.T) {
	for _, page := range []int{1, 2, 10} {
		t.Run(fmt.Sprint(page), func(t *testing.T) {
			r := blocked(t, func(cfg *coreConfig) { cfg.Page = page })
			if len(r.c.tasks) != 0 || r.c.queues["keyed"].bands[rankNormal].held.Tasks != 0 || len(r.table(store.TableParked)) != 3 || len(r.settled) != 3 {
				t.Fatalf("%d tasks in memory, %d parked, settled %v", len(r.c.tasks), len(r.table(store.TableParked)), r.settled)
			}
			r.deliver(newTask("keyed", "k", "4"))
			r.commit()
			if r.state("4") != task.StateQueued || len(r.c.tasks) != 0 {
				t.Error("what comes later is parked behind")
			}
			r.pass(time.Minute)
			if got := fmt.Sprint(r.goOn(page)); got != "[1 2 3 4]" {
				t.Errorf("order %s", got)
			}
			r.wantEmpty()
		})
	}
}

func TestParkedRowsSurviveARestart(t *testing.T) {
	r := blocked(t, nil)
	r.fence.Epoch++
	r.parked, r.schedule = nil, nil
	r.claim(nil)
	r.restore()
	r.deliver(newTask("keyed", "k", "4"))
	r.commit()
	if got := r.goOn(2); got != nil {
		t.Errorf("%v started before the retry was due", got)
	}
	r.pass(time.Minute)
	if got := fmt.Sprint(r.goOn(2)); got != "[1 2 3 4]" {
		t.Errorf("order %s", got)
	}
	if m := r.mark("1"); m.Attempts != 1 || m.Deliveries != 2 {
		t.Errorf("mark %+v", m)
	}
	r.wantEmpty()
}

func TestAPageThatIsLateDoesNotSkipRows(t *testing.T) {
	r := blocked(t, func(cfg *coreConfig) { cfg.Page = 8 })
	r.deliver(newTask("keyed", "k", "4"))
	r.commit()
	r.pass(time.Minute)
	r.page(2) // 1 and 2 are in memory, and more is asked for
	l := r.one()
	if len(r.parked) == 0 {
		t.Fatal("no second page was asked for")
	}
	r.answer(l, 0, retry(time.Minute)) // the lane gives its memory back
	r.commit()
	r.page(8) // which followed what is not in memory any more
	r.pass(time.Minute)
	if got := fmt.Sprint(r.goOn(8)); got != "[1 2 3 4]" {
		t.Errorf("order %s", got)
	}
	r.wantEmpty()
}

func TestARowThatCannotBeReadIsPassed(t *testing.T) {
	r := blocked(t, nil)
	r.pass(time.Minute)
	read := r.parked[0]
	r.parked = nil
	bad := arrival{corrupt: true}
	bad.item.seq = read.after + 1
	r.c.parkedLoaded(r.now, laneName{queue: "keyed", key: "k"}, []arrival{bad}, true)
	r.step()
	if len(r.parked) != 1 || r.parked[0].after != bad.item.seq {
		t.Errorf("the same page is read again: %+v", r.parked)
	}
	worse := arrival{corrupt: true}
	worse.item.due, worse.item.seq = r.now, 5
	r.c.sched.fetch()
	r.c.scheduleLoaded(r.now, []arrival{worse}, true)
	r.step()
	if n := len(r.schedule); n == 0 || r.schedule[n-1] != (scheduleRead{r.now, 5}) {
		t.Errorf("the same rows are read again: %+v", r.schedule)
	}
}

func TestAFullWindowEvictsWhatStandsStill(t *testing.T) {
	r := newRig(t, func(cfg *coreConfig) { cfg.Window = broker.Limit{Tasks: 4, Bytes: 1 << 20} }).begin()
	r.deliver(newTask("keyed", "k", "1"))
	slow := r.one()
	r.deliver(newTask("keyed", "k", "2"), newTask("keyed", "k", "3"), newTask("keyed", "k", "4"))
	r.pass(parkAfter)
	if len(r.table(store.TableParked)) != 0 {
		t.Fatal("parked too early")
	}
	r.pass(time.Second)
	if n := len(r.table(store.TableParked)); n != 4 || r.c.queues["keyed"].bands[rankNormal].held.Tasks != 0 {
		t.Fatalf("%d parked, held %+v", n, r.c.queues["keyed"].bands[rankNormal].held)
	}
	if len(r.c.leases) != 1 {
		t.Fatal("the lease goes on")
	}
	r.answer(slow, 0, task.Outcome{})
	r.commit()
	if r.state("1") != task.StateDone {
		t.Error("the leased task ended")
	}
	if got := fmt.Sprint(r.goOn(10)); got != "[2 3 4]" {
		t.Errorf("order %s", got)
	}
	r.wantEmpty()
}

// A key that has more tasks than one after another can be done stands in nobody's
// way: what is beyond its share of the window waits in the store.
func TestAKeyWithTooManyTasksLeavesTheWindowToOthers(t *testing.T) {
	r := newRig(t, func(cfg *coreConfig) { cfg.Window, cfg.Page = broker.Limit{Tasks: 100, Bytes: 4 << 20}, 10 }).begin()
	r.settings("keyed", func(q *task.Queue) { q.Batch = 5 })
	var want []string
	hot := func(n int) {
		for range n {
			name := fmt.Sprintf("hot%03d", len(want))
			want = append(want, name)
			r.deliver(newTask("keyed", "hot", name))
		}
	}
	hot(80)
	lease := r.one()
	r.pass(time.Second)
	if held := r.c.queues["keyed"].bands[rankNormal].held.Tasks; held != 0 {
		t.Fatalf("%d tasks of the key are still in the window", held)
	}
	hot(20)
	if held := r.c.queues["keyed"].bands[rankNormal].held.Tasks; held != 0 {
		t.Errorf("%d of the tasks that come later stay in the window", held)
	}
	r.deliver(newTask("keyed", "other", "x"))
	other := r.one()
	if got := string(other.Tasks[0].Payload); got != "x" {
		t.Fatalf("%s was handed out, want the other key's task", got)
	}
	r.finish(other)
	order := make([]string, 0, len(want))
	for i := range lease.Tasks {
		order = append(order, string(lease.Tasks[i].Payload))
	}
	r.finish(lease)
	order = append(order, r.goOn(10)...)
	if !slices.Equal(order, want) {
		t.Errorf("order %v", order)
	}
	r.wantEmpty()
}

func TestAKeyThatIsAloneInItsWindowIsNotParkedBeforeItIsNearlyFull(t *testing.T) {
	r := newRig(t, func(cfg *coreConfig) { cfg.Window, cfg.Page = broker.Limit{Tasks: 100, Bytes: 4 << 20}, 10 }).begin()
	for i := range 70 {
		r.deliver(newTask("keyed", "hot", fmt.Sprintf("hot%03d", i)))
	}
	r.pass(time.Second)
	if n := len(r.table(store.TableParked)); n != 0 {
		t.Errorf("%d tasks were parked, though the window has room", n)
	}
	r.goOn(10)
	r.wantEmpty()
}

func TestAQueueWithoutWorkersDoesNotHoldOthersBack(t *testing.T) {
	r := newRig(t, func(cfg *coreConfig) { cfg.Stored = broker.Limit{Tasks: 2, Bytes: 1 << 20} }).begin()
	r.slots = 0
	for i := range 5 {
		x := newTask("loose", "", fmt.Sprint("idle ", i))
		x.RunAt = r.now.Add(time.Second)
		r.deliver(x)
	}
	r.deliver(later("busy", r, 2*time.Second))
	r.commit()
	r.pass(time.Second)
	r.commit()
	if n := len(r.table(store.TableParked)); n != 3 {
		t.Errorf("%d due tasks without room are parked, want 3", n)
	}
	r.pass(time.Second)
	for len(r.schedule) > 0 {
		r.rowsDue()
	}
	r.slots = 1
	r.c.capacity("keyed", task.Placement{}, 0)
	r.step()
	l := r.one()
	if string(l.Tasks[0].Payload) != "busy" {
		t.Fatalf("lease %s", names([]*task.Lease{l}))
	}
	r.finish(l)
	r.slots = 10
	r.c.capacity("loose", task.Placement{}, 0)
	r.step()
	if got := r.goOn(10); len(got) != 5 {
		t.Errorf("the idle queue's tasks: %v", got)
	}
	r.wantEmpty()
}

func TestDueTasksThatAreParkedStayBehindTheirKey(t *testing.T) {
	r := newRig(t, func(cfg *coreConfig) { cfg.Stored = broker.Limit{Tasks: 1, Bytes: 1 << 20} }).begin()
	r.deliver(newTask("keyed", "k", "1"))
	running := r.one()
	r.deliver(newTask("keyed", "k", "2"), later("due 1", r, time.Second), later("due 2", r, time.Second))
	r.commit()
	r.pass(time.Second)
	r.deliver(newTask("keyed", "k", "3"))
	r.commit()
	r.finish(running)
	if got := fmt.Sprint(r.goOn(10)); got != "[2 due 1 due 2 3]" {
		t.Errorf("order %s", got)
	}
	r.wantEmpty()
}

func TestHungryLanesAreFedInTurn(t *testing.T) {
	r := newRig(t, func(cfg *coreConfig) { cfg.Stored, cfg.Page = broker.Limit{Tasks: 1, Bytes: 1 << 20}, 1 }).begin()
	r.settings("keyed", func(q *task.Queue) {
		q.Retry = task.RetryPolicy{Base: time.Minute, Factor: 1, Max: time.Minute, MaxAttempts: 9}
	})
	for i := range 6 {
		r.deliver(newTask("keyed", fmt.Sprint(i), fmt.Sprint("first of ", i)), newTask("keyed", fmt.Sprint(i), fmt.Sprint("second of ", i)))
		for _, l := range r.take() {
			r.answer(l, 0, retry(time.Minute))
		}
		r.commit()
	}
	r.pass(time.Minute)
	if n := len(r.parked); n > maxFetches {
		t.Errorf("%d pages are on their way", n)
	}
	if got := r.goOn(1); len(got) != 12 {
		t.Errorf("%d tasks went on: %v", len(got), got)
	}
	r.wantEmpty()
}

func TestSweepSparesWhatCameBack(t *testing.T) {
	r := newRig(t, nil).begin()
	done := func(name string) *store.Dedup {
		r.deliver(newTask("keyed", "k", name))
		r.finish(r.one())
		return &store.Dedup{ID: task.DeriveID(name)}
	}
	old, again, running := done("old"), done("again"), done("running")
	r.c.watchMarks()
	done("again")
	r.deliver(newTask("keyed", "k", "running"))
	r.c.sweep([]*store.Dedup{old, again, running})
	r.step()
	r.commit()
	if r.mark("old") != nil || r.mark("again") == nil || r.mark("running") == nil {
		t.Errorf("marks: old %v, again %v, running %v", r.mark("old"), r.mark("again"), r.mark("running"))
	}
}

func TestSlowKeysDoNotKeepOtherParkedKeysOut(t *testing.T) {
	r := newRig(t, func(cfg *coreConfig) { cfg.Stored, cfg.Page = broker.Limit{Tasks: 4, Bytes: 1 << 20}, 4 }).begin()
	r.settings("keyed", func(q *task.Queue) { q.Timeout = time.Hour })
	for key, wait := range map[string]time.Duration{"slow": time.Minute, "other": 2 * time.Minute} {
		for i := range 4 {
			r.deliver(newTask("keyed", key, fmt.Sprint(key, i)))
			for _, l := range r.take() {
				r.answer(l, 0, retry(wait))
			}
			r.commit()
		}
	}
	r.pass(time.Minute)
	r.page(4)
	slow := r.one()
	if len(slow.Tasks) != 4 {
		t.Fatalf("the slow worker has %d tasks", len(slow.Tasks))
	}
	r.pass(time.Minute)
	r.pass(time.Second)
	if len(r.parked) == 0 {
		t.Fatal("the other key is not read while a worker has all tasks of the first one")
	}
	r.page(4)
	r.finish(r.one())
	r.finish(slow)
	r.goOn(4) // the ends of both lanes
	r.wantEmpty()
}
