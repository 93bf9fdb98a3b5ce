package fenfa

import (
	"time"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// batch is a run of submitted tasks that travel together. Its fields belong to
// the batcher's lock until settled is closed, and do not change afterwards.
type batch struct {
	sequence uint64
	tasks    []*fenfav1.Task
	holes    int // tasks given up before they were sent, nil in tasks
	bytes    int
	born     time.Time
	sent     bool // it was on the wire, perhaps of an earlier connection
	resent   bool // it was on the wire of more than one connection

	// places maps an index on the wire to an index in tasks, where there are holes.
	places  []int
	settled chan struct{}
	results []*fenfav1.SubmitResult // by index; nil: every task is newly durable
	err     *Error                  // instead of an answer
}

// full reports whether nothing may be added.
func (b *batch) full(most int) bool {
	return b.sent || len(b.tasks) >= most || b.bytes >= maxBatchBytes
}

// request is what goes on the wire. From then on the batch does not change.
func (b *batch) request() *fenfav1.SubmitStreamRequest {
	b.resent, b.sent = b.sent, true
	req := &fenfav1.SubmitStreamRequest{Sequence: b.sequence, Tasks: b.tasks}
	if b.holes == 0 {
		return req
	}
	req.Tasks = make([]*fenfav1.Task, 0, len(b.tasks)-b.holes)
	b.places = b.places[:0]
	for i, t := range b.tasks {
		if t != nil {
			req.Tasks = append(req.Tasks, t)
			b.places = append(b.places, i)
		}
	}
	return req
}

// answer takes the node's answer. It reports false for one that does not fit.
func (b *batch) answer(resp *fenfav1.SubmitStreamResponse) bool {
	if len(resp.GetExceptions()) == 0 {
		return true
	}
	b.results = make([]*fenfav1.SubmitResult, len(b.tasks))
	for _, e := range resp.GetExceptions() {
		i := int(e.GetIndex())
		if b.holes > 0 && i < len(b.places) {
			b.results[b.places[i]] = e.GetResult()
		} else if b.holes == 0 && i < len(b.results) {
			b.results[i] = e.GetResult()
		} else {
			return false
		}
	}
	return true
}

// result completes r with what became of the i-th task of a settled batch.
func (b *batch) result(i int, r SubmitResult) SubmitResult {
	if b.err != nil {
		r.Err = b.err
		return r
	}
	r.State = StateQueued
	if b.results == nil || b.results[i] == nil {
		return r
	}
	w := b.results[i]
	if r.Duplicate = w.GetDuplicate(); r.Duplicate && w.GetId() != "" {
		if id, ok := parseID(w.GetId()); ok {
			r.ID = id // another one's, where the task is to be unique
		}
	}
	r.State = lifeStateOf(w.GetState())
	if w.GetError() != nil {
		r.Err = errorFromWire(w.GetError())
	}
	return r
}
