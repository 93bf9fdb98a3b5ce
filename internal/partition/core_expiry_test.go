package partition

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// shortLived is a task that expires a second after the rig began.
func shortLived(queue, key, name string) task.Task {
	x := newTask(queue, key, name)
	x.ExpiresAt = rigStart.Add(time.Second)
	return x
}

// expiryRows answers a read of parked tasks that expire from what is durable.
func (r *rig) expiryRows(limit int) {
	r.t.Helper()
	read := r.expiries[0]
	r.expiries = r.expiries[1:]
	var found []arrival
	for _, row := range r.rows {
		at, seq, id, err := store.ExpiresOf(row)
		if err == nil && (moment{at, seq}).compare(moment(read)) > 0 {
			found = append(found, arrival{item: expiryOf(id, moment{at, seq})})
		}
	}
	slices.SortFunc(found, func(a, b arrival) int { return a.item.moment().compare(b.item.moment()) })
	found = found[:min(len(found), limit)]
	r.c.expiriesLoaded(found, len(found) > 0)
	r.step()
}

// answerReads answers all reads of the store.
func (r *rig) answerReads() {
	r.t.Helper()
	for range 1000 {
		r.commit()
		switch {
		case len(r.wanted) > 0:
			r.readRows()
		case len(r.expiries) > 0:
			r.expiryRows(schedulePage)
		case len(r.schedule) > 0:
			r.rowsDue()
		case len(r.parked) > 0:
			r.page(r.c.cfg.Page)
		default:
			return
		}
	}
	r.t.Fatal("reads without end")
}

// live lets time pass in a world whose store answers.
func (r *rig) live(d time.Duration) {
	r.t.Helper()
	end := r.now.Add(d)
	for range 10_000 {
		r.answerReads()
		at := r.c.nextAlarm(r.now)
		if at.IsZero() || at.After(end) {
			r.now = end
			r.step()
			r.answerReads()
			return
		}
		r.now = r.now.Add(max(0, at.Sub(r.now)))
		r.step()
	}
	r.t.Fatal("alarms without end")
}

// liveAndWork lets time pass, and tasks be done as soon as they are leased. It returns
// them in order.
func (r *rig) liveAndWork(d time.Duration) (done []string) {
	r.t.Helper()
	for end := r.now.Add(d); ; {
		r.answerReads()
		for _, l := range r.take() {
			for i := range l.Tasks {
				done = append(done, string(l.Tasks[i].Payload))
			}
			r.finish(l)
		}
		if len(r.sent) > 0 {
			continue
		}
		at := r.c.nextAlarm(r.now)
		if at.IsZero() || at.After(end) {
			r.now = end
			return done
		}
		r.live(max(0, at.Sub(r.now)))
	}
}

// restart makes a new owner over what is durable. What the broker has it gives again.
func (r *rig) restart(change func(*coreConfig), unsettled ...task.Task) {
	r.t.Helper()
	r.fence.Epoch++
	r.wanted, r.expiries, r.schedule, r.parked, r.sent = nil, nil, nil, nil, nil
	clear(r.assigned)
	halts, paused := r.c.queues["keyed"].OnDead, r.c.queues["keyed"].Paused
	r.claim(change)
	r.settings("keyed", func(q *task.Queue) { q.OnDead, q.Paused = halts, paused })
	r.restore()
	r.answerReads()
	for _, t := range unsettled {
		a := r.revived(t.Append(nil), time.Time{}, 0)
		r.pos++
		a.item.pos = r.pos
		r.c.delivered(r.now, t.Queue, rankNormal, []arrival{a})
	}
	r.step()
	r.answerReads()
}

// wantExpired holds that tasks ended as expired, and were not handed out again.
func (r *rig) wantExpired(names ...string) {
	r.t.Helper()
	for _, name := range names {
		m := r.mark(name)
		if m == nil || m.State != task.StateExpired || !strings.Contains(m.Error, "expired at 2024-03-01T10:00:01Z before") || m.FinishedAt == 0 || m.Expires.IsZero() {
			r.t.Errorf("%s: %+v", name, m)
		}
	}
}

// wantNothingExpires holds that nothing is remembered of tasks that expire.
func (r *rig) wantNothingExpires() {
	r.t.Helper()
	if n, m := len(r.c.expiries), len(r.c.parkedExpiries.ahead); n+m != 0 || r.c.parkedExpiries.ending {
		r.t.Errorf("%d tasks in memory and %d in the store are to expire", n, m)
	}
	for _, row := range r.rows {
		if _, _, id, err := store.ExpiresOf(row); err == nil {
			r.t.Errorf("the index still has task %s", id)
		}
	}
}

// expiryPlace is somewhere that a task "x" waits in, beyond its second. Of a restart
// in between the broker gives again what is in broker.
type expiryPlace struct {
	put    func(r *rig)
	broker []task.Task
	rest   string // leased one after another when there are workers, in order
}

func expiryPlaces() map[string]expiryPlace {
	keyed := func(name string) task.Task { return newTask("keyed", "k", name) }
	loose := func(name string) task.Task { return newTask("loose", "", name) }
	x, freeX := shortLived("keyed", "k", "x"), shortLived("loose", "", "x")
	behind := func(after time.Duration) func(*rig) {
		return func(r *rig) {
			r.deliver(keyed("a"))
			l := r.one()
			r.deliver(x, keyed("b"))
			r.answer(l, 0, retry(after))
		}
	}
	failing := func(t task.Task, after time.Duration) func(*rig) {
		return func(r *rig) {
			r.deliver(t)
			l := r.one()
			if t.Key != "" {
				r.deliver(keyed("b"))
			}
			r.answer(l, 0, retry(after))
			r.commit()
		}
	}
	planned := freeX
	planned.RunAt = rigStart.Add(time.Second / 2)
	return map[string]expiryPlace{
		"for a worker":                     {func(r *rig) { r.busy(); r.deliver(x, keyed("b")) }, []task.Task{x, keyed("b")}, "b"},
		"for a worker, without order":      {func(r *rig) { r.busy(); r.deliver(loose("a"), freeX, loose("b")) }, []task.Task{loose("a"), freeX, loose("b")}, "a b"},
		"in the middle of its key":         {func(r *rig) { r.busy(); r.deliver(keyed("a"), x, keyed("b")) }, []task.Task{keyed("a"), x, keyed("b")}, "a b"},
		"at the end of its key":            {func(r *rig) { r.busy(); r.deliver(keyed("a"), x) }, []task.Task{keyed("a"), x}, "a"},
		"behind a short retry":             {behind(2 * time.Second), []task.Task{keyed("a"), x, keyed("b")}, "a b"},
		"behind a long retry":              {behind(time.Hour), nil, "a b"},
		"for a short retry":                {failing(x, 2*time.Second), []task.Task{x, keyed("b")}, "b"},
		"for a long retry":                 {failing(x, time.Hour), nil, "b"},
		"for a short retry, without order": {failing(freeX, 2*time.Second), []task.Task{freeX}, ""},
		"for a long retry, without order":  {failing(freeX, time.Hour), nil, ""},
		"in a paused queue": {func(r *rig) {
			r.settings("keyed", func(q *task.Queue) { q.Paused = true })
			r.deliver(x, keyed("b"))
		}, []task.Task{x, keyed("b")}, "b"},
		"behind a dead letter": {func(r *rig) {
			r.settings("keyed", func(q *task.Queue) { q.OnDead = task.OnDeadHalt })
			r.deliver(keyed("a"))
			l := r.one()
			r.deliver(x, keyed("b"))
			r.answer(l, 0, reject())
			r.commit()
			r.deliver(shortLived("keyed", "k", "y"))
		}, nil, "b"},
		"for its time, then for a worker": {func(r *rig) { r.busy(); r.deliver(planned); r.commit() }, nil, ""},
	}
}

// busy takes all slots away.
func (r *rig) busy() { r.slots = 0 }

func TestATaskExpiresInTimeWhereverItWaits(t *testing.T) {
	for name, place := range expiryPlaces() {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", restart ", restart), func(t *testing.T) {
				r := newRig(t, nil)
				r.answerReads()
				place.put(r)
				r.answerReads()
				if restart {
					r.restart(nil, place.broker...)
				}
				r.live(time.Second - 1)
				if s := r.state("x"); s.Final() {
					t.Fatalf("it is %v before its time", s)
				}
				told := ""
				r.c.awaitEnds(&endWait{func(e ended) { told += e.st.State.String() }}, []task.ID{task.DeriveID("x")}, func([]task.ID) {})
				got := r.liveAndWork(1)
				r.wantExpired("x")
				if told != "expired" {
					t.Errorf("who waits is told %q", told)
				}
				if r.state("y") == task.StateQueued {
					t.Error("what was parked behind a dead letter does not expire")
				}
				r.open()
				got = append(got, r.liveAndWork(2*time.Hour)...)
				if text := strings.Trim(fmt.Sprint(got), "[]"); text != place.rest {
					t.Errorf("then %q ran, want %q", text, place.rest)
				}
				r.wantNothingExpires()
				r.wantEmpty()
			})
		}
	}
}

// open lets everything go on that waits.
func (r *rig) open() {
	r.t.Helper()
	r.slots = 100
	for _, name := range []string{"keyed", "loose"} {
		r.settings(name, func(q *task.Queue) { q.Paused, q.OnDead = false, task.OnDeadSkip })
		r.c.capacity(name, task.Placement{}, 0)
	}
	r.step()
}

func TestARunningTaskDoesNotExpire(t *testing.T) {
	late := task.Outcome{Kind: task.OutcomeRetry, Error: "not yet", RetryAfter: 0}
	for name, test := range map[string]struct {
		answer func(r *rig, l *task.Lease)
		want   task.State
		text   string
	}{
		"done":            {func(r *rig, l *task.Lease) { r.answer(l, 0, task.Outcome{}) }, task.StateDone, ""},
		"failed":          {func(r *rig, l *task.Lease) { r.answer(l, 0, late) }, task.StateExpired, "before attempt 2 could start; the last one failed: not yet"},
		"rejected":        {func(r *rig, l *task.Lease) { r.answer(l, 0, reject()) }, task.StateDead, "never"},
		"given back":      {func(r *rig, l *task.Lease) { r.answer(l, 0, task.Outcome{Kind: task.OutcomeReturned}) }, task.StateExpired, "before it could start"},
		"its worker lost": {func(r *rig, _ *task.Lease) { r.c.workerGone(r.now, r.worker.Session, false) }, task.StateExpired, "before it could start"},
	} {
		for _, queue := range []string{"keyed", "loose"} {
			t.Run(queue+" "+name, func(t *testing.T) {
				r := newRig(t, nil)
				r.answerReads()
				r.deliver(shortLived(queue, "k", "x"))
				l := r.one()
				r.live(10 * time.Second)
				if r.c.nextExpiry() != (time.Time{}) {
					t.Error("a time that is over is looked at all the time")
				}
				test.answer(r, l)
				r.step()
				r.live(time.Second)
				if m := r.mark("x"); m == nil || m.State != test.want || !strings.Contains(m.Error, test.text) {
					t.Fatalf("%+v", m)
				}
				if len(r.take()) > 0 {
					t.Error("it is handed out again")
				}
				r.wantNothingExpires()
				r.wantEmpty()
			})
		}
	}
}

// TestTheLastAttemptOfALateTaskMakesItDead: it had its attempts.
func TestTheLastAttemptOfALateTaskMakesItDead(t *testing.T) {
	r := newRig(t, nil)
	x := shortLived("keyed", "k", "x")
	x.Retry = &task.RetryPolicy{MaxAttempts: 1}
	r.deliver(x)
	l := r.one()
	r.live(time.Minute)
	r.answer(l, 0, retry(0))
	r.commit()
	if r.state("x") != task.StateDead || len(r.table(store.TableDead)) != 1 {
		t.Errorf("it is %v", r.state("x"))
	}
	r.live(time.Hour)
	if len(r.table(store.TableDead)) != 1 {
		t.Error("a dead letter expires")
	}
	r.wantEmpty()
}

// TestWhatIsLateInTheLogEndsNoFasterThanItIsDurable reads a log of tasks that have
// expired: room for more is given back only with what was written of them.
func TestWhatIsLateInTheLogEndsNoFasterThanItIsDurable(t *testing.T) {
	r := newRig(t, nil)
	r.now = r.now.Add(time.Hour)
	r.settings("loose", func(q *task.Queue) { q.Paused = true })
	for i := range 50 {
		r.deliver(shortLived("loose", "", fmt.Sprint(i)))
	}
	if r.credited.Tasks != 0 || len(r.c.tasks) != 0 {
		t.Errorf("room for %d tasks is given back, %d are in memory", r.credited.Tasks, len(r.c.tasks))
	}
	r.commit()
	if r.credited.Tasks != 50 || len(r.settled) != 50 {
		t.Errorf("room for %d tasks is given back, %d are settled", r.credited.Tasks, len(r.settled))
	}
	r.wantExpired("0", "49")
	r.wantEmpty()
}

// TestAnyNumberOfParkedTasksExpiresInLittleMemory sets more of them aside than may be
// known at a time, in no order, half of them before a restart.
func TestAnyNumberOfParkedTasksExpiresInLittleMemory(t *testing.T) {
	const tasks, ahead = 300, 16
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprint("restart ", restart), func(t *testing.T) {
			small := func(cfg *coreConfig) { cfg.Ahead = ahead }
			r := newRig(t, small)
			r.settings("keyed", func(q *task.Queue) { q.OnDead = task.OnDeadHalt })
			r.answerReads()
			r.deliver(newTask("keyed", "k", "a"))
			r.answer(r.one(), 0, reject())
			r.commit()
			for i := range tasks {
				x := newTask("keyed", "k", fmt.Sprint(i))
				x.ExpiresAt = r.now.Add(time.Duration(1+i*7919%tasks) * time.Second)
				r.deliver(x)
				if i == tasks/2 && restart {
					r.commit()
					r.restart(small)
				}
			}
			r.commit()
			if len(r.c.tasks) != 0 {
				t.Fatalf("%d tasks are in memory", len(r.c.tasks))
			}
			most := 0
			for second := range tasks {
				r.live(time.Second)
				most = max(most, len(r.c.parkedExpiries.ahead))
				if n := tasks - len(r.table(store.TableParked)) + 1; n != second+1 {
					t.Fatalf("%d tasks expired after %d seconds", n, second+1)
				}
			}
			if most > ahead+schedulePage {
				t.Errorf("%d are known at a time", most)
			}
			r.wantNothingExpires()
		})
	}
}

// TestAKeyThatWaitsForAWorkerGoesOnWithoutWhoAskedForIt has no worker for what the
// first task of a key asks, which expires in the store; the next one asks for nothing.
func TestAKeyThatWaitsForAWorkerGoesOnWithoutWhoAskedForIt(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprint("restart ", restart), func(t *testing.T) {
			r := newRig(t, func(cfg *coreConfig) { cfg.Window.Tasks = 8 })
			r.answerReads()
			x := placed("keyed", "k", "x", gpu)
			x.ExpiresAt = r.now.Add(time.Minute)
			r.deliver(x, newTask("keyed", "k", "b"))
			for i := range 6 {
				r.deliver(placed("keyed", fmt.Sprint(i), fmt.Sprint(i), gpu))
			}
			r.live(10 * time.Second)
			if n := len(r.table(store.TableParked)); n != 8 {
				t.Fatalf("%d tasks are set aside", n)
			}
			if restart {
				r.restart(func(cfg *coreConfig) { cfg.Window.Tasks = 8 })
			}
			r.live(time.Minute)
			if got := names(r.take()); r.state("x") != task.StateExpired || got != "[[b]]" {
				t.Errorf("it is %v, leased %s", r.state("x"), got)
			}
		})
	}
}

// TestTasksThatExpireLeaveNothingBehindWhenTheyRun has them come and go by all ways.
func TestTasksThatExpireLeaveNothingBehindWhenTheyRun(t *testing.T) {
	r := newRig(t, func(cfg *coreConfig) { cfg.Page = 4 })
	r.answerReads()
	r.deliver(newTask("keyed", "k", "a"))
	l := r.one()
	for i := range 10 {
		r.deliver(shortLived("keyed", "k", fmt.Sprint(i)), shortLived("loose", "", fmt.Sprint("free", i)))
	}
	for _, free := range r.take() {
		r.finish(free)
	}
	r.answer(l, 0, retry(time.Hour)) // the key is parked
	r.commit()
	if r.c.queues["keyed"].stats.Parked != 11 {
		t.Fatalf("%d are parked", r.c.queues["keyed"].stats.Parked)
	}
	if got := r.cancelOne("a"); got != "cancelled" {
		t.Fatal(got)
	}
	r.answerReads()
	if got := r.cancelOne("9"); got != "cancelled" {
		t.Fatal(got)
	}
	for done := 0; done < 9; {
		r.answerReads()
		for _, l := range r.take() {
			done += len(l.Tasks)
			r.finish(l)
		}
	}
	r.wantNothingExpires()
	r.wantEmpty()
}
