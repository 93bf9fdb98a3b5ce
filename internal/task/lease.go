package task

import "time"

// OutcomeKind is what a handler said.
type OutcomeKind uint8

// The kinds of outcome.
const (
	OutcomeDone     OutcomeKind = iota // writes, emits and result take effect
	OutcomeRetry                       // a failed attempt: tried again by policy, or after RetryAfter
	OutcomeDead                        // rejected: a dead letter at once
	OutcomeReturned                    // not begun: handed out again at once, neither an attempt nor a delivery
)

// String returns the kind in lower case.
func (k OutcomeKind) String() string {
	return [...]string{"done", "retry", "dead", "returned"}[k]
}

// Outcome is a handler's answer for one task.
type Outcome struct {
	Kind       OutcomeKind
	Result     []byte
	Writes     []Write
	Reads      []Read
	Emits      []Task
	Error      string
	RetryAfter time.Duration // OutcomeRetry: the handler's own delay; negative: the policy's
	// Run is, in an ordered lease, 1 and one more for each conflict of it that the worker
	// had heard of when it ran the task; 0: the worker does not say.
	Run uint32
}

// Leased is a task as it is handed to a worker.
type Leased struct {
	Task
	Attempt  int // failures so far + 1
	Delivery int // hand-outs so far, this one included
}

// LeaseRef names one lease: nothing that carries an ended token changes anything.
type LeaseRef struct {
	Partition int
	Epoch     uint64
	Token     uint64
}

// Lease is the right of one worker to finish a batch of tasks.
type Lease struct {
	LeaseRef
	Queue   string
	Timeout time.Duration // per attempt of one task
	Ordered bool          // one key: run one after another; else: in any order, at once
	Tasks   []Leased
	// Records are the key's records when Ordered and they fit into MaxTravel;
	// Complete says that there are no others.
	Records  []Record
	Complete bool
}

// Slots is how many of a worker's slots the lease takes.
func (l *Lease) Slots() int {
	if l.Ordered {
		return 1
	}
	return len(l.Tasks)
}

// VerdictKind is what became of outcomes.
type VerdictKind uint8

// The kinds of verdict.
const (
	VerdictCommitted VerdictKind = iota // durable
	VerdictStale                        // the lease had ended: nothing changed, or it is not known whether
	VerdictConflict                     // a version was not the expected one: run First and what follows again
	VerdictRefused                      // the outcome itself was invalid: the task is a dead letter that says why
	VerdictLate                         // the attempt took too long: nothing changed, and the lease goes on with its other tasks
)

// Verdict answers the outcomes of tasks [First, First+Count) of a lease.
type Verdict struct {
	LeaseRef
	Kind    VerdictKind
	First   int
	Count   int
	Records []Record // VerdictConflict: the key's current records
	// Complete says that Records holds all of the key's records.
	Complete bool
	Error    string // VerdictRefused and VerdictConflict: why
}
