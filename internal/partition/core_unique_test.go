package partition

import (
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// uniqueTask is a task that is the only one of a content, and its claim.
func uniqueTask(t *testing.T, name string, period time.Duration) (task.Task, *uniqueClaim) {
	t.Helper()
	x := newTask("keyed", "k", name)
	x.Unique = &task.Unique{By: "x", Period: period}
	ref, err := x.Seal()
	if err != nil {
		t.Fatal(err)
	}
	return x, &uniqueClaim{ref: ref, task: x.ID, created: x.CreatedAt}
}

// claiming hands claims in, and returns whether they were answered.
func (r *rig) claiming(claims ...*uniqueClaim) *bool {
	answered := new(bool)
	r.c.claimAll(claims, func() { *answered = true })
	r.step()
	return answered
}

// decide carries on until claims are answered.
func (r *rig) decide(answered *bool) {
	r.t.Helper()
	for n := 0; !*answered; n++ {
		if n > 100 {
			r.t.Fatal("the claims are not answered")
		}
		r.commit()
		r.readRows()
	}
}

func (r *rig) settleClaim(x *uniqueClaim, stored bool) {
	r.c.settleClaim(x, stored)
	r.step()
}

func TestAClaimIsDurableBeforeItsTaskGoesToTheBroker(t *testing.T) {
	r := newRig(t, nil)
	_, a := uniqueTask(t, "a", 0)
	answered := r.claiming(a)
	r.readRows()
	if *answered || r.batch == nil {
		t.Error("it was answered before it was durable")
	}
	r.commit()
	if !*answered || !a.won() {
		t.Errorf("answered %v, won %v", *answered, a.won())
	}
}

func TestOfClaimsAtTheSameTimeOneWins(t *testing.T) {
	r := newRig(t, nil)
	_, a := uniqueTask(t, "a", 0)
	_, b := uniqueTask(t, "b", 0)
	_, c := uniqueTask(t, "c", 0)
	first, second, third := r.claiming(a), r.claiming(b), r.claiming(c)
	r.decide(first)
	r.commit()
	r.readRows()
	if *second || *third {
		t.Error("one was answered while the submit of the first is under way")
	}
	r.settleClaim(a, false) // the broker refused it
	r.decide(second)
	r.settleClaim(b, true)
	r.decide(third)
	if !a.won() || !b.won() || c.won() || c.holder.task != b.task {
		t.Errorf("holders: %v, %v, %v", a.holder.task, b.holder.task, c.holder.task)
	}
	if len(r.c.claims) != 0 {
		t.Errorf("%d claims are left", len(r.c.claims))
	}
}

func TestTheEndOfATaskReleasesItsContent(t *testing.T) {
	for _, period := range []time.Duration{0, time.Minute} {
		t.Run(period.String(), func(t *testing.T) {
			r := newRig(t, nil)
			ta, a := uniqueTask(t, "a", period)
			r.decide(r.claiming(a))
			r.deliver(ta)
			r.finish(r.one()) // before its submit was answered
			r.settleClaim(a, true)
			_, b := uniqueTask(t, "b", period)
			r.decide(r.claiming(b))
			if b.won() != (period == 0) {
				t.Errorf("at once: won %v", b.won())
			}
			r.settleClaim(b, true)
			r.now = r.now.Add(2 * time.Minute)
			_, c := uniqueTask(t, "c", period)
			if r.decide(r.claiming(c)); c.won() != (period > 0) {
				t.Errorf("after the period: won %v", c.won())
			}
			r.settleClaim(c, true)
			r.commit()
			r.wantEmpty()
		})
	}
}

func TestEveryEndReleasesTheContent(t *testing.T) {
	for name, end := range map[string]func(r *rig){
		"rejected":  func(r *rig) { r.answer(r.one(), 0, reject()) },
		"cancelled": func(r *rig) { r.cancelOne("a"); r.answer(r.one(), 0, retry(0)) },
		"purged": func(r *rig) {
			l := r.one()
			r.answer(l, 0, retry(time.Hour))
			r.cancelOne("a")
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			ta, a := uniqueTask(t, "a", 0)
			r.decide(r.claiming(a))
			r.settleClaim(a, true)
			r.deliver(ta)
			end(r)
			r.commit()
			_, b := uniqueTask(t, "b", 0)
			if r.decide(r.claiming(b)); !b.won() {
				t.Error("the content is held after the end")
			}
		})
	}
}

// A claim whose task never came to the broker is taken over, by one of those who find
// that out.
func TestAStaleClaimIsTakenOverOnce(t *testing.T) {
	r := newRig(t, nil)
	_, a := uniqueTask(t, "a", 0)
	r.decide(r.claiming(a))
	r.fence.Epoch++
	r.claim(nil) // the node went down before the publish
	_, b := uniqueTask(t, "b", 0)
	_, c := uniqueTask(t, "c", 0)
	for _, x := range []*uniqueClaim{b, c} {
		r.decide(r.claiming(x))
		if x.won() || x.holder.task != a.task || !x.holder.open {
			t.Fatalf("it found %+v", x)
		}
		x.stale = a.task
	}
	first, second := r.claiming(b), r.claiming(c)
	r.decide(first)
	r.decide(second)
	if !b.won() || c.won() || !c.busy {
		t.Errorf("first %+v, second %+v", b, c)
	}
	r.settleClaim(b, true)
	c.busy = false
	if r.decide(r.claiming(c)); c.won() || c.holder.task != b.task {
		t.Errorf("the second found %+v", c)
	}
}

func TestASweptMarkOfAPeriodHoldsNothing(t *testing.T) {
	r := newRig(t, nil)
	_, a := uniqueTask(t, "a", time.Minute)
	over := &store.Dedup{ID: a.ref.ID, Result: make([]byte, 16), Expires: r.now}
	r.c.claims[a.ref.ID] = &claiming{}
	r.c.claim(r.now, a, over)
	if !a.won() || !a.fresh {
		t.Errorf("the claim is %+v", a)
	}
}

func TestASettleOfALostClaimLeavesThatOfAnother(t *testing.T) {
	for name, decided := range map[string]bool{"that is decided": true, "that is read": false} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			_, a := uniqueTask(t, "a", 0)
			r.claiming(a)
			for !a.won() {
				r.readRows()
			}
			r.batch = nil
			r.fence.Epoch++
			r.claim(nil) // the mark of a is lost with its owner
			_, b := uniqueTask(t, "b", 0)
			answered := r.claiming(b)
			if decided {
				r.decide(answered)
			}
			r.settleClaim(a, false) // late: its submit asked other partitions too
			if !decided {
				r.decide(answered)
			}
			if !b.won() {
				t.Fatal("b did not win")
			}
			r.settleClaim(b, true)
			r.commit()
			_, c := uniqueTask(t, "c", 0)
			if r.decide(r.claiming(c)); c.won() {
				t.Error("c was let in beside b")
			}
		})
	}
}

func TestAMarkThatIsSweptAndWrittenInOneBatchStays(t *testing.T) {
	r := newRig(t, nil)
	ta, a := uniqueTask(t, "a", time.Minute)
	r.decide(r.claiming(a))
	r.settleClaim(a, true)
	r.deliver(ta)
	r.finish(r.one())
	r.now = r.now.Add(2 * time.Minute)
	_, b := uniqueTask(t, "b", time.Minute)
	answered := r.claiming(b) // its read is under way
	r.commit()
	r.c.watchMarks()
	r.c.sweep([]*store.Dedup{{ID: a.ref.ID}})
	r.readRows()
	if r.decide(answered); !b.won() {
		t.Fatal("b did not win")
	}
	r.settleClaim(b, true)
	_, c := uniqueTask(t, "c", time.Minute)
	if r.decide(r.claiming(c)); c.won() {
		t.Error("c was let in beside b")
	}
}
