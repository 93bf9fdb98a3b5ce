package recent

import (
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// maxAhead is how far ahead of the clock the millisecond of a version 7 id may be.
// The floor of IDs rises with the ids: one from far ahead would raise it above all
// that come after.
const maxAhead = time.Hour

// Latest returns the greatest millisecond that a version 7 id may have now.
func Latest(now time.Time) uint64 { return uint64(now.Add(maxAhead).UnixMilli()) }

// Check refuses ids that a task cannot be taken under: the zero id, and one whose
// millisecond is above latest. The error is a *task.Error.
func Check(id *task.ID, latest uint64) error {
	if id.IsZero() {
		return task.Errorf(task.CodeInvalidArgument, "the task has no id").WithField("id")
	}
	if ms, ok := id.Millis(); ok && ms > latest {
		return task.Errorf(task.CodeInvalidArgument,
			"task id %s says that it was made at %s, more than an hour from now: set the clock of the program that made it",
			*id, time.UnixMilli(int64(ms)).UTC().Format(time.RFC3339)).WithField("id")
	}
	return nil
}
