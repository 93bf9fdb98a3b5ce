package watch

import (
	"fmt"

	"github.com/fenfa/fenfa/internal/task"
)

// TrimmedError says that the op log does not reach back to where a watch wants to
// begin.
type TrimmedError struct {
	Part   int
	Wanted uint64 // number of the first row that is wanted
	Oldest uint64 // number of the oldest row that there is
}

// Error says what to do.
func (e *TrimmedError) Error() string {
	return fmt.Sprintf("the op log of partition %d begins at %d, and %d is wanted: begin after %d, or with the records as they are (initial)",
		e.Part, e.Oldest, e.Wanted, e.Oldest-1)
}

// Unwrap returns the error with its code.
func (e *TrimmedError) Unwrap() error {
	return task.Errorf(task.CodeFailedPrecondition, "%s", e.Error()).WithField("from")
}

func missing(part int, seq uint64) error {
	return task.Errorf(task.CodeInternal, "row %d of the op log of partition %d is missing: `fenfa state audit --partition %d` says more", seq, part, part)
}

func ahead(part int, seq, last uint64) error {
	return task.Errorf(task.CodeFailedPrecondition,
		"partition %d is to be watched after %d, and its op log ends at %d: the position is of other data; begin without one, or with the records as they are (initial)",
		part, seq, last).WithField("from")
}

func unserved(part int) *task.Error {
	return task.Errorf(task.CodeUnavailable, "partition %d is not served at the moment: try again", part)
}
