package ledger

import (
	"errors"
	"fmt"
	"slices"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// ErrPinned says that a record belongs to a transaction that is not decided yet:
// what the record will be is known soon.
var ErrPinned = errors.New("a transaction that is not decided yet holds the record")

// ConflictError is why an outcome or a transaction may not take effect over a record
// as it is. It is an ErrConflict, or with a transaction that holds the record an
// ErrPinned.
type ConflictError struct {
	Key, Name string
	Version   uint64  // that the record has
	Expected  uint64  // that was asked for
	Tx        task.ID // the transaction that holds the record; zero: none
	Why       string  // what else stands in the way, or empty
	Bound     bool    // a bound of a counter does, and no outcome of a transaction can change that
}

// Error names the record and says what it is.
func (c *ConflictError) Error() string {
	switch {
	case c.Why != "":
		return fmt.Sprintf("record %q of key %q: %s", c.Name, c.Key, c.Why)
	case !c.Tx.IsZero():
		return fmt.Sprintf("record %q of key %q is held by transaction %s, which is not decided yet", c.Name, c.Key, c.Tx)
	default:
		return fmt.Sprintf("record %q of key %q has version %d, not %d", c.Name, c.Key, c.Version, c.Expected)
	}
}

// Is makes errors.Is find the sentinels.
func (c *ConflictError) Is(target error) bool {
	if c.Tx.IsZero() {
		return target == ErrConflict
	}
	return target == ErrPinned
}

// pin is what undecided transactions hold of one record: one of them is to change
// it, or some want it to stay as it is, or some are to add to it.
type pin struct {
	writer  task.ID
	readers []task.ID
	adds    reserved // those that add to a counter do not stand in each other's way
}

// exclusive returns a transaction that does not let others change the record at all;
// zero: none.
func (p *pin) exclusive() task.ID {
	if p.writer.IsZero() && len(p.readers) > 0 {
		return p.readers[0]
	}
	return p.writer
}

// alone reports whether an intent suffers no other change of its record.
func alone(in *store.Intent) bool { return in.Op != store.IntentAdd || in.Expected != 0 }

// Holder returns the transaction that a write of the record, or else a read of
// what it is going to be, has to wait for; zero: none.
func (l *Ledger) Holder(key, name string, write bool) task.ID {
	if len(l.pins) == 0 {
		return task.ID{}
	}
	p := l.pins[RecordKey{key, name}]
	switch {
	case p == nil:
		return task.ID{}
	case !p.writer.IsZero():
		return p.writer
	case len(p.adds.by) > 0:
		return p.adds.by[0]
	case write && len(p.readers) > 0:
		return p.readers[0]
	}
	return task.ID{}
}

// pinned says why a record may not be written, or else read, at the moment.
func (l *Ledger) pinned(key, name string, write bool) error {
	if tx := l.Holder(key, name, write); !tx.IsZero() {
		return &ConflictError{Key: key, Name: name, Tx: tx}
	}
	return nil
}

// pin makes the intents' records those of their transaction. They are known, and
// stay so.
func (l *Ledger) pin(intents []*store.Intent) {
	for _, in := range intents {
		k := RecordKey{in.Key, in.Name}
		p := l.pins[k]
		if p == nil {
			p = &pin{}
			l.pins[k] = p
		}
		e := l.entity(in.Key)
		e.expected++
		if in.Op == store.IntentRead {
			p.readers = append(p.readers, in.Tx)
			continue
		}
		if !alone(in) {
			p.adds.take(in.Tx, in.Delta)
			continue
		}
		p.writer = in.Tx
		l.hold(e.records[in.Name], in.Tx)
	}
}

// unpin gives the intents' records back and returns them.
func (l *Ledger) unpin(intents []*store.Intent) []RecordKey {
	freed := make([]RecordKey, 0, len(intents))
	for _, in := range intents {
		k := RecordKey{in.Key, in.Name}
		p := l.pins[k]
		e := l.entity(in.Key)
		e.arrived()
		switch {
		case in.Op == store.IntentRead:
			p.readers = slices.DeleteFunc(p.readers, func(tx task.ID) bool { return tx == in.Tx })
		case !alone(in):
			p.adds.giveBack(in.Tx, in.Delta)
		default:
			p.writer = task.ID{}
			l.hold(e.records[in.Name], task.ID{})
		}
		if p.writer.IsZero() && len(p.readers)+len(p.adds.by) == 0 {
			delete(l.pins, k)
		}
		freed = append(freed, k)
	}
	return freed
}

// hold notes in the record's row, if it has one, which transaction is to change
// it.
func (l *Ledger) hold(r *record, tx task.ID) {
	if r == nil || r.tx == tx {
		return
	}
	r.tx = tx
	if r.version != 0 {
		l.touch(r)
	}
}
