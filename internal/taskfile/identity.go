package taskfile

import (
	"strconv"

	"github.com/fenfa/fenfa/internal/task"
)

// identitySpace sets the identities of rows apart from all other derived ones.
// It changes only together with the rule of Identity.
const identitySpace = "fenfa.row/1"

// Identity gives rows the IDs of their tasks, from the content of the file
// alone: the derived ID of (identitySpace, queue, payload, occurrence), where
// occurrence is 1 for the first row with this payload, 2 for the second, and so
// on. So the same file names the same tasks each time, in whatever encoding and
// quoting it is stored; rows that are equal are tasks of their own; and a file
// to which rows were added names the old tasks and new ones.
//
// It keeps 16 bytes and a count for each different payload.
type Identity struct {
	queue string
	seen  map[task.ID]int
}

// NewIdentity returns an Identity for the tasks of one file in one queue.
func NewIdentity(queue string) *Identity {
	return &Identity{queue: queue, seen: make(map[task.ID]int)}
}

// Next returns the ID of the next row, whose payload is the given one.
func (d *Identity) Next(payload []byte) task.ID {
	content := task.DeriveID(identitySpace, d.queue, string(payload))
	d.seen[content]++
	return task.DeriveID(identitySpace, d.queue, string(payload), strconv.Itoa(d.seen[content]))
}

// Named returns the ID of a row that brings its own identifier in a field: the
// identifier itself where it is a UUID, else the ID derived from (identitySpace,
// queue, field, identifier).
func (d *Identity) Named(field, identifier string) task.ID {
	if id, err := task.ParseID(identifier); err == nil {
		return id
	}
	return task.DeriveID(identitySpace, d.queue, field, identifier)
}
