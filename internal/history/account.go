package history

import (
	"math/bits"

	"github.com/fenfa/fenfa/internal/task"
)

// accounts checks each task for itself: what was confirmed is somewhere, once,
// and what took effect did so once.
func (c *check) accounts() {
	for _, id := range c.ids {
		l := c.lives[id]
		states := uint(0)
		for _, f := range l.finals {
			if f.State != task.StateUnknown {
				states |= 1 << f.State
			}
		}
		places, done := bits.OnesCount(states), states&(1<<task.StateDone) != 0
		if l.confirmed() {
			c.report.Counts.Confirmed++
			if places == 0 {
				c.report.violate(RuleLost, l.entries(), "task %s was confirmed and is nowhere", id)
			}
		}
		if !l.possible() && (len(l.deliveries) > 0 || len(l.effects) > 0 || places > 0) {
			c.report.violate(RuleNowhere, l.entries(), "task %s was not submitted, or refused, and yet appears", id)
		}
		if len(l.effects) > 1 {
			c.report.violate(RuleTwice, l.entries(), "task %s took effect %d times", id, len(l.effects))
		}
		if done && len(l.effects) == 0 {
			c.report.violate(RuleMissing, l.entries(), "task %s is done and took no effect", id)
		}
		if places > 1 {
			c.report.violate(RuleTwoEnds, l.entries(), "task %s is in %d states at once", id, places)
		}
		if places > 0 && !done && len(l.effects) > 0 {
			c.report.violate(RuleTwoEnds, l.entries(), "task %s took effect and is not done", id)
		}
	}
}
