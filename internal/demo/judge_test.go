package demo_test

import (
	"strings"
	"testing"

	"github.com/fenfa/fenfa/internal/demo"
	"github.com/fenfa/fenfa/internal/orders"
	"github.com/fenfa/fenfa/internal/task"
)

// input is a small list with a hot SKU that sells out.
func input(t *testing.T) *orders.List {
	t.Helper()
	list, err := orders.Synthetic{Orders: 500, SKUs: 10, Hot: 0.4}.List()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// honest is the evidence of a run in which every promise was kept.
func honest(list *orders.List) *demo.Evidence {
	ev := &demo.Evidence{
		Confirmed:       make([]bool, len(list.Orders)),
		Outcomes:        make([]demo.Outcome, len(list.Orders)),
		Stocks:          list.InitialStock(),
		History:         make(map[string][]demo.Entry),
		Resubmitted:     len(list.Orders),
		ResubmitAnswers: len(list.Orders),
		AuditedRows:     len(list.Orders),
	}
	version := uint64(0)
	appendEntry := func(sku string, id task.ID) {
		before := uint64(0)
		if h := ev.History[sku]; len(h) > 0 {
			before = h[len(h)-1].VersionAfter
		}
		version++
		ev.History[sku] = append(ev.History[sku], demo.Entry{
			TaskID: id, VersionBefore: before, VersionAfter: version, Available: ev.Stocks[sku], Readable: true,
		})
	}
	for _, sku := range list.SKUs() {
		appendEntry(sku, task.ID{})
	}
	for i, o := range list.Orders {
		after, accepted := demo.Decide(ev.Stocks[o.SKU], o.Pieces)
		ev.Stocks[o.SKU] = after
		if accepted {
			appendEntry(o.SKU, o.ID)
		}
		ev.Confirmed[i] = true
		ev.Outcomes[i] = demo.Outcome{Ending: demo.EndingDone, Answer: &demo.Answer{SKU: o.SKU, Accepted: accepted, StockAfter: after}}
	}
	return ev
}

// find returns the first order whose answer is like the wanted one, and its place
// in the op log of its SKU, counted from 1 because the first entry loads the
// stock.
func find(t *testing.T, list *orders.List, ev *demo.Evidence, accepted bool) (order, place int) {
	t.Helper()
	places := make(map[string]int)
	for i, o := range list.Orders {
		answer := ev.Outcomes[i].Answer
		if answer.Accepted {
			places[o.SKU]++
		}
		if answer.Accepted == accepted {
			return i, places[o.SKU]
		}
	}
	t.Fatal("there is no such order")
	return 0, 0
}

func TestHonestRunPasses(t *testing.T) {
	list := input(t)
	f := demo.Judge(list, honest(list))
	if !f.OK() || len(f.Examples) > 0 {
		t.Fatalf("verdict is %+v", f)
	}
	if f.Confirmed != 500 || f.Done != 500 || f.Accepted+f.SoldOut != 500 || f.SoldOut < 20 {
		t.Errorf("counts are %+v", f)
	}
	if len(f.Checks) != 8 {
		t.Errorf("%d checks, want 8", len(f.Checks))
	}
	for _, c := range f.Checks {
		if c.Compared == 0 || c.Wrong != 0 || c.Promise == "" || c.How == "" {
			t.Errorf("check %+v compared nothing, found something, or does not say what it is", c)
		}
	}
}

func TestWhatAnAuditFindsBreaksAPromise(t *testing.T) {
	list := input(t)
	ev := honest(list)
	ev.AuditedDifferences = []string{"row 3 is missing"}
	if f := demo.Judge(list, ev); f.OK() || f.Damaged != 1 || len(f.Examples) != 1 || f.Examples[0] != "damaged: row 3 is missing" {
		t.Errorf("verdict is %+v", f)
	}
}

// Each mutant breaks one promise; the judge must name that one.
func TestANodeThatMayForgetIsJudgedByEffectsAlone(t *testing.T) {
	list := input(t)
	ev := honest(list)
	ev.Forgetful = true
	ev.ResubmitAnswers -= 2
	f := demo.Judge(list, ev)
	last := f.Checks[len(f.Checks)-1]
	if !f.OK() || last.Wrong != 0 || !strings.Contains(last.How, "and 2, whose ids") {
		t.Errorf("findings are %+v", f)
	}
}

func TestMutantsAreFound(t *testing.T) {
	type counts struct{ lost, duplicated, oversold, order, stock bool }
	of := func(f *demo.Findings) counts {
		return counts{f.Lost > 0, f.Duplicated > 0, f.Oversold > 0, f.OrderViolations > 0, f.StockMismatches > 0}
	}
	for name, c := range map[string]struct {
		mutate func(t *testing.T, list *orders.List, ev *demo.Evidence)
		want   counts // at least these
	}{
		"a confirmed order has no result": {func(_ *testing.T, _ *orders.List, ev *demo.Evidence) {
			ev.Outcomes[7] = demo.Outcome{Ending: demo.EndingMissing}
		}, counts{lost: true}},
		"a result cannot be read": {func(_ *testing.T, _ *orders.List, ev *demo.Evidence) {
			ev.Outcomes[7].Answer = nil
		}, counts{lost: true}},
		"an accepted order is not in the op log": {func(t *testing.T, list *orders.List, ev *demo.Evidence) {
			t.Helper()
			i, place := find(t, list, ev, true)
			sku := list.Orders[i].SKU
			ev.History[sku] = append(ev.History[sku][:place:place], ev.History[sku][place+1:]...)
		}, counts{lost: true, stock: true}},
		"an order takes effect twice": {func(t *testing.T, list *orders.List, ev *demo.Evidence) {
			t.Helper()
			i, place := find(t, list, ev, true)
			sku := list.Orders[i].SKU
			twice := ev.History[sku][place]
			rest := append([]demo.Entry{twice}, ev.History[sku][place+1:]...)
			ev.History[sku] = append(ev.History[sku][:place+1:place+1], rest...)
		}, counts{duplicated: true, order: true, stock: true}},
		"a sold-out order takes effect": {func(t *testing.T, list *orders.List, ev *demo.Evidence) {
			t.Helper()
			i, _ := find(t, list, ev, false)
			sku := list.Orders[i].SKU
			last := ev.History[sku][len(ev.History[sku])-1]
			ev.History[sku] = append(ev.History[sku], demo.Entry{
				TaskID: list.Orders[i].ID, VersionBefore: last.VersionAfter, VersionAfter: last.VersionAfter + 1, Available: last.Available, Readable: true,
			})
		}, counts{duplicated: true}},
		"something that is no order changes a stock": {func(_ *testing.T, list *orders.List, ev *demo.Evidence) {
			sku := list.Orders[0].SKU
			last := ev.History[sku][len(ev.History[sku])-1]
			ev.History[sku] = append(ev.History[sku], demo.Entry{
				TaskID: task.ID{1}, VersionBefore: last.VersionAfter, VersionAfter: last.VersionAfter + 1, Available: last.Available, Readable: true,
			})
		}, counts{duplicated: true}},
		"a resubmitted order is taken as new": {func(_ *testing.T, _ *orders.List, ev *demo.Evidence) {
			ev.ResubmitAnswers--
		}, counts{duplicated: true}},
		"a sold-out order is accepted": {func(t *testing.T, list *orders.List, ev *demo.Evidence) {
			t.Helper()
			i, _ := find(t, list, ev, false)
			o := list.Orders[i]
			answer := ev.Outcomes[i].Answer
			answer.Accepted, answer.StockAfter = true, answer.StockAfter-o.Pieces
			last := ev.History[o.SKU][len(ev.History[o.SKU])-1]
			ev.History[o.SKU] = append(ev.History[o.SKU], demo.Entry{
				TaskID: o.ID, VersionBefore: last.VersionAfter, VersionAfter: last.VersionAfter + 1, Available: last.Available - o.Pieces - 1000, Readable: true,
			})
			ev.Stocks[o.SKU] = last.Available - o.Pieces - 1000
		}, counts{oversold: true, order: true, stock: true}},
		"a record is below zero": {func(_ *testing.T, list *orders.List, ev *demo.Evidence) {
			ev.Stocks[list.Orders[0].SKU] = -1
		}, counts{oversold: true, stock: true}},
		"two orders of a SKU change places": {func(t *testing.T, list *orders.List, ev *demo.Evidence) {
			t.Helper()
			i, _ := find(t, list, ev, true)
			swap := -1
			for k := i + 1; k < len(list.Orders); k++ {
				if list.Orders[k].SKU == list.Orders[i].SKU && list.Orders[k].Pieces != list.Orders[i].Pieces {
					swap = k
					break
				}
			}
			swapped := *list
			swapped.Orders = append([]orders.Order(nil), list.Orders...)
			swapped.Orders[i], swapped.Orders[swap] = swapped.Orders[swap], swapped.Orders[i]
			*ev = *honest(&swapped)
			ev.Outcomes[i], ev.Outcomes[swap] = ev.Outcomes[swap], ev.Outcomes[i]
		}, counts{order: true}},
		"an answer is another SKU's": {func(_ *testing.T, _ *orders.List, ev *demo.Evidence) {
			ev.Outcomes[3].Answer.SKU = "SKU-of-somebody-else"
		}, counts{order: true}},
		"a record is off by one": {func(_ *testing.T, list *orders.List, ev *demo.Evidence) {
			ev.Stocks[list.Orders[0].SKU]++
		}, counts{stock: true}},
		"a record is gone": {func(_ *testing.T, list *orders.List, ev *demo.Evidence) {
			delete(ev.Stocks, list.Orders[0].SKU)
		}, counts{stock: true}},
		"the op log has a gap": {func(_ *testing.T, list *orders.List, ev *demo.Evidence) {
			ev.History[list.Orders[0].SKU][1].VersionBefore++
		}, counts{stock: true}},
		"an op-log entry has another value": {func(_ *testing.T, list *orders.List, ev *demo.Evidence) {
			ev.History[list.Orders[0].SKU][1].Available++
		}, counts{stock: true}},
		"an op-log entry is no stock": {func(_ *testing.T, list *orders.List, ev *demo.Evidence) {
			ev.History[list.Orders[0].SKU][1].Readable = false
		}, counts{stock: true}},
		"the stock was never loaded": {func(_ *testing.T, list *orders.List, ev *demo.Evidence) {
			sku := list.Orders[0].SKU
			ev.History[sku] = ev.History[sku][1:]
		}, counts{stock: true}},
		"an order without a confirm took effect": {func(t *testing.T, list *orders.List, ev *demo.Evidence) {
			t.Helper()
			i, _ := find(t, list, ev, true)
			ev.Confirmed[i] = false
			ev.Outcomes[i] = demo.Outcome{}
		}, counts{duplicated: true, order: true}},
		"a dead order took effect": {func(t *testing.T, list *orders.List, ev *demo.Evidence) {
			t.Helper()
			i, _ := find(t, list, ev, true)
			ev.Outcomes[i] = demo.Outcome{Ending: demo.EndingDead}
		}, counts{duplicated: true, order: true}},
	} {
		t.Run(name, func(t *testing.T) {
			list := input(t)
			ev := honest(list)
			c.mutate(t, list, ev)
			f := demo.Judge(list, ev)
			got := of(f)
			for _, pair := range [][2]bool{
				{c.want.lost, got.lost},
				{c.want.duplicated, got.duplicated},
				{c.want.oversold, got.oversold},
				{c.want.order, got.order},
				{c.want.stock, got.stock},
			} {
				if pair[0] && !pair[1] {
					t.Errorf("found %+v, want at least %+v; examples %q", got, c.want, f.Examples)
				}
			}
			if f.OK() || len(f.Examples) == 0 {
				t.Errorf("the verdict is ok=%t with examples %q", f.OK(), f.Examples)
			}
		})
	}
}

func TestDeadOrderHasNoEffectAndIsReported(t *testing.T) {
	list := input(t)
	ev := honest(list)
	last := len(list.Orders) - 1
	o := list.Orders[last]
	if ev.Outcomes[last].Answer.Accepted {
		h := ev.History[o.SKU]
		ev.History[o.SKU] = h[:len(h)-1]
		ev.Stocks[o.SKU] += o.Pieces
	}
	ev.Outcomes[last] = demo.Outcome{Ending: demo.EndingDead}
	f := demo.Judge(list, ev)
	if !f.OK() || f.Dead != 1 || f.Done != last {
		t.Errorf("verdict is %+v", f)
	}
}

func TestExamplesAreBounded(t *testing.T) {
	list := input(t)
	ev := honest(list)
	for i := range ev.Outcomes {
		ev.Outcomes[i] = demo.Outcome{}
	}
	f := demo.Judge(list, ev)
	if f.Lost != len(list.Orders) || len(f.Examples) != 5 {
		t.Errorf("%d lost and %d examples, want %d and 5", f.Lost, len(f.Examples), len(list.Orders))
	}
	if !strings.Contains(f.Examples[0], "line 1 ") {
		t.Errorf("first example is %q", f.Examples[0])
	}
}

func TestDecide(t *testing.T) {
	for _, c := range []struct {
		available, pieces, after int64
		accepted                 bool
	}{
		{10, 3, 7, true},
		{3, 3, 0, true},
		{2, 3, 2, false},
		{0, 1, 0, false},
		{0, -5, 5, true},
		{7, -1, 8, true},
	} {
		if after, accepted := demo.Decide(c.available, c.pieces); after != c.after || accepted != c.accepted {
			t.Errorf("Decide(%d, %d) is %d, %t, want %d, %t", c.available, c.pieces, after, accepted, c.after, c.accepted)
		}
	}
}
