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
	if have := l.txns[row.Tx]; have != nil {
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
	l.txns[row.Tx] = row
	l.Put(row)
	return nil
}

// Decision returns what was decided about a transaction, or nil.
func (l *Ledger) Decision(tx task.ID) *store.Txn { return l.txns[tx] }

// Unconfirmed returns the committed transactions that are not forgotten.
func (l *Ledger) Unconfirmed() []*store.Txn {
	var rows []*store.Txn
	for _, tx := range sortedIDs(l.txns) {
		if t := l.txns[tx]; t.State == store.TxCommitted {
			rows = append(rows, t)
		}
	}
	return rows
}

// Forget removes the decision of a committed transaction that all participants
// have applied.
func (l *Ledger) Forget(tx task.ID) {
	if t := l.txns[tx]; t != nil && t.State == store.TxCommitted {
		delete(l.txns, tx)
		l.Delete(&store.Txn{Tx: tx})
	}
}

// RestoreDecision takes back a decision of an earlier owner.
func (l *Ledger) RestoreDecision(row *store.Txn) { l.txns[row.Tx] = row }

// Collect forgets aborted transactions that began before a time, at most as many
// as given, and returns how many it forgot. From then on it refuses all that began
// as early: nobody can make of a forgotten abort a commit.
func (l *Ledger) Collect(before time.Time, most int) (n int) {
	edge := task.TimestampAt(before)
	collect := func(began task.Timestamp, row store.Row) bool {
		if began >= edge || n == most {
			return false
		}
		n++
		l.head.GC = max(l.head.GC, began)
		l.Delete(row)
		return true
	}
	for _, tx := range sortedIDs(l.branches) {
		if b := l.branches[tx]; b.row.State == store.TxAborted && collect(b.row.Began, &store.Branch{Tx: tx}) {
			delete(l.branches, tx)
		}
	}
	for _, tx := range sortedIDs(l.txns) {
		if t := l.txns[tx]; t.State == store.TxAborted && collect(t.Began, &store.Txn{Tx: tx}) {
			delete(l.txns, tx)
		}
	}
	return n
}

// sortedIDs makes walks over transactions the same in every run.
func sortedIDs[V any](m map[task.ID]V) []task.ID {
	return slices.SortedFunc(maps.Keys(m), task.ID.Compare)
}
