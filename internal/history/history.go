package history

import (
	"encoding/json"
	"fmt"

	"github.com/fenfa/fenfa/internal/task"
)

// Result is what the caller of an operation learned.
type Result string

// The results.
const (
	OK      Result = "ok"      // it happened
	Fail    Result = "fail"    // it did not happen, and never will
	Unknown Result = "unknown" // it may have happened, or happen later
)

// Submit is one call that submitted a task. A task that was submitted again
// after an unknown result has several.
type Submit struct {
	Client string  `json:"client"`
	Start  int64   `json:"start"`
	End    int64   `json:"end"`
	Task   task.ID `json:"task"`
	Queue  string  `json:"queue"`
	Key    string  `json:"key,omitempty"`
	// Pos is the place in what the client submits in order, counted from 1; 0 when
	// the client promises no order beyond that of time.
	Pos    int64  `json:"pos,omitempty"`
	Result Result `json:"result"`
}

// Fence orders leases: by epoch, then by token.
type Fence struct {
	Epoch uint64 `json:"epoch"`
	Token uint64 `json:"token"`
}

func (f Fence) less(g Fence) bool {
	return f.Epoch < g.Epoch || f.Epoch == g.Epoch && f.Token < g.Token
}

// Delivery is one execution of a task by a worker.
type Delivery struct {
	Worker    string  `json:"worker"`
	Partition int     `json:"partition"`
	Fence     Fence   `json:"fence"`
	Task      task.ID `json:"task"`
	Queue     string  `json:"queue"`
	Key       string  `json:"key,omitempty"`
	Attempt   int     `json:"attempt"`         // failures so far + 1
	Delivery  int     `json:"delivery"`        // hand-outs so far, this one included
	Start     int64   `json:"start"`           // of the handler
	End       int64   `json:"end,omitempty"`   // of the handler, before its outcome is sent; 0: nobody saw it
	Error     string  `json:"error,omitempty"` // what the handler failed with
}

// Effect is a change that a task made for good, as a ledger that is independent
// of the system saw it.
type Effect struct {
	Task      task.ID `json:"task"`
	Queue     string  `json:"queue"`
	Key       string  `json:"key,omitempty"`
	Partition int     `json:"partition"`
	Seq       uint64  `json:"seq"` // orders the effects of one key
	Fence     Fence   `json:"fence"`
}

// Final is where a task was found when the run was over.
type Final struct {
	Task  task.ID
	State task.State
}

type finalJSON struct {
	Task  task.ID `json:"task"`
	State string  `json:"state"`
}

// MarshalJSON writes the state by its name.
func (f Final) MarshalJSON() ([]byte, error) {
	return json.Marshal(finalJSON{f.Task, f.State.String()})
}

// UnmarshalJSON reads the state by its name.
func (f *Final) UnmarshalJSON(b []byte) error {
	var named finalJSON
	if err := json.Unmarshal(b, &named); err != nil {
		return err
	}
	for s := task.StateUnknown; s <= task.StateExpired; s++ {
		if s.String() == named.State {
			*f = Final{named.Task, s}
			return nil
		}
	}
	return fmt.Errorf("state %q is not known", named.State)
}

// AccessKind is what an Access does.
type AccessKind string

// The kinds of access.
const (
	Read   AccessKind = "read"
	Write  AccessKind = "write"
	Delete AccessKind = "delete"
)

// Access is one read or conditional write of a record.
type Access struct {
	Client string     `json:"client"`
	Start  int64      `json:"start"`
	End    int64      `json:"end"`
	Kind   AccessKind `json:"kind"`
	Key    string     `json:"key"`
	Name   string     `json:"name"`
	// Expected is the version that a write or delete depends on; 0: there is none.
	Expected uint64 `json:"expected,omitempty"`
	// Version is what was read, or what the write made; 0: no record.
	Version uint64 `json:"version,omitempty"`
	Value   string `json:"value,omitempty"`
	Result  Result `json:"result"` // Fail: the version was another one
}

// Ref names a record.
type Ref struct {
	Key  string `json:"key"`
	Name string `json:"name"`
}

// Group declares records whose numbers always sum to the same.
type Group struct {
	Name    string `json:"name"`
	Records []Ref  `json:"records"`
	Total   int64  `json:"total"`
}

// Snapshot is one consistent read of all records of a group, in its order.
type Snapshot struct {
	Client string  `json:"client"`
	Start  int64   `json:"start"`
	End    int64   `json:"end"`
	Group  string  `json:"group"`
	Values []int64 `json:"values"`
}

// Seen is a record at a version.
type Seen struct {
	Key     string `json:"key"`
	Name    string `json:"name"`
	Version uint64 `json:"version"` // 0: there was no record
}

// Transaction is one that was committed: what it read, and the versions that it
// made. Records of transactions are not deleted.
type Transaction struct {
	ID     string `json:"id"`
	Reads  []Seen `json:"reads,omitempty"`
	Writes []Seen `json:"writes,omitempty"`
}

// History is everything that was seen of a run, in any order.
type History struct {
	Submits    []Submit
	Deliveries []Delivery
	Effects    []Effect
	Finals     []Final
	Accesses   []Access
	Groups     []Group
	Snapshots  []Snapshot
	// Transactions are those of which what they did is known.
	Transactions []Transaction
	// Unordered names queues whose tasks do not wait for each other.
	Unordered []string
}

// Add appends what another process saw of the same run.
func (h *History) Add(more History) {
	h.Submits = append(h.Submits, more.Submits...)
	h.Deliveries = append(h.Deliveries, more.Deliveries...)
	h.Effects = append(h.Effects, more.Effects...)
	h.Finals = append(h.Finals, more.Finals...)
	h.Accesses = append(h.Accesses, more.Accesses...)
	h.Groups = append(h.Groups, more.Groups...)
	h.Snapshots = append(h.Snapshots, more.Snapshots...)
	h.Transactions = append(h.Transactions, more.Transactions...)
	h.Unordered = append(h.Unordered, more.Unordered...)
}

// Len is the number of entries.
func (h *History) Len() int {
	return len(h.Submits) + len(h.Deliveries) + len(h.Effects) + len(h.Finals) +
		len(h.Accesses) + len(h.Groups) + len(h.Snapshots) + len(h.Transactions) + len(h.Unordered)
}
