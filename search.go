package fenfa

import (
	"context"
	"iter"
	"time"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// TaskFilter says which tasks are meant. Its zero value means all of them.
type TaskFilter struct {
	Queue string
	State LifeState // empty: any
	Key   string
	Type  string
	Text  string    // is in the payload, byte by byte
	Since time.Time // was accepted then or later
	Until time.Time // was accepted before
}

// TaskPage is a part of the tasks that a search finds.
type TaskPage struct {
	Tasks []*TaskStatus
	Next  string // for Page.Token; empty: there are no more
	// Incomplete says what of the tasks that the filter may mean was not looked at, one
	// sentence each.
	Incomplete []string
}

// Tasks searches tasks, in no particular order, a bounded part of them with each call.
// A page may be short, or empty, and not be the last. A task that moves between two
// calls may be found twice, or not.
func (c *Client) Tasks(ctx context.Context, filter TaskFilter, page Page) (TaskPage, error) {
	state, err := filter.State.toWire()
	if err != nil {
		return TaskPage{}, err
	}
	resp, err := call(ctx, c, "list tasks", c.tasks.List, &fenfav1.ListTasksRequest{
		Queue: filter.Queue, State: state, Key: filter.Key, Type: filter.Type, Text: filter.Text,
		Since: momentToWire(filter.Since), Until: momentToWire(filter.Until), PageSize: clampUint32(page.Size), PageToken: page.Token,
	})
	if err != nil {
		return TaskPage{}, err
	}
	found := TaskPage{Tasks: make([]*TaskStatus, len(resp.GetTasks())), Next: resp.GetNextPageToken(), Incomplete: resp.GetIncomplete()}
	for i, t := range resp.GetTasks() {
		id, _ := parseID(t.GetId())
		found.Tasks[i] = statusOf(id, t)
	}
	return found, nil
}

// EachTask goes over all tasks that a filter means, as Tasks does page by page. It
// ends after the first error.
func (c *Client) EachTask(ctx context.Context, filter TaskFilter) iter.Seq2[*TaskStatus, error] {
	return func(yield func(*TaskStatus, error) bool) {
		page := Page{Size: 1000}
		for {
			found, err := c.Tasks(ctx, filter, page)
			for _, t := range found.Tasks {
				if !yield(t, nil) {
					return
				}
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if page.Token = found.Next; page.Token == "" {
				return
			}
		}
	}
}

// toWire is the reverse of lifeStateOf; empty is any state.
func (s LifeState) toWire() (fenfav1.TaskState, error) {
	if s == "" {
		return fenfav1.TaskState_TASK_STATE_UNSPECIFIED, nil
	}
	for n := range fenfav1.TaskState_name {
		if w := fenfav1.TaskState(n); w != fenfav1.TaskState_TASK_STATE_UNSPECIFIED && lifeStateOf(w) == s {
			return w, nil
		}
	}
	return 0, errorf(CodeInvalidArgument, "state %q is not known: want queued, scheduled, ready, running, done, dead, cancelled or expired", s)
}
