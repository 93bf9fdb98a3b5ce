package partition

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

func TestBackoffStaysWithinItsBounds(t *testing.T) {
	r := newRig(t, nil)
	r.settings("keyed", func(q *task.Queue) {
		q.Retry = task.RetryPolicy{Base: time.Second, Factor: 2, Max: 5 * time.Second, MaxAttempts: 50}
	})
	r.deliver(newTask("keyed", "k", "1"))
	different := map[time.Duration]bool{}
	for n := 1; n <= 40; n++ {
		r.answer(r.one(), 0, retry(-1))
		r.commit()
		delay := r.table(store.TableAttempt)[0].(*store.Attempt).NextAt.Sub(r.now)
		if ceiling := min(time.Second<<min(n-1, 10), 5*time.Second); delay < 0 || delay > ceiling {
			t.Errorf("failure %d is followed by %v, want at most %v", n, delay, ceiling)
		}
		different[delay] = true
		r.pass(5 * time.Second)
		for len(r.parked) > 0 {
			r.page(10)
		}
	}
	if len(different) < 30 {
		t.Errorf("%d different delays: no jitter", len(different))
	}
}

func TestATaskMayHaveItsOwnPolicy(t *testing.T) {
	r := newRig(t, nil)
	x := newTask("keyed", "k", "1")
	x.Retry = &task.RetryPolicy{Base: time.Millisecond, Factor: 1, Max: time.Millisecond, MaxAttempts: 2}
	r.deliver(x)
	r.answer(r.one(), 0, retry(-1))
	r.commit()
	r.pass(time.Millisecond)
	r.answer(r.one(), 0, retry(-1))
	r.commit()
	if m := r.mark("1"); m == nil || m.State != task.StateDead || m.Attempts != 2 || m.Deliveries != 2 || m.Error != "not yet" {
		t.Errorf("mark %+v", m)
	}
	r.wantEmpty()
}

func TestDeadLetterKeepsItsHistory(t *testing.T) {
	r := newRig(t, nil)
	r.settings("keyed", func(q *task.Queue) { q.Retry.MaxAttempts = 3 })
	r.deliver(newTask("keyed", "k", "1"))
	for range 3 {
		r.answer(r.one(), 0, task.Outcome{Kind: task.OutcomeRetry, Error: strings.Repeat("e", 5000)})
		r.commit()
		r.pass(0)
	}
	dead := r.table(store.TableDead)[0].(*store.Dead)
	if dead.Queue != "keyed" || dead.Attempts != 3 || dead.Deliveries != 3 || len(dead.Tries) != 3 || len(dead.Reason) != task.MaxErrorText || dead.DiedAt != task.Timestamp(dead.Seq) {
		t.Errorf("dead letter %+v", dead)
	}
	if m := r.mark("1"); m.Ref != dead.Seq || m.State != task.StateDead || m.Expires.Before(r.now.Add(time.Hour)) {
		t.Errorf("mark %+v", m)
	}
	if body, err := task.Decode(dead.Body); err != nil || string(body.Payload) != "1" {
		t.Errorf("body %+v, %v", body, err)
	}
	r.wantEmpty()
}

func TestHistoryIsBounded(t *testing.T) {
	r := newRig(t, nil)
	r.settings("keyed", func(q *task.Queue) { q.Retry.MaxAttempts = 100 })
	r.deliver(newTask("keyed", "k", "1"))
	for range 30 {
		r.answer(r.one(), 0, retry(0))
		r.commit()
	}
	row := r.table(store.TableAttempt)[0].(*store.Attempt)
	if row.Attempts != 30 || len(row.Tries) != keptTries || row.Tries[0].At >= row.Tries[1].At {
		t.Errorf("%d attempts, %d tries", row.Attempts, len(row.Tries))
	}
}

func TestALostWorkerIsNotAFailure(t *testing.T) {
	r := newRig(t, nil)
	r.deliver(newTask("keyed", "k", "1"))
	l := r.one()
	r.c.workerGone(r.now, 1, false)
	r.step()
	r.commit()
	again := r.one()
	if again.Tasks[0].Attempt != 1 || again.Tasks[0].Delivery != 2 || again.Token == l.Token {
		t.Errorf("lease %+v", again.Tasks[0])
	}
	if row := r.table(store.TableAttempt)[0].(*store.Attempt); row.Deliveries != 1 || row.Attempts != 0 {
		t.Errorf("attempt %+v", row)
	}
	r.answer(l, 0, task.Outcome{})
	if r.verdicts[0].Kind != task.VerdictStale {
		t.Errorf("the lost worker's answer: %+v", r.verdicts)
	}
	r.finish(again)
	if m := r.mark("1"); m.Attempts != 0 || m.Deliveries != 2 {
		t.Errorf("mark %+v", m)
	}
	r.wantEmpty()
}

func TestAPoisonTaskIsSetApartAndBuried(t *testing.T) {
	r := newRig(t, nil)
	r.settings("keyed", func(q *task.Queue) { q.MaxDeliveries = 5 })
	r.slots = 0
	r.deliver(newTask("keyed", "k", "poison"), newTask("keyed", "k", "good"), newTask("keyed", "k", "better"))
	r.slots = 1
	r.c.capacity("keyed", task.Placement{}, 0)
	r.step()
	var seen []string
	for n := 1; n <= 5; n++ {
		seen = append(seen, names([]*task.Lease{r.one()}))
		r.c.workerGone(r.now, 1, false)
		r.step()
		r.commit()
	}
	if got := fmt.Sprint(seen); got != "[[[poison good better]] [[poison good better]] [[poison good better]] [[poison]] [[poison]]]" {
		t.Errorf("leases %s", got)
	}
	m := r.mark("poison")
	if m == nil || m.State != task.StateDead || m.Attempts != 0 || m.Deliveries != 5 || !strings.Contains(m.Error, "lost 5 times") {
		t.Fatalf("mark %+v", m)
	}
	for _, want := range []string{"[[good]]", "[[better]]"} { // they were with it and stay alone
		l := r.one()
		if got := names([]*task.Lease{l}); got != want {
			t.Errorf("lease %s, want %s", got, want)
		}
		r.finish(l)
	}
	r.wantEmpty()
}

func TestALeaseEndsAtItsDeadline(t *testing.T) {
	r := newRig(t, nil)
	r.settings("keyed", func(q *task.Queue) { q.Timeout = 5 * time.Second })
	slow := newTask("keyed", "slow", "slow")
	slow.Timeout = 20 * time.Second
	r.slots = 0
	r.deliver(newTask("keyed", "k", "1"), newTask("keyed", "k", "2"), slow)
	r.slots = 2
	r.c.capacity("keyed", task.Placement{}, 0)
	r.step()
	var l *task.Lease
	for _, x := range r.take() {
		if x.Tasks[0].Key == "k" {
			l = x
		}
	}
	r.pass(4 * time.Second)
	r.answer(l, 0, task.Outcome{}) // the second one has its own time
	r.pass(5 * time.Second)
	if r.state("2") != task.StateUnknown || len(r.table(store.TableAttempt)) != 0 {
		t.Fatal("the lease ended early")
	}
	r.pass(2 * time.Second)
	row := r.table(store.TableAttempt)[0].(*store.Attempt)
	if row.ID != task.DeriveID("2") || row.Attempts != 1 || !strings.Contains(row.Tries[0].Error, "longer than 5s") {
		t.Errorf("attempt %+v", row)
	}
	r.verdicts = nil
	r.answer(l, 1, task.Outcome{})
	if len(r.verdicts) != 1 || r.verdicts[0].Kind != task.VerdictStale {
		t.Errorf("the late answer: %+v", r.verdicts)
	}
	if len(r.c.leases) > 2 {
		t.Error("the slow task has 20 s")
	}
}

func TestTheDeadlineFailsEveryOpenTaskWithoutOrder(t *testing.T) {
	r := newRig(t, nil)
	r.slots = 0
	r.deliver(newTask("loose", "", "1"), newTask("loose", "", "2"), newTask("loose", "", "3"))
	r.slots = 3
	r.c.capacity("loose", task.Placement{}, 0)
	r.step()
	r.answer(r.one(), 1, task.Outcome{})
	r.settings("loose", func(q *task.Queue) { q.Retry.MaxAttempts = 1 })
	r.pass(32 * time.Second)
	if r.state("1") != task.StateDead || r.state("2") != task.StateDone || r.state("3") != task.StateDead {
		t.Errorf("states %v %v %v", r.state("1"), r.state("2"), r.state("3"))
	}
	r.wantEmpty()
}

func TestRejectedTasksAreDeadAtOnce(t *testing.T) {
	r := newRig(t, nil)
	r.deliver(newTask("keyed", "k", "1"))
	r.deliver(newTask("keyed", "k", "2"))
	r.answer(r.one(), 0, reject())
	r.commit()
	if m := r.mark("1"); m.State != task.StateDead || m.Attempts != 1 || m.Error != "never" {
		t.Errorf("mark %+v", m)
	}
	r.finish(r.one()) // on_dead is skip
	r.wantEmpty()
}

func TestAHaltedKeyWaitsUntilTheSettingIsSkip(t *testing.T) {
	r := newRig(t, nil)
	r.settings("keyed", func(q *task.Queue) { q.OnDead = task.OnDeadHalt })
	r.slots = 0
	r.deliver(newTask("keyed", "k", "1"), newTask("keyed", "k", "2"))
	r.slots = 2
	r.c.capacity("keyed", task.Placement{}, 0)
	r.step()
	r.answer(r.one(), 0, reject())
	r.commit()
	r.deliver(newTask("keyed", "k", "3"), newTask("keyed", "j", "other"))
	r.commit()
	if other := r.one(); other.Tasks[0].Key != "j" {
		t.Fatalf("the halted key goes on: %s", names([]*task.Lease{other}))
	} else {
		r.finish(other)
	}
	if s := r.c.stats("keyed"); s.HaltedLanes != 1 || s.Dead != 1 || s.Parked != 2 {
		t.Errorf("stats %+v", s)
	}
	if held := r.c.queues["keyed"].bands[rankNormal].held.Tasks; held != 0 {
		t.Errorf("a halted key holds %d tasks in the window", held)
	}
	r.settings("keyed", func(q *task.Queue) { q.OnDead = task.OnDeadSkip })
	r.commit()
	for len(r.parked) > 0 {
		r.page(10)
	}
	l := r.one()
	if got := names([]*task.Lease{l}); got != "[[2 3]]" {
		t.Errorf("after skip: %s", got)
	}
	r.finish(l)
	for len(r.parked) > 0 {
		r.page(10)
	}
	r.wantEmpty()
}

func TestHaltMeansKeysOnly(t *testing.T) {
	r := newRig(t, nil)
	r.settings("loose", func(q *task.Queue) { q.OnDead = task.OnDeadHalt })
	r.deliver(newTask("loose", "k", "1"))
	r.answer(r.one(), 0, reject())
	r.commit()
	r.c.restoreParked(r.now, &store.Parked{Queue: "loose", Key: "k", Body: (&halted{seq: 1}).body()}) // as after a restart
	r.step()
	r.commit()
	r.page(10)
	r.deliver(newTask("loose", "k", "2"))
	r.finish(r.one())
	r.wantEmpty()
}

func TestExpiredTasksEndWithoutStarting(t *testing.T) {
	r := newRig(t, nil)
	late := func(key, name string) task.Task {
		x := newTask("keyed", key, name)
		x.ExpiresAt = r.now.Add(time.Second)
		return x
	}
	r.slots = 0
	r.deliver(late("k", "head"), newTask("keyed", "k", "1"), late("k", "middle"), newTask("keyed", "k", "2"), late("j", "alone"))
	r.now = r.now.Add(time.Second)
	r.slots = 5
	r.c.capacity("keyed", task.Placement{}, 0)
	r.step()
	r.commit()
	l := r.one()
	if got := names([]*task.Lease{l}); got != "[[1 2]]" {
		t.Fatalf("lease %s: an expired task must not start behind another", got)
	}
	r.finish(l)
	for _, name := range []string{"head", "middle", "alone"} {
		if m := r.mark(name); m == nil || m.State != task.StateExpired || !strings.Contains(m.Error, "expired at") {
			t.Errorf("%s: %+v", name, m)
		}
	}
	r.wantEmpty()
}

func TestRefusedOutcomesBuryTheTask(t *testing.T) {
	for name, o := range map[string]task.Outcome{
		"no queue":           {Emits: []task.Task{{Queue: "nowhere"}}},
		"bad emit":           {Emits: []task.Task{{Queue: ""}}},
		"emit in two years":  {Emits: []task.Task{{Queue: "loose", RunAt: rigStart.Add(2 * task.MaxDelay)}}},
		"bad record":         {Writes: []task.Write{{Name: ""}}},
		"a record elsewhere": {Writes: []task.Write{{Key: string(make([]byte, 600)), Name: "a"}}},
	} {
		for _, queue := range []string{"keyed", "loose"} {
			t.Run(queue+" "+name, func(t *testing.T) {
				r := newRig(t, nil)
				r.deliver(newTask(queue, "k", "1"))
				r.deliver(newTask(queue, "k", "2"))
				leases := r.take()
				r.answer(leases[0], 0, o)
				r.commit()
				v := r.verdicts[0]
				if v.Kind != task.VerdictRefused || v.Error == "" || v.First != 0 || v.Count != 1 {
					t.Errorf("verdict %+v", v)
				}
				if m := r.mark("1"); m.State != task.StateDead || !strings.Contains(m.Error, "refused") {
					t.Errorf("mark %+v", m)
				}
				for _, l := range append(leases[1:], r.take()...) {
					r.finish(l)
				}
				if r.state("2") != task.StateDone || len(r.table(store.TableOutbox)) != 0 {
					t.Error("the next task goes on")
				}
				r.wantEmpty()
			})
		}
	}
}

// A task that has failed may stand behind another one of its key where the queue had
// no order before, or where tasks were moved.
func TestATaskThatComesToTheHeadOfItsKeyWaitsForItsNextAttempt(t *testing.T) {
	for name, goes := range map[string]func(*rig){
		"the one before is cancelled": func(r *rig) {
			if got := r.cancelOne("a"); got != "cancelled" {
				r.t.Fatal(got)
			}
		},
		"the one before expires": func(r *rig) { r.pass(100 * time.Millisecond) },
		"the one before is done": func(r *rig) {
			r.slots = 9
			r.c.capacity("keyed", task.Placement{}, 0)
			r.step()
			sent := r.take()
			if got := names(sent); got != "[[a]]" {
				r.t.Fatalf("leases %s: the next one waits for its attempt", got)
			}
			r.finish(sent[0])
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			r.slots = 0
			first := newTask("keyed", "k", "a")
			first.ExpiresAt = r.now.Add(100 * time.Millisecond)
			r.deliver(first)
			failed := arrivalOf(newTask("keyed", "k", "b"))
			r.pos++
			failed.item.pos = r.pos
			at := r.now.Add(time.Second)
			failed.item.attach(&store.Attempt{ID: failed.item.ID, Attempts: 1, Deliveries: 1, NextAt: at})
			r.c.delivered(r.now, "keyed", rankNormal, []arrival{failed})
			r.step()
			goes(r)
			r.slots = 9
			r.c.capacity("keyed", task.Placement{}, 0)
			r.step()
			if sent := r.take(); len(sent) != 0 {
				t.Fatalf("leases %s before the time of the next attempt", names(sent))
			}
			r.pass(at.Sub(r.now))
			r.finish(r.one())
			r.wantEmpty()
		})
	}
}
