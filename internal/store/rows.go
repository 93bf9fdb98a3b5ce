package store

import (
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// Table names one of the ledger's tables. The numbers are part of the stored
// format.
type Table uint8

// The tables; each has one row type.
const (
	TableRecord   Table = 1
	TableDedup    Table = 2
	TableOpLog    Table = 3
	TableOutbox   Table = 4
	TableSchedule Table = 5
	TableParked   Table = 6
	TableAttempt  Table = 7
	TableDead     Table = 8
	TableBranch   Table = 9
	TableIntent   Table = 10
	TableTxn      Table = 11
)

// String returns the table's name.
func (t Table) String() string {
	names := [...]string{"?", "record", "dedup", "oplog", "outbox", "schedule", "parked", "attempt", "dead", "branch", "intent", "txn"}
	if int(t) < len(names) {
		return names[t]
	}
	return "?"
}

// Row is a row of one of the tables: *Record, *Dedup, *OpLog, *Outbox,
// *Schedule, *Parked, *Attempt, *Dead, *Branch, *Intent or *Txn. Its partition comes from the batch or
// scan that carries it. The key fields stand first in each type, in key order.
type Row interface {
	Table() Table
}

// Record is a versioned value of an entity. Key: Key, Name.
type Record struct {
	Key       string
	Name      string
	Version   uint64
	Value     []byte
	UpdatedAt task.Timestamp
	TaskID    task.ID
	Tx        task.ID // the undecided transaction that is to change the record; zero: none
	Escrow    bool    // the value is a bounded counter, which only escrow operations change
}

// Dedup is the mark of a task that left the broker's log: it ended, or it waits
// in the store. Key: ID.
type Dedup struct {
	ID          task.ID
	State       task.State // final, StateScheduled, StateQueued: parked, or StateRunning: to be cancelled
	Fingerprint uint64
	Queue       string
	Key         string
	Type        string // of a task that ended
	Ref         uint64 // Dead.Seq, Schedule.Seq or Parked.Seq
	Due         time.Time
	CreatedAt   task.Timestamp
	FinishedAt  task.Timestamp
	Took        time.Duration // of the attempt that ended the task as done, whole microseconds; 0: not known
	Attempts    int
	Deliveries  int
	Worker      string
	Result      []byte
	Error       string
	Expires     time.Time
}

// Op is the kind of an op-log row. The numbers are part of the stored format.
type Op uint8

// The kinds.
const (
	OpPut    Op = 1
	OpDelete Op = 2
	OpEscrow Op = 3 // puts the new state of a bounded counter
)

// String returns the kind in lower case.
func (o Op) String() string {
	switch o {
	case OpPut:
		return "put"
	case OpDelete:
		return "delete"
	case OpEscrow:
		return "escrow"
	default:
		return "?"
	}
}

// OpLog is one change of a record. Key: Seq, without gaps between changes of
// records of one partition.
type OpLog struct {
	Seq     uint64
	HLC     task.Timestamp
	Op      Op
	Key     string
	Name    string
	Before  uint64 // version before; 0: did not exist
	After   uint64 // version after, equal to Seq
	Value   []byte
	TaskID  task.ID
	Attempt int
	Node    string
	Worker  string
	Tx      task.ID  // the transaction across partitions that made it; zero: none
	Hash    [32]byte // SHA-256 over the hash of the row before and this row's content
}

// Outbox is a follow-up task that the broker does not have for sure yet. Key: Seq.
type Outbox struct {
	Seq  uint64
	Body []byte // stored form of the task
}

// Schedule is a task that waits for its time. Key: Due, Seq.
type Schedule struct {
	Due  time.Time // to the microsecond
	Seq  uint64
	Body []byte
}

// Parked is a task set aside behind others of its lane. Key: Queue, Key, Class,
// Seq. The row with Seq 0 is no task: it notes that the key waits for a person.
type Parked struct {
	Queue string
	Key   string // of its lane; empty: no order
	Class string // what the tasks of a lane without order ask of workers; empty: nothing
	Seq   uint64
	Body  []byte
}

// Try is one attempt in a task's history.
type Try struct {
	At     task.Timestamp
	Took   time.Duration // whole microseconds; 0: not known
	Worker string
	Error  string
}

// Attempt counts what happened to a task that was tried and is not finished.
// Key: ID.
type Attempt struct {
	ID         task.ID
	Attempts   int
	Deliveries int
	NextAt     time.Time
	Tries      []Try // the latest ones, oldest first
	Requeues   int   // how often it was a dead letter before
}

// Dead is a dead letter with its history. Key: Queue, Seq. Those of one key are
// in the order of their tasks.
type Dead struct {
	Queue      string
	Seq        uint64
	Body       []byte
	Reason     string
	DiedAt     task.Timestamp
	Attempts   int // since it was requeued the last time
	Deliveries int // likewise
	Tries      []Try
	Requeues   int // how often it was a dead letter before
}

// Table implements Row.
func (*Record) Table() Table { return TableRecord }

// Table implements Row.
func (*Dedup) Table() Table { return TableDedup }

// Table implements Row.
func (*OpLog) Table() Table { return TableOpLog }

// Table implements Row.
func (*Outbox) Table() Table { return TableOutbox }

// Table implements Row.
func (*Schedule) Table() Table { return TableSchedule }

// Table implements Row.
func (*Parked) Table() Table { return TableParked }

// Table implements Row.
func (*Attempt) Table() Table { return TableAttempt }

// Table implements Row.
func (*Dead) Table() Table { return TableDead }
