package partition

import (
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// uniqueClaim is a submit of a task that is to be the only one of its content, from
// its arrival at the core until it is known whether the broker has the task.
//
// What is held is a mark under the ID of the content, whose result is the ID of the
// task that holds it. It is durable before the task goes to the broker, and goes in
// the commit that ends the task.
type uniqueClaim struct {
	ref     task.UniqueRef
	task    task.ID
	created task.Timestamp
	stale   task.ID // a holder that is nowhere: its claim may be taken over; zero: none
	index   int     // among the tasks of the submit

	holder task.ID        // who holds it; the task itself where the claim succeeded
	since  task.Timestamp // when that one was accepted
	held   bool           // until that one ends; else for a period
	fresh  bool           // the mark was written for this claim
	busy   bool           // somebody else takes a stale claim over just now
}

// won reports whether the task may go to the broker.
func (x *uniqueClaim) won() bool { return x.holder == x.task }

// claiming is the claim of a content that goes on.
type claiming struct {
	owner   task.ID // whose submit is under way; zero: not decided yet
	waiting []func()
}

// claimAll decides claims one after another, and answers when all of that is durable.
// They are sorted by content, so that submits that wait for each other's claims never
// do so in a circle.
func (c *core) claimAll(claims []*uniqueClaim, answer func()) {
	if len(claims) == 0 {
		c.afterDurable(answer)
		return
	}
	x := claims[0]
	busy := c.claims[x.ref.ID]
	if x.busy = busy != nil && !x.stale.IsZero(); x.busy {
		c.claimAll(claims[1:], answer) // It comes out of order: to wait could be for ever.
		return
	}
	if busy != nil {
		busy.waiting = append(busy.waiting, func() { c.claimAll(claims, answer) })
		return
	}
	c.claims[x.ref.ID] = &claiming{}
	c.afterDurable(func() {
		c.env.LoadRows([]store.Row{&store.Dedup{ID: x.ref.ID}}, func(now time.Time, rows []store.Row) {
			mark, _ := rows[0].(*store.Dedup)
			c.claim(now, x, mark)
			c.claimAll(claims[1:], answer)
		})
	})
}

// claim decides one claim over the mark of the content.
func (c *core) claim(now time.Time, x *uniqueClaim, mark *store.Dedup) {
	if mark != nil && (mark.Expires.IsZero() || now.Before(mark.Expires)) {
		copy(x.holder[:], mark.Result)
		x.since, x.held = mark.CreatedAt, mark.Expires.IsZero()
		if x.holder == x.task { // submitted again under its ID
			c.claims[x.ref.ID].owner = x.task
			return
		}
		if x.holder != x.stale {
			c.endClaim(x)
			return
		}
	}
	x.holder, x.fresh = x.task, true
	c.claims[x.ref.ID].owner = x.task
	c.putMark(&store.Dedup{ID: x.ref.ID, State: task.StateQueued, CreatedAt: x.created, Result: x.task[:]})
}

// endClaim lets the next submit of the same content decide.
func (c *core) endClaim(x *uniqueClaim) {
	busy := c.claims[x.ref.ID]
	if busy == nil {
		return
	}
	delete(c.claims, x.ref.ID)
	for _, next := range busy.waiting {
		next()
	}
}

// settleClaim takes what became of the submit: without the task in the broker nobody
// holds the content.
func (c *core) settleClaim(x *uniqueClaim, stored bool) {
	if x.fresh && !stored && c.tasks[x.task] == nil {
		c.led.Delete(&store.Dedup{ID: x.ref.ID})
	}
	c.endClaim(x)
}

// releaseUnique lets a task with the content of one that ended be submitted, once its
// period is over.
func (c *core) releaseUnique(now time.Time, it *item) {
	ref, ok := task.UniqueOf(&it.Task)
	if !ok {
		return
	}
	if busy := c.claims[ref.ID]; busy != nil && !busy.owner.IsZero() && busy.owner != it.ID {
		return // It is somebody else's by now.
	}
	mark := &store.Dedup{ID: ref.ID, State: task.StateQueued, CreatedAt: it.CreatedAt, Result: it.ID[:]}
	if mark.Expires = it.CreatedAt.Time().Add(ref.Period); mark.Expires.After(now) {
		c.putMark(mark)
		return
	}
	c.led.Delete(mark)
}
