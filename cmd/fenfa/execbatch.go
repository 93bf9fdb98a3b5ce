package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/fenfa/fenfa"
)

// maxOutcomeLine is how long one outcome of a batch may be: a result in base64, and
// room for the rest.
const maxOutcomeLine = 512 << 10

// execBatch runs a command for several tasks at a time: a line for each on its standard
// input, a line for each on its standard output.
type execBatch struct {
	execHandler
	running chan struct{} // a token for each command that runs
}

// execOutcome is a line of a command about how one task has ended.
type execOutcome struct {
	ID           string          `json:"id"`
	Outcome      string          `json:"outcome"` // done, retry or reject
	Result       json.RawMessage `json:"result"`
	ResultBase64 []byte          `json:"result_base64"`
	Error        string          `json:"error"`
	RetryAfter   string          `json:"retry_after"` // a duration

	after time.Duration // what RetryAfter says
}

// handle runs the command for a batch.
func (b *execBatch) handle(ctx context.Context, tasks []*fenfa.Task) []error {
	errs := make([]error, len(tasks))
	if err := b.enter(ctx, tasks); err != nil {
		return sameFor(errs, err)
	}
	defer func() { <-b.running }()
	var stdin bytes.Buffer
	lines := json.NewEncoder(&stdin)
	for _, t := range tasks {
		if err := lines.Encode(execTaskOf(t)); err != nil {
			return sameFor(errs, fenfa.Reject(fmt.Errorf("encode task: %w", err)))
		}
	}
	said := newOutcomes(tasks)
	out, ended := said.open()
	err := b.start(ctx, execRun{
		stdin: stdin.Bytes(), out: out, hear: hearing(tasks...),
		env: []string{"FENFA_TASK_QUEUE=" + tasks[0].Queue(), "FENFA_BATCH=" + strconv.Itoa(len(tasks))},
	})
	_ = out.Close()
	<-ended
	return said.errors(err)
}

// sameFor says that all tasks have ended in the same way.
func sameFor(errs []error, err error) []error {
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// enter waits until a command may run. That time is not the attempts': they get as much
// as they had.
func (b *execBatch) enter(ctx context.Context, tasks []*fenfa.Task) error {
	select {
	case b.running <- struct{}{}:
		return nil
	default:
	}
	deadline, ok := ctx.Deadline()
	budget := time.Until(deadline)
	if !ok || budget <= 0 {
		budget = time.Minute
	}
	tick := time.NewTicker(max(budget/4, time.Millisecond))
	defer tick.Stop()
	for {
		entered := false
		select {
		case b.running <- struct{}{}:
			entered = true
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		for _, t := range tasks {
			_ = t.Extend(budget) // It fails for those that have ended.
		}
		if entered {
			return nil
		}
	}
}

// outcomes are what a command has said of the tasks of a batch.
type outcomes struct {
	tasks []*fenfa.Task
	index map[string]int
	said  []*execOutcome
	bad   error // the first line that is no outcome
}

func newOutcomes(tasks []*fenfa.Task) *outcomes {
	o := &outcomes{tasks: tasks, index: make(map[string]int, len(tasks)), said: make([]*execOutcome, len(tasks))}
	for i, t := range tasks {
		o.index[t.ID().String()] = i
	}
	return o
}

// open returns what the command writes its outcomes to, and what is closed when all of
// them are read after that was closed.
func (o *outcomes) open() (w io.WriteCloser, ended <-chan struct{}) {
	r, pipe := io.Pipe()
	over := make(chan struct{})
	go func() {
		defer close(over)
		eachLine(r, maxOutcomeLine, o.take)
	}()
	return pipe, over
}

// take takes a line.
func (o *outcomes) take(line []byte, err error) {
	if err == nil {
		err = o.read(line)
	}
	if err != nil && o.bad == nil {
		o.bad = fmt.Errorf("%w: %s", err, clip(line, 120))
	}
}

func (o *outcomes) read(line []byte) error {
	var said execOutcome
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&said); err != nil {
		return fmt.Errorf("want one JSON object with id, outcome, result, error, retry_after: %w", err)
	}
	i, ok := o.index[said.ID]
	switch {
	case !ok:
		return fmt.Errorf("no task of this batch has the id %q", said.ID)
	case o.said[i] != nil:
		return fmt.Errorf("task %s has an outcome already", said.ID)
	}
	if said.Outcome != "done" && said.Outcome != "retry" && said.Outcome != "reject" {
		return fmt.Errorf("outcome %q is not known: want done, retry or reject", said.Outcome)
	}
	if said.RetryAfter != "" {
		after, err := time.ParseDuration(said.RetryAfter)
		if err != nil {
			return fmt.Errorf("retry_after: %w", err)
		}
		said.after = after
	}
	o.said[i] = &said
	return nil
}

// errors returns how each task has ended; ended is how the command did, nil: well. What
// it said of a task counts also where it failed afterwards.
func (o *outcomes) errors(ended error) []error {
	errs := make([]error, len(o.tasks))
	for i, said := range o.said {
		switch {
		case said != nil:
			errs[i] = said.apply(o.tasks[i])
		case ended != nil:
			errs[i] = ended
		case o.bad != nil:
			errs[i] = fmt.Errorf("the command wrote no outcome for this task, but a line that is none: %w", o.bad)
		default:
			errs[i] = errors.New(`the command wrote no outcome for this task: want a line {"id": ..., "outcome": "done"} on standard output`)
		}
	}
	return errs
}

// apply makes the outcome that of a task.
func (s *execOutcome) apply(t *fenfa.Task) error {
	text := s.Error
	if text == "" {
		text = "the command said no more"
	}
	switch s.Outcome {
	case "done":
		result := s.ResultBase64
		if len(result) == 0 && string(s.Result) != "null" {
			result = s.Result
		}
		return fenfa.Reject(t.Return(result)) // It fails where the result is too large.
	case "reject":
		return fenfa.Reject(errors.New(text))
	}
	if s.RetryAfter == "" {
		return errors.New(text)
	}
	return fenfa.RetryAfter(s.after, errors.New(text))
}
