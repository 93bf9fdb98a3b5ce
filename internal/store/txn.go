package store

import (
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// TxState is where a transaction across partitions stands. The numbers are part
// of the stored format.
type TxState uint8

// The states of a branch and of a transaction; only a branch is ever prepared.
const (
	TxPrepared  TxState = 1
	TxCommitted TxState = 2
	TxAborted   TxState = 3
)

// String returns the state in lower case.
func (s TxState) String() string {
	switch s {
	case TxPrepared:
		return "prepared"
	case TxCommitted:
		return "committed"
	case TxAborted:
		return "aborted"
	default:
		return "?"
	}
}

// Branch is the part of a transaction in one of its participants: prepared, or
// aborted, which a late prepare must find. A branch that was applied has no row.
// Key: Tx.
type Branch struct {
	Tx       task.ID
	State    TxState
	Home     int            // the partition that decides
	Began    task.Timestamp // of the transaction, by the clock of its home
	At       task.Timestamp // when the branch came to its state
	Deadline time.Time      // after it, whoever meets the branch asks home
	TaskID   task.ID        // whose effect it is; zero: a caller's
	Attempt  int
	Worker   string
}

// IntentOp is what an intent does to its record. The numbers are part of the
// stored format.
type IntentOp uint8

// The kinds.
const (
	IntentPut    IntentOp = 1
	IntentDelete IntentOp = 2
	IntentRead   IntentOp = 3 // holds the record at its version
	IntentAdd    IntentOp = 4 // changes a bounded counter by Delta
)

// String returns the kind in lower case.
func (o IntentOp) String() string {
	switch o {
	case IntentPut:
		return "put"
	case IntentDelete:
		return "delete"
	case IntentRead:
		return "read"
	case IntentAdd:
		return "add"
	default:
		return "?"
	}
}

// Intent is what a prepared branch does to one record once its transaction is
// committed. Key: Tx, Key, Name.
type Intent struct {
	Tx       task.ID
	Key      string
	Name     string
	Op       IntentOp
	Expected uint64 // the version that it was checked against
	Value    []byte
	Delta    int64
}

// Txn is the decision of a transaction, at its home. A committed one is kept until
// every participant has applied it. Key: Tx.
type Txn struct {
	Tx     task.ID
	State  TxState // committed or aborted
	Began  task.Timestamp
	At     task.Timestamp // of the decision
	TaskID task.ID        // whose effect it is; zero: a caller's
	Parts  []int          // its participants, except home
}

// Table implements Row.
func (*Branch) Table() Table { return TableBranch }

// Table implements Row.
func (*Intent) Table() Table { return TableIntent }

// Table implements Row.
func (*Txn) Table() Table { return TableTxn }
