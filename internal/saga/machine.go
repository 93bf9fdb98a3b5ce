package saga

import (
	"fmt"
	"slices"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// untilItSucceeds is how many attempts a compensation has that says nothing else.
const untilItSucceeds = 10_000

// machine is one transition of an instance.
type machine struct {
	*Instance
	now     time.Time
	steps   []*Step
	stageOf []int // by step
	actions Actions
}

func (in *Instance) machine(now time.Time) *machine {
	m := &machine{Instance: in, now: now.UTC()}
	for number, stage := range in.Begun.Definition.Stages {
		for i := range stage {
			m.steps = append(m.steps, &stage[i])
			m.stageOf = append(m.stageOf, number)
		}
	}
	return m
}

func (m *machine) emit(t task.Task) { m.actions.Emits = append(m.actions.Emits, t) }

// run is where a step or its compensation is.
func (m *machine) run(index int, undo bool) *Run {
	if undo {
		return &m.State.Steps[index].Undo
	}
	return &m.State.Steps[index].Do
}

// ended takes the end of a step's task, and reports false for one that the saga
// does not wait for.
func (m *machine) ended(h *Happened) bool {
	if h.index < 0 || h.index >= len(m.steps) || h.end.State == 0 {
		return false
	}
	r := m.run(h.index, h.undo)
	if r.Phase != PhaseRunning || r.Try != h.try {
		return false
	}
	r.EndedAt, r.Attempts, r.Deliveries, r.Worker = m.now, h.end.Attempts, h.end.Deliveries, h.end.Worker
	e := Event{At: m.now, What: EventDone, Step: m.steps[h.index].Name, Undo: h.undo, Try: r.Try, Attempts: r.Attempts, Worker: r.Worker}
	if h.end.State != task.StateDone {
		r.Phase, r.Error = PhaseDead, clip(h.end.Error)
		if r.Error == "" {
			r.Error = "the task was " + h.end.State.String()
		}
		e.What, e.Text = EventDead, r.Error
		m.State.note(e)
		if !h.undo {
			m.stepDied(h.index)
		}
		m.advance()
		return true
	}
	r.Phase, r.Error = PhaseDone, ""
	m.State.note(e)
	if !h.undo {
		m.keep(h.index, h.end.Result)
	}
	m.advance()
	return true
}

// keep stores what a step returned.
func (m *machine) keep(index int, result []byte) {
	size := len(result)
	for i := range m.State.Steps {
		size += len(m.State.Steps[i].Result)
	}
	if size > MaxResults {
		m.turnBack(fmt.Sprintf("with that of step %q the results have %d bytes; at most %d are kept", m.steps[index].Name, size, MaxResults), "")
		return
	}
	m.State.Steps[index].Result = slices.Clone(result)
}

// stepDied decides what becomes of a saga one of whose steps is dead.
func (m *machine) stepDied(index int) {
	step, r := m.steps[index], m.run(index, false)
	switch at := m.State.DeadlineAt; {
	case m.State.Back: // the others of its stage died first
	case !at.IsZero() && !m.now.Before(at):
		m.turnBack(m.deadlineReason(), "")
	case step.onDead() == OnDeadSkip:
		r.Phase = PhaseSkipped
		m.State.note(Event{At: m.now, What: EventSkipped, Step: step.Name, Text: "the definition goes on without it"})
	case step.onDead() == OnDeadCompensate:
		m.turnBack(fmt.Sprintf("step %q: %s", step.Name, r.Error), "")
	}
}

func (m *machine) deadlineReason() string {
	return fmt.Sprintf("the deadline of %v has passed", time.Duration(m.Begun.Definition.Deadline))
}

// turnBack makes the saga compensate.
func (m *machine) turnBack(reason, operation string) {
	if m.State.Back {
		return
	}
	m.State.Back, m.State.Reason = true, clip(reason)
	m.State.EndedAt = time.Time{}
	m.State.note(Event{At: m.now, What: EventCompensating, Text: reason, Operation: operation})
}

// advance begins what can begin, until the saga waits for something or ends.
func (m *machine) advance() {
	for m.State.EndedAt.IsZero() && !m.anyRunning() {
		progress := false
		if m.State.Back {
			progress = m.backward()
		} else {
			progress = m.forward()
		}
		if !progress {
			break
		}
	}
	m.State.Status = m.status()
}

// forward begins the next stage, and reports false where the saga waits.
func (m *machine) forward() bool {
	s := m.State
	if m.anyOf(s.Stage, func(i int) bool { return s.Steps[i].Do.Phase == PhaseDead }) {
		return false // it waits for a person
	}
	if m.anyOf(s.Stage, func(i int) bool { return s.Steps[i].Do.Phase == PhaseNone }) {
		for i := range m.steps {
			if m.stageOf[i] == s.Stage && s.Steps[i].Do.Phase == PhaseNone && !s.Back {
				m.begin(i, false) // which may turn the saga back
			}
		}
		return true
	}
	if s.Stage+1 < len(m.Begun.Definition.Stages) {
		s.Stage++
		return true
	}
	m.end("")
	return false
}

// backward begins the compensations of the newest stage that has any left, and
// reports false where the saga waits.
func (m *machine) backward() bool {
	s := m.State
	for stage := range slices.Backward(m.Begun.Definition.Stages) {
		if m.anyOf(stage, func(i int) bool { return s.Steps[i].Undo.Phase == PhaseDead }) {
			return false // it waits for a person
		}
		if !m.anyOf(stage, m.owes) {
			continue
		}
		for i := range m.steps {
			if m.stageOf[i] == stage && m.owes(i) {
				m.begin(i, true)
			}
		}
		return true
	}
	m.end(s.Reason)
	return false
}

// owes reports whether a step has to be compensated and that was not begun.
func (m *machine) owes(i int) bool {
	c, do := m.steps[i].Compensation, &m.State.Steps[i].Do
	if c == nil || m.State.Steps[i].Undo.Phase != PhaseNone {
		return false
	}
	return do.Phase == PhaseDone || m.null(i)
}

// null reports whether a step's compensation runs although the step did not take
// effect.
func (m *machine) null(i int) bool {
	c, do := m.steps[i].Compensation, &m.State.Steps[i].Do
	return c != nil && c.When == WhenTried && do.Phase == PhaseDead && (do.Tried || do.Deliveries > 0)
}

func (m *machine) anyRunning() bool {
	return slices.ContainsFunc(m.State.Steps, func(s StepState) bool {
		return s.Do.Phase == PhaseRunning || s.Undo.Phase == PhaseRunning
	})
}

func (m *machine) anyOf(stage int, is func(i int) bool) bool {
	for i := range m.steps {
		if m.stageOf[i] == stage && is(i) {
			return true
		}
	}
	return false
}

// end says that nothing is left to do, and has the saga forgotten in time.
func (m *machine) end(reason string) {
	s := m.State
	s.EndedAt = m.now
	s.Ends++
	s.note(Event{At: m.now, What: EventEnded, Text: reason})
	m.emit(s.timer(messageForget, s.Ends, m.now.Add(m.Begun.Definition.retention())))
}

func (m *machine) status() Status {
	s := m.State
	switch {
	case !s.EndedAt.IsZero() && s.Back:
		return StatusCompensated
	case !s.EndedAt.IsZero():
		return StatusDone
	case len(m.halted()) > 0:
		return StatusHalted
	case s.Back:
		return StatusCompensating
	default:
		return StatusRunning
	}
}

// waiting is a step or a compensation that waits for a person.
type waiting struct {
	index int
	undo  bool
}

// halted are those that wait for a person.
func (m *machine) halted() (found []waiting) {
	for i := range m.State.Steps {
		if m.State.Steps[i].Do.Phase == PhaseDead && !m.State.Back {
			found = append(found, waiting{index: i})
		}
		if m.State.Steps[i].Undo.Phase == PhaseDead {
			found = append(found, waiting{index: i, undo: true})
		}
	}
	return found
}
