package partition

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// uniqueClaim is a submit of a task that is to be the only one of its content, from
// its arrival at the core until it is known whether the broker has the task; or a dead
// letter that is to come back.
//
// What is held is a mark under the ID of the content, whose result is the ID of the
// task that holds it. It is durable before the task goes to the broker, and goes in
// the commit that ends the task.
type uniqueClaim struct {
	ref     task.UniqueRef
	task    task.ID
	created task.Timestamp
	run     uint64  // of the node, which the mark names
	revives bool    // the task is a dead letter: it holds its content anew
	stale   task.ID // a holder that holds no more: its claim may be taken over; zero: none
	index   int     // among the tasks of the submit

	holder heldContent  // the task itself where the claim succeeded
	before *store.Dedup // what goes back where a dead letter stays; nil: nothing
	fresh  bool         // the mark was written for this claim
	busy   bool         // somebody else takes a stale claim over just now
}

// won reports whether the task may go to the broker.
func (x *uniqueClaim) won() bool { return x.holder.task == x.task }

// heldContent is what the mark of a content says.
type heldContent struct {
	task   task.ID
	since  task.Timestamp // when that one was accepted
	states task.StateSet  // in which it holds the content
	run    uint64         // of the node whose submit it was
	ended  task.State     // in which it holds the content until its period is over; else it is open
	open   bool           // until the task ends
}

// mark is what is kept of a content that the claim's task holds. States that hold until
// the end of the task are not written.
func (x *uniqueClaim) mark() *store.Dedup {
	holder := x.task[:]
	if !x.ref.HoldsUntilEnd() {
		holder = binary.BigEndian.AppendUint16(slices.Clip(holder), uint16(x.ref.States))
	}
	return &store.Dedup{ID: x.ref.ID, State: task.StateQueued, Ref: x.run, CreatedAt: x.created, Result: holder}
}

// heldBy reads the mark of a content, and reports false where nobody holds it.
func heldBy(now time.Time, mark *store.Dedup) (h heldContent, ok bool) {
	if mark == nil || !mark.Expires.IsZero() && !now.Before(mark.Expires) {
		return h, false
	}
	h = heldContent{since: mark.CreatedAt, states: task.OpenStates(), run: mark.Ref, ended: mark.State, open: mark.Expires.IsZero()}
	if rest := mark.Result[copy(h.task[:], mark.Result):]; len(rest) == 2 {
		h.states = task.StateSet(binary.BigEndian.Uint16(rest))
	}
	return h, true
}

// holdsIn reports whether a task holds its content that has not ended.
func (h *heldContent) holdsIn(s task.State) bool {
	if s == task.StateReady {
		s = task.StateQueued
	}
	return h.states.Has(s)
}

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
	c.loadContent(x.ref.ID, func(now time.Time, mark *store.Dedup) {
		c.claim(now, x, mark)
		c.claimAll(claims[1:], answer)
	})
}

// loadContent reads the mark of a content once everything that was accepted is durable.
func (c *core) loadContent(id task.ID, then func(now time.Time, mark *store.Dedup)) {
	c.afterDurable(func() {
		c.env.LoadRows([]store.Row{&store.Dedup{ID: id}}, func(now time.Time, rows []store.Row) {
			mark, _ := rows[0].(*store.Dedup)
			then(now, mark)
		})
	})
}

// claim decides one claim over the mark of the content.
func (c *core) claim(now time.Time, x *uniqueClaim, mark *store.Dedup) {
	if h, held := heldBy(now, mark); held {
		x.holder = h
		switch {
		case x.won() && (h.open || !x.revives): // submitted again under its ID
			c.claims[x.ref.ID].owner = x.task
			return
		case x.won():
			x.before = mark
		case h.task != x.stale || !h.open:
			c.endClaim(x.ref.ID)
			return
		}
	}
	x.holder, x.fresh = heldContent{task: x.task, open: true}, true
	c.claims[x.ref.ID].owner = x.task
	c.putMark(x.mark())
}

// endClaim lets the next submit of the same content decide.
func (c *core) endClaim(content task.ID) {
	busy := c.claims[content]
	if busy == nil {
		return
	}
	delete(c.claims, content)
	for _, next := range busy.waiting {
		next()
	}
}

// settleClaim takes what became of the submit: without the task in the broker nobody
// holds the content. Of a claim that was lost with an earlier owner nothing is left.
func (c *core) settleClaim(x *uniqueClaim, stored bool) {
	if busy := c.claims[x.ref.ID]; busy == nil || busy.owner != x.task {
		return
	}
	switch {
	case !x.fresh || stored || c.tasks[x.task] != nil:
	case x.before != nil:
		c.putMark(x.before)
	default:
		c.led.Delete(&store.Dedup{ID: x.ref.ID})
	}
	c.endClaim(x.ref.ID)
}

// releaseUnique lets a task with the content of one that ended be submitted, once its
// period is over if that counts for the state in which it ended.
func (c *core) releaseUnique(now time.Time, it *item, state task.State) {
	ref, ok := task.UniqueOf(&it.Task)
	if !ok {
		return
	}
	busy := c.claims[ref.ID]
	if busy != nil && !busy.owner.IsZero() && busy.owner != it.ID {
		return // It is somebody else's by now.
	}
	mark := &store.Dedup{ID: ref.ID, State: state, CreatedAt: it.CreatedAt, Result: it.ID[:], Expires: it.CreatedAt.Time().Add(ref.Period)}
	if ref.HoldsUntilEnd() {
		c.dropContent(now, &ref, mark)
		return
	}
	c.releaseIfHeld(&ref, mark)
}

// dropContent replaces the mark of a content by that of a task that has ended, or removes
// it.
func (c *core) dropContent(now time.Time, ref *task.UniqueRef, mark *store.Dedup) {
	if ref.States.Has(mark.State) && mark.Expires.After(now) {
		c.putMark(mark)
		return
	}
	c.led.Delete(mark)
}

// releaseIfHeld does that for a task whose content somebody else may have by now, which
// only the mark tells. Claims wait for it.
func (c *core) releaseIfHeld(ref *task.UniqueRef, mark *store.Dedup) {
	if busy := c.claims[ref.ID]; busy != nil {
		busy.waiting = append(busy.waiting, func() { c.releaseIfHeld(ref, mark) })
		return
	}
	c.claims[ref.ID] = &claiming{}
	c.loadContent(ref.ID, func(now time.Time, found *store.Dedup) {
		if h, held := heldBy(now, found); held && string(h.task[:]) == string(mark.Result) {
			c.dropContent(now, ref, mark)
		}
		c.endClaim(ref.ID)
	})
}
