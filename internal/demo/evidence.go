package demo

import (
	"time"

	"github.com/fenfa/fenfa/internal/orders"
	"github.com/fenfa/fenfa/internal/task"
)

// Ending is what became of an order, as the node tells it.
type Ending uint8

// The endings. EndingMissing stands for an order that the node does not know, or
// that has not ended though nothing is left to do.
const (
	EndingMissing Ending = iota
	EndingDone
	EndingDead
)

// Outcome is the end of one order.
type Outcome struct {
	Ending     Ending
	Answer     *Answer // nil: none that can be read
	FinishedAt time.Time
}

// Entry is one row of the op log of a SKU's stock.
type Entry struct {
	TaskID        task.ID // zero: written by no task
	VersionBefore uint64
	VersionAfter  uint64
	Available     int64
	Readable      bool // the value is a stock
}

// Evidence is what the submitter knows and what was collected afterwards.
type Evidence struct {
	Confirmed []bool             // by order: the submitter got a confirm
	Outcomes  []Outcome          // by order
	Stocks    map[string]int64   // by SKU: the record; a SKU without a readable one is absent
	History   map[string][]Entry // by SKU, oldest first

	// What the audit of the node looked at, and what it found.
	AuditedRows        int
	AuditedDifferences []string

	// The whole input was submitted once more after everything was done.
	Resubmitted     int
	ResubmitAnswers int // that said "already have it"
	// Forgetful says that a node may take a repeat as new, after a crash of its own:
	// the repeat then has no effect, as all other checks show.
	Forgetful bool
}

// Findings is the verdict.
type Findings struct {
	Confirmed       int
	Done            int
	Accepted        int
	SoldOut         int
	Dead            int
	Lost            int
	Duplicated      int
	Oversold        int
	OrderViolations int
	StockMismatches int
	Damaged         int // differences between the op logs and the records

	Checks []Check
	// Examples are the first few things that were wrong, for a person.
	Examples []string
}

// Check is one promise and how it was checked.
type Check struct {
	Promise  string `json:"promise"`
	How      string `json:"how"`
	Compared int    `json:"compared"`
	Wrong    int    `json:"wrong"`
}

// OK reports whether every promise was kept.
func (f *Findings) OK() bool {
	return f.Lost+f.Duplicated+f.Oversold+f.OrderViolations+f.StockMismatches+f.Damaged == 0
}

// evidenceOf returns empty evidence for the orders of a list.
func evidenceOf(list *orders.List) *Evidence {
	return &Evidence{
		Confirmed: make([]bool, len(list.Orders)),
		Outcomes:  make([]Outcome, len(list.Orders)),
		Stocks:    make(map[string]int64),
		History:   make(map[string][]Entry),
	}
}
