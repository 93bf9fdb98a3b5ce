package ledger

import (
	"errors"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// Sentinels of transactions across partitions.
var (
	// ErrAborted says that the transaction was aborted before.
	ErrAborted = errors.New("the transaction was aborted")
	// ErrForgotten says that the transaction began so long ago that what became of it
	// may be forgotten.
	ErrForgotten = errors.New("the transaction is too old")
)

// branch is a part of a transaction in this partition that is prepared.
type branch struct {
	row     *store.Branch
	intents []*store.Intent
}

// Prepare makes this partition's part of a transaction part of the gathering
// batch: once that is durable, the records of the intents are held until the
// transaction is decided. It fails with a ConflictError where a record is not at its
// version or is held by another one, with ErrAborted where an abort came first,
// and with ErrForgotten. The records must be known.
func (l *Ledger) Prepare(now time.Time, row *store.Branch, intents []*store.Intent) error {
	if l.undone.has(row.Tx) {
		return ErrAborted
	}
	if l.branches[row.Tx] != nil {
		return nil // a repeat
	}
	if row.Began <= l.head.GC {
		return ErrForgotten
	}
	for _, in := range intents {
		if err := l.checkIntent(in); err != nil {
			return err
		}
	}
	row.State, row.At = store.TxPrepared, l.Stamp(now)
	l.Put(row)
	for _, in := range intents {
		l.Put(in)
	}
	l.branches[row.Tx] = &branch{row: row, intents: intents}
	l.pin(intents)
	return nil
}

func (l *Ledger) checkIntent(in *store.Intent) error {
	if !l.local(in.Key) {
		return task.Errorf(task.CodeInternal, "record %q of key %q is not of partition %d", in.Name, in.Key, l.cfg.Part)
	}
	if !alone(in) {
		return l.checkAdd(in.Key, in.Name, in.Delta)
	}
	if err := l.pinned(in.Key, in.Name, in.Op != store.IntentRead); err != nil {
		return err
	}
	if have := l.Record(in.Key, in.Name).Version; have != in.Expected {
		return &ConflictError{Key: in.Key, Name: in.Name, Version: have, Expected: in.Expected}
	}
	switch in.Op {
	case store.IntentAdd:
		return l.checkAdd(in.Key, in.Name, in.Delta)
	case store.IntentPut, store.IntentDelete:
		return l.checkPlain(in.Key, &task.Write{Name: in.Name})
	case store.IntentRead:
	}
	return nil
}

// Unknown returns the records of intents that are not in memory: load them before
// Prepare.
func (l *Ledger) Unknown(intents []*store.Intent) []RecordKey {
	var unknown []RecordKey
	for _, in := range intents {
		if !l.KnowsRecord(in.Key, in.Name) {
			unknown = append(unknown, RecordKey{in.Key, in.Name})
		}
	}
	return unknown
}

// ApplyBranch makes what a committed transaction does here take effect with the
// gathering batch, and returns the records that it held. Where no branch is
// prepared it has been applied before. That holds for one that is marked as aborted
// too: an owner that was replaced may have asked about what its successor applied
// and home forgot.
func (l *Ledger) ApplyBranch(now time.Time, tx task.ID) []RecordKey {
	b := l.branches[tx]
	if b == nil {
		return nil
	}
	by := Author{TaskID: b.row.TaskID, Attempt: b.row.Attempt, Worker: b.row.Worker, Tx: tx}
	freed := l.unpin(b.intents)
	for _, in := range b.intents {
		switch in.Op {
		case store.IntentPut, store.IntentDelete:
			l.write(now, by, in.Key, &task.Write{Name: in.Name, Value: in.Value, Delete: in.Op == store.IntentDelete})
		case store.IntentAdd:
			l.write(now, by, in.Key, &task.Write{Name: in.Name, Escrow: task.EscrowAdd, Delta: in.Delta})
		case store.IntentRead:
		}
		l.Delete(&store.Intent{Tx: tx, Key: in.Key, Name: in.Name})
	}
	l.Delete(&store.Branch{Tx: tx})
	delete(l.branches, tx)
	return freed
}

// AbortBranch undoes this partition's part of a transaction with the gathering
// batch, and returns the records that it held. Where there is none yet, a mark is
// left that a late prepare finds.
func (l *Ledger) AbortBranch(now time.Time, row *store.Branch) []RecordKey {
	b := l.branches[row.Tx]
	if b == nil && (l.undone.has(row.Tx) || row.Began <= l.head.GC) {
		return nil // a repeat, or so old that a prepare would be refused anyway
	}
	var freed []RecordKey
	if b != nil {
		freed = l.unpin(b.intents)
		for _, in := range b.intents {
			l.Delete(&store.Intent{Tx: in.Tx, Key: in.Key, Name: in.Name})
		}
		delete(l.branches, row.Tx)
	}
	row.State, row.At = store.TxAborted, l.Stamp(now)
	l.Put(row)
	l.undone.add(row.Tx, row.Began)
	return freed
}

// Prepared returns the prepared branch of a transaction, or nil.
func (l *Ledger) Prepared(tx task.ID) *store.Branch {
	if b := l.branches[tx]; b != nil {
		return b.row
	}
	return nil
}

// InDoubt returns the prepared branches.
func (l *Ledger) InDoubt() []*store.Branch {
	var rows []*store.Branch
	for _, tx := range sortedIDs(l.branches) {
		rows = append(rows, l.branches[tx].row)
	}
	return rows
}

// RestoreBranch takes back a branch of an earlier owner; the records of its
// intents are known. An aborted one has none.
func (l *Ledger) RestoreBranch(row *store.Branch, intents []*store.Intent) {
	if row.State == store.TxAborted {
		l.undone.add(row.Tx, row.Began)
		return
	}
	l.branches[row.Tx] = &branch{row: row, intents: intents}
	l.pin(intents)
}
