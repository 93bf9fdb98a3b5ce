package history

import (
	"slices"

	"github.com/fenfa/fenfa/internal/task"
)

// Check judges the history. Its time grows with n log n in the entries, and
// with the bounded search for an order of each record's accesses.
func Check(h History) Report {
	c := newCheck(&h)
	c.accounts()
	c.order()
	c.overlap()
	c.tokens()
	c.records()
	c.sums()
	c.cycles()
	order := map[Rule]int{}
	for i, rule := range Rules() {
		order[rule] = i
	}
	slices.SortStableFunc(c.report.Violations, func(a, b Violation) int { return order[a.Rule] - order[b.Rule] })
	return c.report
}

// check is one call of Check with the indexes that its rules share.
type check struct {
	h         *History
	report    Report
	ids       []task.ID // of lives, as they were met: reports do not depend on maps
	lives     map[task.ID]*life
	unordered map[string]bool
}

// life is everything about one task.
type life struct {
	id         task.ID
	submits    []*Submit
	deliveries []*Delivery
	effects    []*Effect
	finals     []*Final
}

// lane is what runs one after another.
type lane struct{ queue, key string }

func newCheck(h *History) *check {
	c := &check{h: h, lives: map[task.ID]*life{}, unordered: map[string]bool{}}
	c.report = Report{Broken: map[Rule]int{}, Counts: Counts{
		Submits: map[Result]int{}, Finals: map[string]int{},
		Deliveries: len(h.Deliveries), Effects: len(h.Effects), Accesses: len(h.Accesses), Snapshots: len(h.Snapshots), Transactions: len(h.Transactions),
	}}
	for _, queue := range h.Unordered {
		c.unordered[queue] = true
	}
	for i := range h.Submits {
		e := &h.Submits[i]
		l := c.life(e.Task)
		l.submits = append(l.submits, e)
		c.report.Counts.Submits[e.Result]++
	}
	for i := range h.Deliveries {
		l := c.life(h.Deliveries[i].Task)
		l.deliveries = append(l.deliveries, &h.Deliveries[i])
	}
	for i := range h.Effects {
		l := c.life(h.Effects[i].Task)
		l.effects = append(l.effects, &h.Effects[i])
	}
	for i := range h.Finals {
		l := c.life(h.Finals[i].Task)
		l.finals = append(l.finals, &h.Finals[i])
		c.report.Counts.Finals[h.Finals[i].State.String()]++
	}
	return c
}

func (c *check) life(id task.ID) *life {
	l := c.lives[id]
	if l == nil {
		l = &life{id: id}
		c.lives[id] = l
		c.ids = append(c.ids, id)
	}
	return l
}

// ordered reports whether tasks of this queue and key wait for each other.
func (c *check) ordered(queue, key string) bool { return key != "" && !c.unordered[queue] }

// entries returns everything known of the task, for a violation.
func (l *life) entries() []any {
	return slices.Concat(entries(l.submits), entries(l.deliveries), entries(l.effects), entries(l.finals))
}

func entries[T any](list []*T) []any {
	all := make([]any, len(list))
	for i, e := range list {
		all[i] = *e
	}
	return all
}

// confirmed reports whether some submit of the task was OK.
func (l *life) confirmed() bool {
	return slices.ContainsFunc(l.submits, func(s *Submit) bool { return s.Result == OK })
}

// possible reports whether the task may exist.
func (l *life) possible() bool {
	return slices.ContainsFunc(l.submits, func(s *Submit) bool { return s.Result != Fail })
}
