package txn

import (
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// Kind is what a message says.
type Kind uint8

// The kinds.
const (
	Prepare   Kind = iota // home: check and hold these records
	Voted                 // participant: they are held, durably; or, with Err, why not
	Apply                 // home: it is committed
	Applied               // participant: it is applied, durably
	Abort                 // home: it is aborted
	Ask                   // participant: what became of it?
	Undecided             // home: it is still being worked on
)

// String returns the kind in lower case.
func (k Kind) String() string {
	names := [...]string{"prepare", "voted", "apply", "applied", "abort", "ask", "undecided"}
	if int(k) < len(names) {
		return names[k]
	}
	return "?"
}

// Message is what one partition tells another about a transaction.
type Message struct {
	Kind     Kind
	Tx       task.ID
	From, To int
	Began    task.Timestamp
	Question uint64          // Ask and the answer to it: its number, of those of the participant
	Branch   *store.Branch   // Prepare: belongs to the receiver, as do the intents
	Intents  []*store.Intent // Prepare
	Err      error           // Voted: why not
	Seen     task.Timestamp  // Voted, with Err: one that the participant has given already
}
