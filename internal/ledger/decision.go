package ledger

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// Decide makes the decision about a transaction part of the gathering batch. It is
// made once: where there is another one already Decide fails with ErrAborted, or
// for an abort of what is committed with an error that says so; where there could
// have been one it fails with ErrForgotten.
func (l *Ledger) Decide(now time.Time, row *store.Txn) error {
	if have := l.Decision(row.Tx); have != nil {
		switch have.State {
		case row.State:
			return nil
		case store.TxAborted:
			return ErrAborted
		default:
			return fmt.Errorf("transaction %s is %s already", row.Tx, have.State)
		}
	}
	if row.Began <= l.head.GC {
		return ErrForgotten
	}
	row.At = l.Stamp(now)
	l.RestoreDecision(row)
	l.Put(row)
	return nil
}

// Decision returns what was decided about a transaction, or nil. Of an aborted one it
// tells no more than that.
func (l *Ledger) Decision(tx task.ID) *store.Txn {
	if l.givenUp.has(tx) {
		return &store.Txn{Tx: tx, State: store.TxAborted, Began: l.givenUp.began[tx]}
	}
	return l.txns[tx]
}

// Unconfirmed returns the committed transactions that are not forgotten.
func (l *Ledger) Unconfirmed() []*store.Txn {
	var rows []*store.Txn
	for _, tx := range sortedIDs(l.txns) {
		rows = append(rows, l.txns[tx])
	}
	return rows
}

// Forget removes the decision of a committed transaction that all participants
// have applied.
func (l *Ledger) Forget(tx task.ID) {
	if l.txns[tx] != nil {
		delete(l.txns, tx)
		l.Delete(&store.Txn{Tx: tx})
	}
}

// RestoreDecision takes back a decision of an earlier owner.
func (l *Ledger) RestoreDecision(row *store.Txn) {
	if row.State == store.TxAborted {
		l.givenUp.add(row.Tx, row.Began)
		return
	}
	l.txns[row.Tx] = row
}

// Collect forgets aborted transactions that began before a time, at most as many
// as given, and returns how many it forgot. From then on it refuses all that began
// as early: nobody can make of a forgotten abort a commit.
func (l *Ledger) Collect(before time.Time, most int) (n int) {
	edge := task.TimestampAt(before)
	for ; n < most; n++ {
		a, ok := l.undone.before(edge)
		if !ok {
			break
		}
		l.head.GC = max(l.head.GC, a.began)
		l.Delete(&store.Branch{Tx: a.tx})
	}
	for ; n < most; n++ {
		a, ok := l.givenUp.before(edge)
		if !ok {
			break
		}
		l.head.GC = max(l.head.GC, a.began)
		l.Delete(&store.Txn{Tx: a.tx})
	}
	return n
}

// sortedIDs makes walks over transactions the same in every run.
func sortedIDs[V any](m map[task.ID]V) []task.ID {
	if len(m) == 0 {
		return nil
	}
	return slices.SortedFunc(maps.Keys(m), task.ID.Compare)
}
