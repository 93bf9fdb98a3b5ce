package history

import (
	"cmp"
	"slices"
)

// run is an execution whose outcome took effect.
type run struct {
	*Delivery
	effect *Effect
}

// end is when the handler ended, or at least began.
func (r run) end() int64 { return max(r.Start, r.End) }

// overlap checks that executions of one lane that took effect did so one after
// another.
func (c *check) overlap() {
	for _, runs := range c.runsByLane() {
		var longest *run
		for i := range runs {
			r := &runs[i]
			if longest != nil && r.Start < longest.end() && r.Task != longest.Task {
				c.report.violate(RuleOverlap, []any{*longest.Delivery, *r.Delivery, *longest.effect, *r.effect},
					"key %q of queue %q: tasks %s and %s ran at the same time and both took effect", r.Key, r.Queue, longest.Task, r.Task)
			}
			if longest == nil || r.end() > longest.end() {
				longest = r
			}
		}
	}
}

// runsByLane returns the executions that took effect, of each ordered lane, by
// their start. Effects whose execution was not recorded are not among them.
func (c *check) runsByLane() [][]run {
	var all []run
	for _, id := range c.ids {
		l := c.lives[id]
		for _, e := range l.effects {
			if d := l.execution(e); d != nil {
				all = append(all, run{d, e})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b run) int { return cmp.Compare(a.Start, b.Start) })
	return grouped(all, func(r *run) (lane, bool) {
		return lane{r.effect.Queue, r.effect.Key}, c.ordered(r.effect.Queue, r.effect.Key)
	})
}

// execution returns the execution that made the effect: the last one under its
// lease, for a conflict makes a worker run a task again.
func (l *life) execution(e *Effect) *Delivery {
	var last *Delivery
	for _, d := range l.deliveries {
		if d.Fence == e.Fence && (last == nil || d.Start > last.Start) {
			last = d
		}
	}
	return last
}
