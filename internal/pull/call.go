package pull

import (
	"context"
	"sync"

	"github.com/fenfa/fenfa/internal/task"
)

// call is one call that answers tasks. Sessions tell it what became of each.
type call struct {
	answers []Answer
	done    chan struct{} // closed when every answer has its result

	mu      sync.Mutex
	results []Result
	known   []bool
	left    int // answers without a result
	over    bool
}

func newCall(answers []Answer) *call {
	c := &call{
		answers: answers, done: make(chan struct{}),
		results: make([]Result, len(answers)), known: make([]bool, len(answers)), left: len(answers),
	}
	for i := range answers {
		c.results[i].Lease = answers[i].Lease
	}
	if len(answers) == 0 {
		close(c.done)
	}
	return c
}

// set gives one answer its result, unless it has one or nobody waits any more.
func (c *call) set(i int, fill func(*Result)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.known[i] {
		return
	}
	fill(&c.results[i])
	c.known[i] = true
	if c.left--; c.left == 0 {
		close(c.done)
	}
}

// fail says that an answer changed nothing, or that this is unknown.
func (c *call) fail(i int, err error) { c.set(i, func(r *Result) { r.Err = err }) }

// judged says what became of the answer for the task with that index.
func (c *call) judged(i int, v *task.Verdict, index int) {
	c.set(i, func(r *Result) { r.take(v, index) })
}

// takenBack says that the batch of a task ended before it: with what gave it back
// unbegun that is what was wanted.
func (c *call) takenBack(i int) {
	c.set(i, func(r *Result) {
		if c.answers[i].Outcome.Kind != task.OutcomeReturned {
			r.Err = errTakenBack(r.Lease)
		}
	})
}

// ended reports whether nobody waits for the call's results any more. What it has
// claimed may be answered again: the node that was to judge it may be gone.
func (c *call) ended() bool {
	if c == nil {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.over
}

// wait returns the results as soon as there are all, or the call's time is over.
func (c *call) wait(ctx context.Context) []Result {
	select {
	case <-c.done:
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	for i := range c.results {
		if !c.known[i] {
			c.results[i].Err = task.Errorf(task.CodeUnavailable, "there was no answer in time, so whether the outcome took effect is unknown: ask for the task's status: %w", context.Cause(ctx))
		}
	}
	return c.results
}
