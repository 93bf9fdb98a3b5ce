package saga

import (
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// begin makes a task for a step or its compensation, for the first time or again.
func (m *machine) begin(index int, undo bool) {
	r := m.run(index, undo)
	*r = Run{Phase: PhaseRunning, Try: r.Try + 1, BeganAt: m.now, Tried: r.Tried || r.Deliveries > 0}
	t, err := m.taskOf(index, undo, r)
	r.Queue = t.Queue
	if !undo {
		r.Key = t.Key
	}
	step := m.steps[index].Name
	if err != nil {
		r.Phase, r.EndedAt, r.Error = PhaseDead, m.now, clip(err.Error())
		m.State.note(Event{At: m.now, What: EventDead, Step: step, Undo: undo, Try: r.Try, Text: r.Error})
		if !undo {
			m.stepDied(index)
		}
		return
	}
	r.TaskID = t.ID
	m.State.note(Event{At: m.now, What: EventBegan, Step: step, Undo: undo, Try: r.Try})
	m.emit(t)
}

// taskOf is the task of one try of a step or its compensation.
func (m *machine) taskOf(index int, undo bool, r *Run) (task.Task, error) {
	step, s := m.steps[index], m.State
	sc := m.scope()
	t := task.Task{ID: s.taskID(index, undo, r.Try), Queue: step.Queue, Type: step.taskType()}
	template, timeout := step.Payload, step.Timeout
	ref := Ref{ID: s.ID, Name: s.Name, Step: step.Name, Index: index, Undo: undo, Try: r.Try, Birth: s.Birth, Results: m.results()}
	var err error
	if undo {
		c := step.Compensation
		t.Queue, t.Type, timeout = step.undoQueue(), step.undoType(), c.Timeout
		t.Key = s.Steps[index].Do.Key
		t.Retry = c.Retry.policy(untilItSucceeds)
		if len(c.Payload) > 0 {
			template = c.Payload
		}
		ref.Null = m.null(index)
	} else {
		t.Retry = step.Retry.policy(0)
		t.ExpiresAt = s.DeadlineAt
		if t.Key, err = sc.text(step.Key); err != nil {
			return t, task.Errorf(task.CodeInvalidArgument, "the key cannot be filled in: %w", err)
		}
	}
	t.Timeout = time.Duration(timeout)
	if t.Payload, err = sc.payload(template); err != nil {
		return t, task.Errorf(task.CodeInvalidArgument, "the payload cannot be filled in: %w", err)
	}
	if err := t.Validate(); err != nil {
		return t, err
	}
	t.Headers = []task.Header{{Name: Header, Value: ref.encode()}}
	return t, nil
}

// scope is what templates can name now.
func (m *machine) scope() *scope {
	return &scope{
		saga:  map[string]any{"id": m.State.ID, "name": m.State.Name},
		input: m.Begun.Input,
		results: func(step string) ([]byte, bool) {
			for i := range m.State.Steps {
				if s := &m.State.Steps[i]; s.Name == step && s.Do.Phase == PhaseDone {
					return s.Result, len(s.Result) > 0
				}
			}
			return nil, false
		},
	}
}

// results are those of the steps that are done.
func (m *machine) results() []Result {
	var all []Result
	for i := range m.State.Steps {
		if s := &m.State.Steps[i]; s.Do.Phase == PhaseDone && len(s.Result) > 0 {
			all = append(all, Result{Step: s.Name, Value: s.Result})
		}
	}
	return all
}
