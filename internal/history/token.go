package history

import (
	"cmp"
	"slices"
	"sort"
)

// tokens checks leases and their fences.
func (c *check) tokens() {
	c.tokensNameOneLease()
	c.tokensGrowWithDeliveries()
	c.tokensGrowWithTime()
	c.effectsFollowTokens()
	c.staleEffects()
}

// tokensNameOneLease: one lease goes to one worker and concerns one queue, and
// hands each task out once.
func (c *check) tokensNameOneLease() {
	type lease struct {
		partition int
		fence     Fence
	}
	first := map[lease]*Delivery{}
	for i := range c.h.Deliveries {
		d := &c.h.Deliveries[i]
		at := lease{d.Partition, d.Fence}
		f := first[at]
		switch {
		case f == nil:
			first[at] = d
		case f.Worker != d.Worker || f.Queue != d.Queue || c.ordered(d.Queue, d.Key) && f.Key != d.Key:
			c.report.violate(RuleTokenReused, []any{*f, *d}, "token %d of epoch %d in partition %d names two leases",
				d.Fence.Token, d.Fence.Epoch, d.Partition)
		}
	}
}

// tokensGrowWithDeliveries: within an epoch, each hand-out of a task has a
// greater token than those before. An owner that does not know yet that its
// epoch is over counts for itself.
func (c *check) tokensGrowWithDeliveries() {
	for _, id := range c.ids {
		all := slices.Clone(c.lives[id].deliveries)
		slices.SortStableFunc(all, func(a, b *Delivery) int {
			return cmp.Or(cmp.Compare(a.Fence.Epoch, b.Fence.Epoch), cmp.Compare(a.Delivery, b.Delivery))
		})
		for i := 1; i < len(all); i++ {
			a, b := all[i-1], all[i]
			if a.Fence.Epoch == b.Fence.Epoch && a.Delivery < b.Delivery && !a.Fence.less(b.Fence) {
				c.report.violate(RuleTokenBack, []any{*a, *b}, "task %s: delivery %d has no greater token than delivery %d",
					id, b.Delivery, a.Delivery)
			}
		}
	}
}

// tokensGrowWithTime: within an epoch, a lease that was out before a task was
// submitted has a smaller token than that task's leases in the same partition.
func (c *check) tokensGrowWithTime() {
	type owner struct {
		partition int
		epoch     uint64
	}
	byStart := pointers(c.h.Deliveries)
	slices.SortStableFunc(byStart, func(a, b *Delivery) int { return cmp.Compare(a.Start, b.Start) })
	for _, deliveries := range grouped(byStart, func(d **Delivery) (owner, bool) {
		return owner{(*d).Partition, (*d).Fence.Epoch}, true
	}) {
		highest := slices.Clone(deliveries) // up to each of them
		for i := 1; i < len(highest); i++ {
			if !highest[i-1].Fence.less(highest[i].Fence) {
				highest[i] = highest[i-1]
			}
		}
		for _, d := range deliveries {
			s := c.lives[d.Task].firstSubmit()
			if s == nil {
				continue
			}
			before := sort.Search(len(deliveries), func(i int) bool { return deliveries[i].Start >= s.Start })
			if before > 0 && !highest[before-1].Fence.less(d.Fence) {
				c.report.violate(RuleTokenBack, []any{*highest[before-1], *s, *d},
					"partition %d: a task that was submitted after token %d was out got token %d",
					d.Partition, highest[before-1].Fence.Token, d.Fence.Token)
			}
		}
	}
}

func (l *life) firstSubmit() *Submit {
	if len(l.submits) == 0 {
		return nil
	}
	return slices.MinFunc(l.submits, func(a, b *Submit) int { return cmp.Compare(a.Start, b.Start) })
}

// effectsFollowTokens: in the order of effects of a lane, fences do not go back.
func (c *check) effectsFollowTokens() {
	bySeq := pointers(c.h.Effects)
	slices.SortStableFunc(bySeq, func(a, b *Effect) int { return cmp.Compare(a.Seq, b.Seq) })
	for _, effects := range grouped(bySeq, func(e **Effect) (lane, bool) {
		return lane{(*e).Queue, (*e).Key}, c.ordered((*e).Queue, (*e).Key)
	}) {
		for i := 1; i < len(effects); i++ {
			if a, b := effects[i-1], effects[i]; b.Fence.less(a.Fence) {
				c.report.violate(RuleStale, []any{*a, *b}, "key %q of queue %q: an effect under token %d follows one under token %d",
					b.Key, b.Queue, b.Fence.Token, a.Fence.Token)
			}
		}
	}
}

// staleEffects: a lease whose handler still ran when a greater lease of its
// lane was out took no effect.
func (c *check) staleEffects() {
	byStart := pointers(c.h.Deliveries)
	slices.SortStableFunc(byStart, func(a, b *Delivery) int { return cmp.Compare(a.Start, b.Start) })
	lanes := map[lane][]*Delivery{}
	for _, d := range byStart {
		if c.ordered(d.Queue, d.Key) {
			lanes[lane{d.Queue, d.Key}] = append(lanes[lane{d.Queue, d.Key}], d)
		}
	}
	for _, runs := range c.runsByLane() {
		deliveries := lanes[lane{runs[0].Queue, runs[0].Key}]
		slices.SortStableFunc(runs, func(a, b run) int { return cmp.Compare(a.end(), b.end()) })
		var highest *Delivery // of those that began before the run ended
		next := 0
		for _, r := range runs {
			for ; next < len(deliveries) && deliveries[next].Start < r.end(); next++ {
				if highest == nil || highest.Fence.less(deliveries[next].Fence) {
					highest = deliveries[next]
				}
			}
			if highest != nil && r.Fence.less(highest.Fence) {
				c.report.violate(RuleStale, []any{*r.Delivery, *highest, *r.effect},
					"key %q of queue %q: token %d took effect, and its handler ended after token %d was out",
					r.Key, r.Queue, r.Fence.Token, highest.Fence.Token)
			}
		}
	}
}
