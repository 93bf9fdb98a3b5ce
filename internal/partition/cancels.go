package partition

import (
	"context"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// CancelResult says what became of one task that was to be cancelled. With Err set
// nothing did. A task that had ended keeps its state.
type CancelResult struct {
	ID    task.ID
	State task.State
	// Stopping says that the task runs: its handler was asked to stop. It is cancelled
	// unless the handler finishes it all the same.
	Stopping bool
	Err      error
}

// Cancel cancels tasks that wait, and asks the handlers of those that run to stop.
// It returns when that is durable, with one result for each ID. why is kept with
// each task.
func (e *Engine) Cancel(ctx context.Context, ids []task.ID, why string) []CancelResult {
	results := make([]CancelResult, len(ids))
	places := make([]place, len(ids))
	byPart := make(map[int][]int)
	var lost []int // the broker does not know where they are
	for i, id := range ids {
		results[i].ID = id
		located, found, err := e.locate(ctx, id)
		switch {
		case err != nil:
			results[i].Err = err
		case found:
			places[i] = located
			byPart[located.Partition] = append(byPart[located.Partition], i)
		default:
			lost = append(lost, i)
		}
	}
	for part, which := range byPart {
		e.cancelIn(ctx, e.owners[part], which, places, why, results)
	}
	e.cancelLost(ctx, lost, places, why, results)
	return results
}

// cancelLost asks one partition after another for tasks that the broker does not
// know. Of one that is found nowhere it says so only if all partitions did.
func (e *Engine) cancelLost(ctx context.Context, lost []int, places []place, why string, results []CancelResult) {
	unsure := make(map[int]error)
	for _, o := range e.owners {
		if len(lost) == 0 {
			break
		}
		e.cancelIn(ctx, o, lost, places, why, results)
		left := make([]int, 0, len(lost))
		for _, i := range lost {
			switch code := task.CodeOf(results[i].Err); {
			case results[i].Err == nil:
			case code == task.CodeUnavailable:
				unsure[i] = results[i].Err
				left = append(left, i)
			case code == task.CodeNotFound:
				left = append(left, i)
			}
		}
		lost = left
	}
	for _, i := range lost {
		if unsure[i] != nil {
			results[i].Err = unsure[i]
		}
	}
}

// cancelIn cancels some of the tasks in one partition.
func (e *Engine) cancelIn(ctx context.Context, o *owner, which []int, places []place, why string, results []CancelResult) {
	x := &cancelling{why: why, results: make([]CancelResult, len(which)), places: make([]place, len(which))}
	for n, i := range which {
		x.results[n].ID, x.places[n] = results[i].ID, places[i]
	}
	got, err := ask(ctx, o, func(c *core, now time.Time, answer func([]CancelResult)) {
		x.answer = answer
		c.cancel(now, x)
	})
	for n, i := range which {
		if err != nil {
			results[i].Err = err
		} else {
			results[i] = got[n]
		}
	}
}
