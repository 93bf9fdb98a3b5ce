package saga

import (
	"slices"
	"strings"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// Do is what a person asks of a saga.
type Do string

// What can be asked.
const (
	DoRetry      Do = "retry"      // begin again what waits for a person
	DoSkip       Do = "skip"       // go on as if what waits for a person were done
	DoCompensate Do = "compensate" // undo what was done, also of a saga that is done
)

// Operation is what a person asks for. One with an ID that the saga has seen
// changes nothing.
type Operation struct {
	ID     string // at most 64 bytes; needed
	Do     Do
	Step   string // DoRetry, DoSkip: only this one; empty: all that wait
	Reason string
}

const maxOperationID = 64

// Operate takes what a person asks for. changed is false where the operation took
// effect before; an error says why it cannot.
func (in *Instance) Operate(now time.Time, op *Operation) (actions Actions, changed bool, err error) {
	s := in.State
	if op.ID == "" || len(op.ID) > maxOperationID {
		return Actions{}, false, task.Errorf(task.CodeInvalidArgument, "the operation id has %d bytes: want 1 to %d", len(op.ID), maxOperationID).WithField("operation_id")
	}
	if slices.Contains(s.Operations, op.ID) {
		return Actions{}, false, nil
	}
	m := in.machine(now)
	switch op.Do {
	case DoRetry, DoSkip:
		err = m.release(op)
	case DoCompensate:
		err = m.compensate(op)
	default:
		err = task.Errorf(task.CodeInvalidArgument, "operation %q is not known: want retry, skip or compensate", op.Do)
	}
	if err != nil {
		return Actions{}, false, err
	}
	s.Operations = append(s.Operations, op.ID)
	if n := len(s.Operations); n > keptOperations {
		s.Operations = slices.Delete(s.Operations, 0, n-keptOperations)
	}
	m.advance()
	return m.actions, true, nil
}

// release retries or skips what waits for a person.
func (m *machine) release(op *Operation) error {
	s := m.State
	found := m.halted()
	if op.Step != "" {
		if !slices.ContainsFunc(m.steps, func(step *Step) bool { return step.Name == op.Step }) {
			return task.Errorf(task.CodeNotFound, "saga %q has no step %q: its steps are %s", s.ID, op.Step, strings.Join(m.names(), ", ")).WithField("step")
		}
		found = slices.DeleteFunc(found, func(w waiting) bool { return m.steps[w.index].Name != op.Step })
	}
	if len(found) == 0 {
		what := "no step of it waits"
		if op.Step != "" {
			what = "step " + op.Step + " does not wait"
		}
		return task.Errorf(task.CodeFailedPrecondition, "saga %q is %s and %s for a person: see `fenfa saga show %s`", s.ID, s.Status, what, s.ID)
	}
	for _, w := range found {
		if op.Do == DoRetry {
			m.begin(w.index, w.undo)
			s.Events[len(s.Events)-1].Operation = op.ID
			continue
		}
		m.run(w.index, w.undo).Phase = PhaseSkipped
		s.note(Event{At: m.now, What: EventSkipped, Step: m.steps[w.index].Name, Undo: w.undo, Operation: op.ID, Text: op.Reason})
	}
	return nil
}

// compensate turns the saga back.
func (m *machine) compensate(op *Operation) error {
	if m.State.Back {
		return task.Errorf(task.CodeFailedPrecondition, "saga %q is %s already", m.State.ID, m.State.Status)
	}
	reason := op.Reason
	if reason == "" {
		reason = "a person asked for it"
	}
	m.turnBack(reason, op.ID)
	return nil
}

func (m *machine) names() []string {
	names := make([]string, len(m.steps))
	for i, step := range m.steps {
		names[i] = step.Name
	}
	return names
}
