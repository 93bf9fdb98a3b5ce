package history

import (
	"cmp"
	"math"
	"slices"
)

// placed is a task with one effect in its lane, and when it was submitted.
type placed struct {
	effect *Effect
	submit *Submit // the first one; nil: none was recorded
	start  int64   // of the first submit
	sure   int64   // when the task was in the queue for sure: end of the first OK
	pos    int64   // the client's own order; 0: none
}

// order checks that effects of each lane come in the order of submits: of two
// tasks of which one was confirmed before the other was submitted, and of two
// tasks that one client submitted in its order.
func (c *check) order() {
	for _, tasks := range c.placedByLane() {
		slices.SortStableFunc(tasks, func(a, b placed) int { return cmp.Compare(a.effect.Seq, b.effect.Seq) })
		c.orderByTime(tasks)
		c.orderByPosition(tasks)
	}
}

// placedByLane returns the tasks with one effect, of each ordered lane.
func (c *check) placedByLane() [][]placed {
	var all []placed
	for _, id := range c.ids {
		if l := c.lives[id]; len(l.effects) == 1 && len(l.submits) > 0 {
			all = append(all, l.placed())
		}
	}
	return grouped(all, func(p *placed) (lane, bool) {
		return lane{p.effect.Queue, p.effect.Key}, c.ordered(p.effect.Queue, p.effect.Key)
	})
}

func (l *life) placed() placed {
	p := placed{effect: l.effects[0], submit: l.submits[0], start: math.MaxInt64, sure: math.MaxInt64}
	for _, s := range l.submits {
		if s.Start < p.start {
			p.start, p.submit = s.Start, s
		}
		if s.Result == OK {
			p.sure = min(p.sure, s.End)
		}
	}
	// A repeat after a failure has another place than its first submit says.
	if len(l.submits) == 1 && p.submit.Result == OK {
		p.pos = p.submit.Pos
	}
	return p
}

// orderByTime looks from the last effect to the first for a task that takes
// effect later than one that was submitted after its confirm.
func (c *check) orderByTime(tasks []placed) {
	var earliest *placed // of the later ones, the one that was confirmed first
	for i := len(tasks) - 1; i >= 0; i-- {
		t := &tasks[i]
		if earliest != nil && earliest.sure < t.start {
			c.misplaced(t, earliest, "was submitted after %s was confirmed")
		}
		if earliest == nil || t.sure < earliest.sure {
			earliest = t
		}
	}
}

func (c *check) orderByPosition(tasks []placed) {
	first := map[string]*placed{} // by client: of the later ones, the first in its order
	for i := len(tasks) - 1; i >= 0; i-- {
		t := &tasks[i]
		if t.pos == 0 {
			continue
		}
		f := first[t.submit.Client]
		if f != nil && f.pos < t.pos {
			c.misplaced(t, f, "stands behind %s in its client's order")
		}
		if f == nil || t.pos < f.pos {
			first[t.submit.Client] = t
		}
	}
}

func (c *check) misplaced(early, late *placed, why string) {
	c.report.violate(RuleOrder, []any{*late.submit, *early.submit, *early.effect, *late.effect},
		"key %q of queue %q: task %s "+why+" and took effect before it", early.effect.Key, early.effect.Queue,
		early.effect.Task, late.effect.Task)
}
