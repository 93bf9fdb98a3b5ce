package saga

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// Instance is one saga: what it began with, and where it is.
type Instance struct {
	Begun *Begun
	State *State
}

// Begun is what a saga began with. It never changes, and is kept in a record.
type Begun struct {
	Definition *Definition `json:"definition"`
	Input      Value       `json:"input,omitempty"`
}

// Start asks for a saga.
type Start struct {
	ID         string
	Definition *Definition
	Input      []byte // at most MaxInput
	Birth      uint64 // of no other saga of this id
}

// Actions are what has to be done, in the commit that keeps the state.
type Actions struct {
	Emits  []task.Task
	Forget bool // remove the saga's records: nothing else is to be done
}

// Begin makes a saga and emits the tasks of its first steps.
func Begin(now time.Time, start Start) (*Instance, Actions, error) {
	if err := ValidateID(start.ID); err != nil {
		return nil, Actions{}, err
	}
	if err := start.Definition.Validate(); err != nil {
		return nil, Actions{}, err
	}
	if len(start.Input) > MaxInput {
		return nil, Actions{}, task.Errorf(task.CodeTooLarge, "the input of the saga has %d bytes; at most %d are allowed", len(start.Input), MaxInput).WithField("input")
	}
	d := start.Definition
	s := &State{
		ID: start.ID, Name: d.Name, Version: d.Version(), Status: StatusRunning, Birth: start.Birth, StartedAt: now.UTC(),
	}
	for _, step := range d.steps() {
		s.Steps = append(s.Steps, StepState{Name: step.Name})
	}
	in := &Instance{Begun: &Begun{Definition: d, Input: start.Input}, State: s}
	s.note(Event{At: s.StartedAt, What: EventStarted})
	m := in.machine(now)
	if d.Deadline > 0 {
		s.DeadlineAt = s.StartedAt.Add(time.Duration(d.Deadline))
		m.emit(s.timer(messageDeadline, 0, s.DeadlineAt))
	}
	m.advance()
	return in, m.actions, nil
}

// Same reports whether a start that is asked for again is this one.
func (in *Instance) Same(start *Start) bool {
	return in.State.Name == start.Definition.Name && bytes.Equal(in.Begun.Input, start.Input)
}

// Decode reads an instance from the values of its two records.
func Decode(begun, state []byte) (*Instance, error) {
	in := &Instance{Begun: &Begun{}}
	if err := json.Unmarshal(begun, in.Begun); err != nil {
		return nil, fmt.Errorf("decode what a saga began with: %w", err)
	}
	var err error
	if in.State, err = DecodeState(state); err != nil {
		return nil, err
	}
	if in.Begun.Definition == nil || len(in.Begun.Definition.steps()) != len(in.State.Steps) {
		return nil, fmt.Errorf("decode saga %q: %w: its state has other steps than its definition", in.State.ID, task.ErrCorrupt)
	}
	return in, nil
}

// Encode returns the record of what the saga began with.
func (b *Begun) Encode() ([]byte, error) {
	encoded, err := json.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("encode what a saga began with: %w", err)
	}
	return encoded, nil
}

// Receive takes a message to the saga. One that is about something else than what
// the saga waits for changes nothing, and changed is false.
func (in *Instance) Receive(now time.Time, message *task.Task) (actions Actions, changed bool, err error) {
	birth, happened, err := read(message)
	if err != nil || birth != in.State.Birth {
		return Actions{}, false, err
	}
	actions, changed = in.apply(now, &happened)
	return actions, changed, nil
}

// Fail says that a task which the last Actions emitted cannot be submitted: its
// step is dead. It reports false for a task that is not a step's.
func (in *Instance) Fail(now time.Time, emitted *task.Task, reason string) (Actions, bool) {
	ref, ok := RefOf(emitted)
	if !ok {
		return Actions{}, false
	}
	return in.apply(now, &Happened{
		kind: kindEnded, index: ref.Index, undo: ref.Undo, try: ref.Try, end: Ending{State: task.StateDead, Error: reason},
	})
}

// kind is what happened to a saga by itself.
type kind uint8

const (
	kindEnded kind = iota
	kindDeadline
	kindForget
)

// Happened is one thing that happened.
type Happened struct {
	kind  kind
	index int
	undo  bool
	try   int
	end   Ending
}

func (in *Instance) apply(now time.Time, h *Happened) (Actions, bool) {
	m := in.machine(now)
	s := in.State
	changed := false
	switch h.kind {
	case kindEnded:
		changed = m.ended(h)
	case kindDeadline:
		if changed = s.EndedAt.IsZero() && !s.Back; changed {
			m.turnBack(m.deadlineReason(), "")
			m.advance()
		}
	case kindForget:
		changed = s.Status.Final() && s.Ends == h.try
		m.actions.Forget = changed
	}
	return m.actions, changed
}

// taskID names the task of one try of a step or its compensation.
func (s *State) taskID(index int, undo bool, try int) task.ID {
	direction := "do"
	if undo {
		direction = "undo"
	}
	return task.DeriveID("fenfa.saga/step", s.ID, strconv.FormatUint(s.Birth, 10), strconv.Itoa(index), direction, strconv.Itoa(try))
}
