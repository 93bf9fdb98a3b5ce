package fenfa

import (
	"time"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// What becomes of a saga when a step is dead.
const (
	OnDeadCompensate OnDead = "compensate" // undo what was done; the default of steps
)

// When says which steps of a saga are compensated.
type When string

// The values of Compensation.When.
const (
	WhenDone  When = "done"  // those that took effect; the default
	WhenTried When = "tried" // also those that were begun and then failed
)

// SagaDefinition says of what steps a saga consists. NewSaga begins one.
type SagaDefinition struct {
	Name      string
	Deadline  time.Duration // from the start; then the saga compensates. 0: none
	Retention time.Duration // how long it is kept after its end. 0: 7 days
	Stages    [][]Step      // one after another; the steps of one run at the same time
	Version   string        // names the content; set by the node
}

// Step is one task of a saga. In Key and in the strings of Payload, places like
// ${input.order.id}, ${results.STEP.field}, ${saga.id} and ${saga.name} are filled
// in; a string that is one place becomes the value found there, whatever its type.
type Step struct {
	Name    string
	Queue   string
	Key     string
	Type    string        // of the task; empty: the step's name
	Payload any           // encoded as JSON; nil: the saga's input
	Retry   RetryPolicy   // zero: the queue's
	Timeout time.Duration // per attempt; 0: the queue's
	// OnDead says what becomes of the saga when the step is dead: OnDeadCompensate
	// (the default), OnDeadHalt (it waits for a person) or OnDeadSkip.
	OnDead OnDead
	// Compensation undoes the step; nil: there is nothing to undo.
	Compensation *Compensation
}

// Compensation is the task that undoes a step. It has the step's key, and is tried
// until it succeeds unless Retry says otherwise.
type Compensation struct {
	Queue   string        // empty: the step's
	Type    string        // empty: "undo-" and the step's type
	Payload any           // nil: the step's
	Retry   RetryPolicy   // MaxAttempts 0: 10,000
	Timeout time.Duration // per attempt; 0: the queue's
	When    When          // default WhenDone
}

// NewSaga begins the definition of a saga.
func NewSaga(name string) *SagaDefinition { return &SagaDefinition{Name: name} }

// Then adds the next stage: one step, or several that run at the same time.
func (d *SagaDefinition) Then(steps ...Step) *SagaDefinition {
	d.Stages = append(d.Stages, steps)
	return d
}

// Within sets the deadline.
func (d *SagaDefinition) Within(deadline time.Duration) *SagaDefinition {
	d.Deadline = deadline
	return d
}

// Keep sets how long a saga is kept after its end.
func (d *SagaDefinition) Keep(retention time.Duration) *SagaDefinition {
	d.Retention = retention
	return d
}

func (d *SagaDefinition) toWire() (*fenfav1.SagaDefinition, error) {
	w := &fenfav1.SagaDefinition{Name: d.Name, Deadline: durationToWire(d.Deadline), Retention: durationToWire(d.Retention)}
	for _, stage := range d.Stages {
		ws := &fenfav1.SagaStage{}
		for i := range stage {
			step, err := stage[i].toWire()
			if err != nil {
				return nil, err
			}
			ws.Steps = append(ws.Steps, step)
		}
		w.Stages = append(w.Stages, ws)
	}
	return w, nil
}

func (s *Step) toWire() (*fenfav1.SagaStep, error) {
	payload, err := encode(s.Payload)
	if err != nil {
		return nil, err
	}
	w := &fenfav1.SagaStep{
		Name: s.Name, Queue: s.Queue, Key: s.Key, Type: s.Type, Payload: payload, Retry: s.Retry.toWire(),
		Timeout: durationToWire(s.Timeout), OnDead: string(s.OnDead),
	}
	c := s.Compensation
	if c == nil {
		return w, nil
	}
	if payload, err = encode(c.Payload); err != nil {
		return nil, err
	}
	w.Compensation = &fenfav1.SagaCompensation{
		Queue: c.Queue, Type: c.Type, Payload: payload, Retry: c.Retry.toWire(), Timeout: durationToWire(c.Timeout), When: string(c.When),
	}
	return w, nil
}

func sagaDefinitionOf(w *fenfav1.SagaDefinition) SagaDefinition {
	d := SagaDefinition{
		Name: w.GetName(), Deadline: w.GetDeadline().AsDuration(), Retention: w.GetRetention().AsDuration(), Version: w.GetVersion(),
	}
	for _, ws := range w.GetStages() {
		stage := make([]Step, len(ws.GetSteps()))
		for i, step := range ws.GetSteps() {
			stage[i] = stepOf(step)
		}
		d.Stages = append(d.Stages, stage)
	}
	return d
}

func stepOf(w *fenfav1.SagaStep) Step {
	s := Step{
		Name: w.GetName(), Queue: w.GetQueue(), Key: w.GetKey(), Type: w.GetType(), Payload: payloadOf(w.GetPayload()),
		Retry: retryOf(w.GetRetry()), Timeout: w.GetTimeout().AsDuration(), OnDead: OnDead(w.GetOnDead()),
	}
	if c := w.GetCompensation(); c != nil {
		s.Compensation = &Compensation{
			Queue: c.GetQueue(), Type: c.GetType(), Payload: payloadOf(c.GetPayload()), Retry: retryOf(c.GetRetry()),
			Timeout: c.GetTimeout().AsDuration(), When: When(c.GetWhen()),
		}
	}
	return s
}

// payloadOf gives nil for none, so that it can be defined again as it is.
func payloadOf(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

func retryOf(w *fenfav1.RetryPolicy) RetryPolicy {
	return RetryPolicy{
		Base: w.GetBase().AsDuration(), Factor: w.GetFactor(), Max: w.GetMax().AsDuration(), MaxAttempts: int(w.GetMaxAttempts()),
	}
}
