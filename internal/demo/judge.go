package demo

import (
	"fmt"

	"github.com/fenfa/fenfa/internal/orders"
	"github.com/fenfa/fenfa/internal/task"
)

// maxExamples bounds what the report lists of one kind of things that are wrong.
const maxExamples = 5

// Judge compares the evidence with the input. What it finds does not depend on
// anything that the engine says about itself.
func Judge(list *orders.List, ev *Evidence) *Findings {
	j := &judge{list: list, ev: ev, out: &Findings{}, byID: make(map[task.ID]int, len(list.Orders)), examples: make(map[string]int)}
	for i := range list.Orders {
		j.byID[list.Orders[i].ID] = i
	}
	// What was never confirmed, or is dead, has no effect in the model; whether it
	// had one all the same shows in the op log.
	j.expected, j.final = model(list, func(i int) bool {
		return !ev.Confirmed[i] || ev.Outcomes[i].Ending == EndingDead
	})
	j.results()
	j.order()
	j.effects()
	j.stock()
	j.oversold()
	j.audit()
	j.resubmit()
	return j.out
}

// judge is the state of one judgement.
type judge struct {
	list     *orders.List
	ev       *Evidence
	out      *Findings
	byID     map[task.ID]int
	expected []expectation
	final    map[string]int64
	examples map[string]int // kept so far, by kind
}

// wrong keeps an example of a kind of things that are wrong.
func (j *judge) wrong(kind, format string, args ...any) {
	j.examples[kind]++
	if j.examples[kind] <= maxExamples {
		j.out.Examples = append(j.out.Examples, kind+": "+fmt.Sprintf(format, args...))
	}
}

// audit takes what the node's audit of its op logs has found.
func (j *judge) audit() {
	for _, difference := range j.ev.AuditedDifferences {
		j.wrong("damaged", "%s", difference)
	}
	j.out.Damaged = len(j.ev.AuditedDifferences)
	j.check("the records are what the op log says", j.ev.AuditedRows, j.out.Damaged, "the chained op log of every partition replayed against its records")
}

func (j *judge) check(promise string, compared, wrong int, how string) {
	j.out.Checks = append(j.out.Checks, Check{Promise: promise, How: how, Compared: compared, Wrong: wrong})
}

// results counts how the confirmed orders ended: each must be done with an answer
// that can be read, or dead.
func (j *judge) results() {
	for i, confirmed := range j.ev.Confirmed {
		if !confirmed {
			continue
		}
		j.out.Confirmed++
		o, end := &j.list.Orders[i], j.ev.Outcomes[i]
		switch {
		case end.Ending == EndingDead:
			j.out.Dead++
		case end.Ending == EndingDone && end.Answer != nil:
			j.out.Done++
			if end.Answer.Accepted {
				j.out.Accepted++
			} else {
				j.out.SoldOut++
			}
		default:
			j.out.Lost++
			j.wrong("lost", "line %d (task %s) was confirmed and has no result", o.Line, o.ID)
		}
	}
	j.check("nothing is lost", j.out.Confirmed, j.out.Lost,
		"each order that the submitter got a confirm for was asked for by its id: done with an answer, or dead")
}

// order compares every answer with the model's.
func (j *judge) order() {
	compared := 0
	for i := range j.list.Orders {
		answer := j.ev.Outcomes[i].Answer
		if j.ev.Outcomes[i].Ending != EndingDone || answer == nil {
			continue
		}
		compared++
		o, want := &j.list.Orders[i], j.expected[i]
		if answer.Accepted != want.accepted || answer.StockAfter != want.stockAfter || answer.SKU != o.SKU {
			j.out.OrderViolations++
			j.wrong("order", "line %d of %s was answered accepted=%t stock_after=%d, in order it is accepted=%t stock_after=%d",
				o.Line, o.SKU, answer.Accepted, answer.StockAfter, want.accepted, want.stockAfter)
		}
	}
	answers := j.out.OrderViolations
	j.check("orders of a SKU run one at a time, in the input's order", compared, answers,
		"a sequential pass over the input says which line is accepted, which is sold out, and what stock each leaves; every answer equals it")
	compared = 0
	for _, sku := range j.list.SKUs() {
		last := -1
		for _, e := range j.ev.History[sku] {
			i, known := j.byID[e.TaskID]
			if !known {
				continue
			}
			compared++
			if i <= last {
				j.out.OrderViolations++
				j.wrong("order", "in the op log of %s line %d comes after line %d", sku, j.list.Orders[i].Line, j.list.Orders[last].Line)
			}
			last = max(last, i)
		}
	}
	j.check("effects are in the input's order too", compared, j.out.OrderViolations-answers,
		"the op log of each SKU names the lines in ascending order")
}

// effects counts op-log entries by order: one for each accepted one, none for any
// other, and none that no order explains except the first, which loaded the stock.
func (j *judge) effects() {
	count := make([]int, len(j.list.Orders))
	entries, missing := 0, 0
	for _, sku := range j.list.SKUs() {
		for n, e := range j.ev.History[sku] {
			entries++
			i, known := j.byID[e.TaskID]
			switch {
			case known && j.list.Orders[i].SKU == sku:
				count[i]++
			case n == 0 && e.TaskID.IsZero():
			default:
				j.out.Duplicated++
				j.wrong("duplicated", "entry %d of the op log of %s (task %s) belongs to no order", n, sku, e.TaskID)
			}
		}
	}
	for i, got := range count {
		want := 0
		switch end := j.ev.Outcomes[i]; {
		case end.Answer != nil && end.Answer.Accepted:
			want = 1
		case j.ev.Confirmed[i] && end.Answer == nil && end.Ending != EndingDead:
			// It is lost already; without its answer, one entry is as right as none.
			want = min(got, 1)
		}
		o := &j.list.Orders[i]
		switch {
		case got > want:
			j.out.Duplicated += got - want
			j.wrong("duplicated", "line %d (task %s) changed the stock of %s %d times, want %d", o.Line, o.ID, o.SKU, got, want)
		case got < want:
			missing++
			j.wrong("lost", "line %d (task %s) was accepted and the op log of %s does not have it", o.Line, o.ID, o.SKU)
		}
	}
	j.out.Lost += missing
	j.check("every order takes effect exactly once", entries, missing+j.out.Duplicated,
		"op-log entries of stock counted by task id: one for each accepted order, none for a sold-out or dead one")
}

// stock compares the stock of each SKU three ways: the model's, the record, and
// the sum over the op log; and that the op log has no gap.
func (j *judge) stock() {
	skus := j.list.SKUs()
	for _, sku := range skus {
		record, there := j.ev.Stocks[sku]
		folded, fault := j.fold(sku)
		switch want := j.final[sku]; {
		case fault != "":
		case !there:
			fault = "there is no stock record"
		case record != want:
			fault = fmt.Sprintf("the record has %d, in order it is %d", record, want)
		case folded != want:
			fault = fmt.Sprintf("the op log adds up to %d, in order it is %d", folded, want)
		}
		if fault != "" {
			j.out.StockMismatches++
			j.wrong("stock", "%s: %s", sku, fault)
		}
	}
	j.check("the stock is right", len(skus), j.out.StockMismatches,
		"of each SKU, three numbers are equal: the sequential pass, the record, and the initial stock with every op-log change replayed; versions in the op log form a chain")
}

// fold replays the op log of a SKU by what its orders should have changed.
func (j *judge) fold(sku string) (available int64, fault string) {
	version := uint64(0)
	for n, e := range j.ev.History[sku] {
		if i, known := j.byID[e.TaskID]; known {
			available -= j.list.Orders[i].Pieces
		} else if n == 0 {
			available = e.Available
		}
		switch {
		case !e.Readable:
			return available, fmt.Sprintf("entry %d of the op log is no stock", n)
		case e.Available != available:
			return available, fmt.Sprintf("entry %d of the op log says %d, its orders add up to %d", n, e.Available, available)
		case e.VersionBefore != version || e.VersionAfter <= version:
			return available, fmt.Sprintf("entry %d of the op log goes from version %d to %d, after version %d", n, e.VersionBefore, e.VersionAfter, version)
		}
		version = e.VersionAfter
	}
	return available, ""
}

// oversold counts every place where a stock is below zero: op-log entries, and
// records and answers that no such entry explains.
func (j *judge) oversold() {
	compared := 0
	for _, sku := range j.list.SKUs() {
		below := 0
		for _, e := range j.ev.History[sku] {
			compared++
			if e.Available < 0 {
				below++
			}
		}
		if record := j.ev.Stocks[sku]; record < 0 && below == 0 {
			below++
		}
		if below > 0 {
			j.out.Oversold += below
			j.wrong("oversold", "the stock of %s was below zero %d times", sku, below)
		}
	}
	for i := range j.ev.Outcomes {
		answer := j.ev.Outcomes[i].Answer
		if answer == nil {
			continue
		}
		compared++
		if answer.StockAfter < 0 {
			j.out.Oversold++
			j.wrong("oversold", "line %d left a stock of %d", j.list.Orders[i].Line, answer.StockAfter)
		}
	}
	j.check("nothing is oversold", compared, j.out.Oversold,
		"no op-log entry, no record and no answer has a stock below zero")
}

// resubmit checks that a second submit of the whole input was recognized. That it
// changed nothing shows in all the other checks, which come after it.
func (j *judge) resubmit() {
	if j.ev.Resubmitted == 0 {
		return
	}
	accepted := j.ev.Resubmitted - j.ev.ResubmitAnswers
	if j.ev.Forgetful {
		j.check("submitting the input again changes nothing", j.ev.Resubmitted, 0,
			fmt.Sprintf("all orders were submitted once more before the checks above; %d were answered \"already have it\", "+
				"and %d, whose ids the node had not written down when it was killed, went through the broker and took no effect", j.ev.ResubmitAnswers, accepted))
		return
	}
	if accepted > 0 {
		j.out.Duplicated += accepted
		j.wrong("duplicated", "%d of %d orders were taken as new when they were submitted again", accepted, j.ev.Resubmitted)
	}
	j.check("submitting the input again changes nothing", j.ev.Resubmitted, accepted,
		"all orders were submitted once more before the checks above; each was answered \"already have it\"")
}
