package ledger

import (
	"fmt"
	"slices"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// counter is what memory holds of the value of a record that is declared escrow.
type counter struct {
	task.Counter
	damaged error // why the stored value is none, or nil
}

// counterOf reads the counter of a stored record, if it is one.
func (l *Ledger) counterOf(row *store.Record) *counter {
	if !row.Escrow {
		return nil
	}
	l.escrow = true
	c := &counter{}
	c.Counter, c.damaged = task.ParseCounter(row.Value)
	return c
}

// reserved is what undecided transactions may yet add to a counter: every order and
// every choice of commits and aborts stays between low and high.
type reserved struct {
	low, high int64 // sums of what is below and above 0
	by        []task.ID
}

func (r *reserved) take(tx task.ID, delta int64) {
	r.low, r.high = r.low+min(delta, 0), r.high+max(delta, 0)
	r.by = append(r.by, tx)
}

func (r *reserved) giveBack(tx task.ID, delta int64) {
	r.low, r.high = r.low-min(delta, 0), r.high-max(delta, 0)
	if i := slices.Index(r.by, tx); i >= 0 {
		r.by = slices.Delete(r.by, i, i+1)
	}
}

// checkAdd says whether a counter stays within its bounds with delta, whatever
// becomes of the undecided transactions that add to it too: a ConflictError that
// is ErrPinned where that depends on them, one that has Bound set where none of their
// outcomes can help. The record is of this partition.
func (l *Ledger) checkAdd(key, name string, delta int64) error {
	if err := task.CheckDelta(delta); err != nil {
		return err
	}
	var p *pin
	if len(l.pins) > 0 {
		p = l.pins[RecordKey{key, name}]
	}
	var held reserved
	if p != nil {
		if tx := p.exclusive(); !tx.IsZero() {
			return &ConflictError{Key: key, Name: name, Tx: tx}
		}
		held = p.adds
	}
	r := l.find(key, name)
	if r == nil || r.counter == nil {
		return task.Errorf(task.CodeFailedPrecondition, "record %q of key %q is not declared escrow: nothing can be added to it", name, key)
	}
	c := r.counter
	if c.damaged != nil {
		return task.Errorf(task.CodeFailedPrecondition, "the counter in record %q of key %q is damaged, declare it anew: %w", name, key, c.damaged)
	}
	beyond := func(low, high int64) bool {
		return delta < 0 && c.Value+low+delta < c.Min || delta > 0 && c.Value+high+delta > c.Max
	}
	if !beyond(held.low, held.high) {
		return nil
	}
	bound := fmt.Sprintf("its value %d with %+d is below its min %d", c.Value, delta, c.Min)
	if delta > 0 {
		bound = fmt.Sprintf("its value %d with %+d is above its max %d", c.Value, delta, c.Max)
	}
	if len(held.by) > 0 {
		bound += fmt.Sprintf(", while undecided transactions have reserved %+d and %+d", held.low, held.high)
	}
	e := &ConflictError{Key: key, Name: name, Version: r.version, Why: bound}
	// What would help delta most is that all do what moves the value away from the bound.
	if beyond(held.high, held.low) {
		e.Bound = true
	} else {
		e.Tx = held.by[0]
	}
	return e
}

// checkPlain refuses a write that is not made for a record that is a counter, and one
// for counters that is none.
func (l *Ledger) checkPlain(key string, w *task.Write) error {
	if w.Escrow == task.EscrowNone && !l.escrow {
		return nil
	}
	r := l.find(key, w.Name)
	isCounter := r != nil && r.counter != nil
	switch {
	case w.Escrow == task.EscrowNone && isCounter:
		return task.Errorf(task.CodeFailedPrecondition, "record %q of key %q is declared escrow: only add, and declaring it anew, change it", w.Name, key)
	case w.Escrow == task.EscrowDeclare && w.Delete && !isCounter:
		return task.Errorf(task.CodeFailedPrecondition, "record %q of key %q is not declared escrow", w.Name, key)
	case w.Escrow == task.EscrowDeclare && !w.Delete:
		_, err := task.ParseCounter(w.Value)
		return err
	}
	return nil
}

func (l *Ledger) find(key, name string) *record {
	if e := l.entities[key]; e != nil {
		return e.records[name]
	}
	return nil
}

// escrowed makes an escrow operation part of the record and returns the value that
// it has then. It was checked.
func (l *Ledger) escrowed(r *record, w *task.Write) []byte {
	if w.Escrow == task.EscrowDeclare {
		l.escrow = true
		r.counter = &counter{}
		r.counter.Counter, r.counter.damaged = task.ParseCounter(w.Value)
	} else {
		r.counter.Value += w.Delta
	}
	return r.counter.Append(nil)
}

// Written reports whether an undecided transaction is to change the record, other than
// by adding to it.
func (l *Ledger) Written(key, name string) bool {
	p := l.pins[RecordKey{key, name}]
	return p != nil && !p.writer.IsZero()
}

// Adders returns the transactions that are to add to a counter and are not decided, as
// far as this partition knows.
func (l *Ledger) Adders(key, name string) []task.ID {
	if len(l.pins) == 0 {
		return nil
	}
	if p := l.pins[RecordKey{key, name}]; p != nil {
		return slices.Clone(p.adds.by)
	}
	return nil
}
