package server

import (
	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/access"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

// maxTasks is the most tasks of one submit.
const maxTasks = 10_000

// maxUnderWay is the most bytes of tasks between their arrival and their answer,
// over all requests and streams. Beyond it streams are read no further, and
// single requests are refused.
const maxUnderWay = 256 << 20

func checkBatch(n int) error {
	if n > maxTasks {
		return task.Errorf(task.CodeTooLarge, "the request has %d tasks; at most %d are allowed: split it", n, maxTasks).WithField("tasks")
	}
	return nil
}

// sizeOf is about what tasks take in memory while they are under way.
func sizeOf(ws []*fenfav1.Task) int64 {
	const each = 128
	n := int64(each * (1 + len(ws)))
	for _, w := range ws {
		n += int64(len(w.GetPayload()) + len(w.GetKey()))
	}
	return min(n, maxUnderWay)
}

// gathering is one call of the engine: the readable tasks of one or more submit
// requests, in order, and what is needed to answer each request.
type gathering struct {
	tasks    []task.Task
	requests []request
	bytes    int
}

// request is the part of a gathering that one request makes.
type request struct {
	sequence uint64
	first    int // index of its first readable task
	count    int // tasks of the request, readable or not
	refused  []refusal
	bytes    int64 // of the server's room, on a stream
}

// refusal is a task of a request that could not be read.
type refusal struct {
	index int
	err   error
}

// add reads the tasks of a request. Those that its caller may not submit are refused,
// and of a message on a stream those without an ID.
func (g *gathering) add(c *access.Caller, sequence uint64, ws []*fenfav1.Task, stream bool) {
	r := request{sequence: sequence, first: len(g.tasks), count: len(ws)}
	var limited error
	if stream {
		limited = c.TakeRequest()
	}
	if limited == nil {
		limited = takeTasks(c, ws)
	}
	everywhere := c.Covers(access.Submit, "")
	for i, w := range ws {
		g.tasks = append(g.tasks, task.Task{})
		t := &g.tasks[len(g.tasks)-1]
		err := taskFromWire(w, t)
		if err == nil && !everywhere {
			err = c.Check(access.Submit, t.Queue)
		}
		if err == nil {
			err = limited
		}
		if err == nil && stream && t.ID.IsZero() {
			err = task.Errorf(task.CodeInvalidArgument, "the task has no id: on a stream the submitter chooses it, so that a repeat after a lost connection is the same task").WithField("id")
		}
		if err != nil {
			g.tasks = g.tasks[:len(g.tasks)-1]
			r.refused = append(r.refused, refusal{index: i, err: err})
			continue
		}
		g.bytes += t.Size()
	}
	g.requests = append(g.requests, r)
}

// takeTasks counts tasks against the limits of their caller.
func takeTasks(c *access.Caller, ws []*fenfav1.Task) error {
	if !c.Limited() {
		return nil
	}
	bytes := 0
	for _, w := range ws {
		bytes += len(w.GetPayload())
	}
	return c.TakeTasks(len(ws), bytes)
}

// reset empties the gathering and keeps its room.
func (g *gathering) reset() {
	clear(g.tasks)
	clear(g.requests)
	g.tasks, g.requests, g.bytes = g.tasks[:0], g.requests[:0], 0
}

// each calls f for every task of the request, in order. results are those of the
// whole gathering.
func (r *request) each(results []partition.SubmitResult, f func(index int, result *partition.SubmitResult)) {
	refused, next := r.refused, r.first
	for i := range r.count {
		if len(refused) > 0 && refused[0].index == i {
			f(i, &partition.SubmitResult{Err: refused[0].err})
			refused = refused[1:]
			continue
		}
		f(i, &results[next])
		next++
	}
}
