package partition

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// letters reads the durable dead letters of a queue, in their order.
func (r *rig) letters(queue string) (letters []*letter) {
	r.t.Helper()
	for _, row := range r.table(store.TableDead) {
		if d := row.(*store.Dead); d.Queue == queue {
			t, err := task.Decode(d.Body)
			if err != nil {
				r.t.Fatal(err)
			}
			mark, _ := r.rows[fmt.Sprint(store.TableDedup, " ", t.ID)].(*store.Dedup)
			letters = append(letters, &letter{row: d, task: t, body: d.Body, mark: mark})
		}
	}
	slices.SortFunc(letters, func(a, b *letter) int { return cmp.Compare(a.row.Seq, b.row.Seq) })
	return letters
}

// letter returns the dead letter of a task.
func (r *rig) letter(queue, name string) *letter {
	r.t.Helper()
	for _, d := range r.letters(queue) {
		if d.task.ID == task.DeriveID(name) {
			return d
		}
	}
	r.t.Fatalf("%s is no dead letter", name)
	return nil
}

func (r *rig) requeue(letters ...*letter) {
	r.t.Helper()
	r.c.watchMarks()
	for _, d := range letters {
		if err := r.c.requeue(r.now, r.c.revived(r.now, d)); err != nil {
			r.t.Fatal(err)
		}
	}
	r.step()
	r.commit()
}

// run works until nothing is left to do: tasks whose names are in bad are rejected.
// It returns the names in the order in which they ran.
func (r *rig) run(bad ...string) (ran []string) {
	r.t.Helper()
	for range 1000 {
		r.commit()
		for len(r.parked) > 0 {
			r.page(3)
		}
		leases := r.take()
		if len(leases) == 0 && r.batch == nil && len(r.parked) == 0 {
			return ran
		}
		for _, l := range leases {
			var outs []task.Outcome
			for i := range l.Tasks {
				name := string(l.Tasks[i].Payload)
				ran = append(ran, name)
				if outs = append(outs, task.Outcome{}); slices.Contains(bad, name) {
					outs[i] = reject()
					break
				}
			}
			r.answer(l, 0, outs...)
		}
	}
	r.t.Fatal("it goes on without end")
	return nil
}

func newHalting(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, nil)
	r.settings("keyed", func(q *task.Queue) { q.OnDead = task.OnDeadHalt })
	return r
}

func wantRan(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("ran %v, want %v", got, want)
	}
}

func TestARequeuedTaskRunsAgainWithItsHistoryAndCountsAnew(t *testing.T) {
	for _, queue := range []string{"keyed", "loose"} {
		t.Run(queue, func(t *testing.T) {
			r := newRig(t, nil)
			r.deliver(newTask(queue, "k", "1"))
			wantRan(t, r.run("1"), "1")
			d := r.letter(queue, "1")
			r.requeue(d)
			if r.state("1") != task.StateQueued || len(r.table(store.TableDead)) != 0 {
				t.Fatalf("its mark says %v, %d dead letters", r.state("1"), len(r.table(store.TableDead)))
			}
			r.page(10)
			l := r.one()
			if l.Tasks[0].Attempt != 1 || l.Tasks[0].Delivery != 1 || l.Tasks[0].CreatedAt != d.task.CreatedAt {
				t.Errorf("it is leased as %+v", l.Tasks[0])
			}
			r.answer(l, 0, reject())
			r.commit()
			again := r.letter(queue, "1").row
			if again.Requeues != 1 || again.Attempts != 1 || again.Deliveries != 1 || len(again.Tries) != 2 {
				t.Errorf("dead again: %+v", again)
			}
			r.requeue(r.letter(queue, "1"))
			wantRan(t, r.run(), "1")
			if s := r.c.stats(queue); s.Dead != 0 || s.Parked != 0 || s.DeadTotal != 2 || s.DoneTotal != 1 {
				t.Errorf("stats %+v", s)
			}
			if r.state("1") != task.StateDone {
				t.Errorf("it ended as %v", r.state("1"))
			}
			r.wantEmpty()
		})
	}
}

func TestAHaltedKeyBeginsWithItsDeadLettersInTheirOrder(t *testing.T) {
	r := newHalting(t)
	for _, name := range []string{"1", "2", "3", "4", "5"} {
		r.deliver(newTask("keyed", "k", name))
	}
	wantRan(t, r.run("1"), "1")
	resumed := errors.New("not answered")
	r.c.resumeKey("keyed", "k", func(err error) { resumed = err })
	r.step()
	r.commit()
	if resumed != nil {
		t.Fatal(resumed)
	}
	wantRan(t, r.run("2"), "2") // the key is halted by it, and 1 is a dead letter beside
	r.deliver(newTask("keyed", "k", "6"))
	wantRan(t, r.run())
	if s := r.c.stats("keyed"); s.HaltedLanes != 1 || s.Parked != 4 {
		t.Errorf("stats %+v", s)
	}
	r.requeue(r.letter("keyed", "1"))
	wantRan(t, r.run()) // the decision about 2 is open
	r.requeue(r.letter("keyed", "2"))
	wantRan(t, r.run(), "1", "2", "3", "4", "5", "6")
	r.wantEmpty()
}

func TestADeadLetterThatDiesAgainKeepsItsPlaceInItsKey(t *testing.T) {
	r := newHalting(t)
	for _, name := range []string{"1", "2", "3"} {
		r.deliver(newTask("keyed", "k", name))
	}
	r.run("1")
	r.c.resumeKey("keyed", "k", func(error) {})
	r.step()
	r.run("2")
	first := r.letter("keyed", "1").row.Seq
	r.requeue(r.letters("keyed")...)
	wantRan(t, r.run("1"), "1")
	if again := r.letter("keyed", "1").row; again.Seq != first || again.DiedAt.Time().Before(task.Timestamp(first).Time()) {
		t.Errorf("dead again as number %d at %v, it was %d", again.Seq, again.DiedAt.Time(), first)
	}
	r.requeue(r.letter("keyed", "1"))
	wantRan(t, r.run(), "1", "2", "3")
	r.wantEmpty()
}

func TestWhereAKeyGoesOnARequeuedTaskComesLast(t *testing.T) {
	r := newRig(t, nil)
	r.slots = 0
	for _, name := range []string{"1", "2", "3"} {
		r.deliver(newTask("keyed", "k", name))
	}
	r.slots = 1
	r.c.capacity("keyed", task.Placement{}, 0)
	r.settings("keyed", func(q *task.Queue) { q.Batch = 1 })
	l := r.one()
	r.answer(l, 0, reject())
	r.commit()
	second := r.one() // 2 runs, 3 waits
	r.requeue(r.letter("keyed", "1"))
	r.deliver(newTask("keyed", "k", "4"))
	r.finish(second)
	wantRan(t, r.run(), "3", "1", "4")
	r.wantEmpty()
}

func TestOnlyOneThatMayComeBackIsRequeued(t *testing.T) {
	r := newRig(t, nil)
	r.deliver(newTask("keyed", "k", "1"))
	r.run("1")
	d := r.letter("keyed", "1")
	r.requeue(d)
	wantCode(t, r.c.requeue(r.now, d), task.CodeConflict, "by now") // it is in memory, or was read before
	r.run()
	r.c.watchMarks()
	other := *d
	other.mark = &store.Dedup{ID: d.task.ID, State: task.StateDone, CreatedAt: d.task.CreatedAt + 1}
	wantCode(t, r.c.requeue(r.now, &other), task.CodeConflict, "by now")
	gone := *d
	gone.row = &store.Dead{Queue: "gone", Seq: 1, Deliveries: 1}
	wantCode(t, r.c.requeue(r.now, &gone), task.CodeNotFound, "no queue")
}

func TestATimeThatIsOverDoesNotEndARequeuedTask(t *testing.T) {
	r := newRig(t, nil)
	x := newTask("keyed", "k", "1")
	x.ExpiresAt = r.now.Add(time.Minute)
	r.deliver(x)
	r.run("1")
	r.pass(time.Hour)
	r.requeue(r.letter("keyed", "1"))
	wantRan(t, r.run(), "1")
	r.wantEmpty()
}

func TestAFollowUpThatTheBrokerRefusedIsPublishedAgain(t *testing.T) {
	r := newRig(t, nil)
	x := newTask("keyed", "elsewhere", "1")
	r.c.emitRefused(r.now, &store.Outbox{Seq: 1, Body: x.Append(nil)}, x, broken("away"))
	r.step()
	r.commit()
	r.requeue(r.letter("keyed", "1"))
	if len(r.outbox) != 1 || len(r.table(store.TableOutbox)) != 1 || len(r.table(store.TableDead)) != 0 {
		t.Errorf("%d published, %d rows, %d dead letters", len(r.outbox), len(r.table(store.TableOutbox)), len(r.table(store.TableDead)))
	}
}

type broken string

func (b broken) Error() string { return string(b) }

func TestDeletingADeadLetterLetsItsKeyGoOnAndRetentionDoesNot(t *testing.T) {
	r := newHalting(t)
	r.deliver(newTask("keyed", "k", "1"), newTask("keyed", "k", "2"))
	r.run("1")
	if err := r.c.discard(r.letter("keyed", "1"), true); !errors.Is(err, errHaltsKey) {
		t.Errorf("retention: %v", err)
	}
	wantRan(t, r.run())
	r.c.watchMarks()
	if err := r.c.discard(r.letter("keyed", "1"), false); err != nil {
		t.Fatal(err)
	}
	r.step()
	wantRan(t, r.run(), "2")
	if m := r.mark("1"); m.State != task.StateDead || lasts(m) {
		t.Errorf("mark %+v", m)
	}
	if len(r.table(store.TableDead)) != 0 || r.c.stats("keyed").Dead != 0 {
		t.Error("it is still there")
	}
	r.wantEmpty()
}

func TestAHaltSurvivesARestartAndAResumedKeyDoesToo(t *testing.T) {
	for _, resumed := range []bool{false, true} {
		t.Run(fmt.Sprint("resumed ", resumed), func(t *testing.T) {
			r := newHalting(t)
			r.deliver(newTask("keyed", "k", "1"), newTask("keyed", "k", "2"))
			r.run("1")
			if resumed {
				r.c.resumeKey("keyed", "k", func(error) {})
				r.step()
				r.commit() // 2 is asked for, and the node ends
			}
			r.parked, r.sent = nil, nil
			r.fence.Epoch++
			r.claim(nil)
			r.settings("keyed", func(q *task.Queue) { q.OnDead = task.OnDeadHalt })
			r.restore()
			if resumed {
				wantRan(t, r.run(), "2")
				return
			}
			wantRan(t, r.run())
			r.requeue(r.letter("keyed", "1"))
			wantRan(t, r.run(), "1", "2")
			r.wantEmpty()
		})
	}
}

func TestASettingThatChangedWhileNobodyLookedEndsHalts(t *testing.T) {
	r := newHalting(t)
	r.deliver(newTask("keyed", "k", "1"), newTask("keyed", "k", "2"))
	r.run("1")
	r.parked, r.sent = nil, nil
	r.fence.Epoch++
	r.claim(nil) // with on_dead: skip
	r.restore()
	wantRan(t, r.run(), "2")
	r.wantEmpty()
}

func TestOnlyAKeyThatWaitsIsResumed(t *testing.T) {
	r := newHalting(t)
	for _, at := range [][2]string{{"keyed", "k"}, {"gone", "k"}} {
		var got error
		r.c.resumeKey(at[0], at[1], func(err error) { got = err })
		wantCode(t, got, task.CodeFailedPrecondition, "does not wait")
	}
}

// Somebody reads a dead letter in the store, and decides about it, before the core
// hears that it is durable.
func TestADecisionBeforeTheCoreHearsOfAHaltEndsIt(t *testing.T) {
	for name, tc := range map[string]struct {
		decide func(*rig, *letter)
		want   []string
	}{
		"requeue": {func(r *rig, d *letter) { r.requeue(d) }, []string{"a", "b"}},
		"delete": {func(r *rig, d *letter) {
			if err := r.c.discard(d, false); err != nil {
				r.t.Fatal(err)
			}
			r.step()
		}, []string{"b"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newHalting(t)
			r.deliver(newTask("keyed", "k", "a"), newTask("keyed", "k", "b"))
			r.step()
			r.answer(r.one(), 0, reject())
			r.persist()
			r.c.watchMarks()
			tc.decide(r, r.letter("keyed", "a"))
			if len(r.take()) != 0 {
				t.Error("the key goes on before the decision is durable")
			}
			r.c.committed(r.now)
			r.step()
			wantRan(t, r.run(), tc.want...)
			if n := r.c.stats("keyed").HaltedLanes; n != 0 || len(r.letters("keyed")) != 0 {
				t.Errorf("%d keys wait for a decision, of %d dead letters", n, len(r.letters("keyed")))
			}
			r.wantEmpty()
		})
	}
}
