package server

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/saga"
	"github.com/fenfa/fenfa/internal/task"
)

// definitionFromWire reads a definition; saga.Definition says what is valid.
func definitionFromWire(w *fenfav1.SagaDefinition) (*saga.Definition, error) {
	d := &saga.Definition{Name: w.GetName()}
	var err error
	if d.Deadline, err = optionalDuration(w.GetDeadline(), "definition.deadline"); err != nil {
		return nil, err
	}
	if d.Retention, err = optionalDuration(w.GetRetention(), "definition.retention"); err != nil {
		return nil, err
	}
	for i, ws := range w.GetStages() {
		var stage saga.Stage
		for _, step := range ws.GetSteps() {
			s, err := stepFromWire(step)
			if err != nil {
				return nil, inField(err, "definition.stages", i)
			}
			stage = append(stage, s)
		}
		d.Stages = append(d.Stages, stage)
	}
	return d, d.Validate()
}

func stepFromWire(w *fenfav1.SagaStep) (saga.Step, error) {
	s := saga.Step{
		Name: w.GetName(), Queue: w.GetQueue(), Key: w.GetKey(), Type: w.GetType(), Payload: w.GetPayload(), OnDead: saga.OnDead(w.GetOnDead()),
	}
	var err error
	if s.Timeout, err = optionalDuration(w.GetTimeout(), "timeout"); err != nil {
		return s, err
	}
	if s.Retry, err = sagaRetryFromWire(w.GetRetry()); err != nil {
		return s, err
	}
	wc := w.GetCompensation()
	if wc == nil {
		return s, nil
	}
	c := &saga.Compensation{Queue: wc.GetQueue(), Type: wc.GetType(), Payload: wc.GetPayload(), When: saga.When(wc.GetWhen())}
	s.Compensation = c
	if c.Timeout, err = optionalDuration(wc.GetTimeout(), "compensation.timeout"); err != nil {
		return s, err
	}
	c.Retry, err = sagaRetryFromWire(wc.GetRetry())
	return s, err
}

func sagaRetryFromWire(w *fenfav1.RetryPolicy) (*saga.Retry, error) {
	if w == nil {
		return nil, nil
	}
	p, err := retryFromWire(w, task.RetryPolicy{})
	if err != nil {
		return nil, err
	}
	return &saga.Retry{Base: saga.Duration(p.Base), Factor: p.Factor, Max: saga.Duration(p.Max), MaxAttempts: p.MaxAttempts}, nil
}

func optionalDuration(w *durationpb.Duration, field string) (saga.Duration, error) {
	if w == nil {
		return 0, nil
	}
	d, err := durationFromWire(w, field)
	return saga.Duration(d), err
}

func optionalDurationToWire(d saga.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(time.Duration(d))
}

func definitionToWire(d *saga.Definition) *fenfav1.SagaDefinition {
	w := &fenfav1.SagaDefinition{
		Name: d.Name, Deadline: optionalDurationToWire(d.Deadline), Retention: optionalDurationToWire(d.Retention), Version: d.Version(),
	}
	for _, stage := range d.Stages {
		ws := &fenfav1.SagaStage{}
		for i := range stage {
			ws.Steps = append(ws.Steps, stepToWire(&stage[i]))
		}
		w.Stages = append(w.Stages, ws)
	}
	return w
}

func stepToWire(s *saga.Step) *fenfav1.SagaStep {
	w := &fenfav1.SagaStep{
		Name: s.Name, Queue: s.Queue, Key: s.Key, Type: s.Type, Payload: s.Payload, Retry: sagaRetryToWire(s.Retry),
		Timeout: optionalDurationToWire(s.Timeout), OnDead: string(s.OnDead),
	}
	if c := s.Compensation; c != nil {
		w.Compensation = &fenfav1.SagaCompensation{
			Queue: c.Queue, Type: c.Type, Payload: c.Payload, Retry: sagaRetryToWire(c.Retry),
			Timeout: optionalDurationToWire(c.Timeout), When: string(c.When),
		}
	}
	return w
}

func sagaRetryToWire(r *saga.Retry) *fenfav1.RetryPolicy {
	if r == nil {
		return nil
	}
	return &fenfav1.RetryPolicy{
		Base: optionalDurationToWire(r.Base), Factor: r.Factor, Max: optionalDurationToWire(r.Max), MaxAttempts: uint32(r.MaxAttempts),
	}
}

// sagaToWire shows all of a saga.
func sagaToWire(in *saga.Instance) *fenfav1.Saga {
	w := sagaStateToWire(in.State)
	w.Input = in.Begun.Input
	at := 0
	for number, stage := range in.Begun.Definition.Stages {
		for i := range stage {
			w.Steps[at].Stage, w.Steps[at].Compensable = uint32(number), stage[i].Compensation != nil
			w.Steps[at].Result = in.State.Steps[at].Result
			at++
		}
	}
	for i := range in.State.Events {
		e := &in.State.Events[i]
		w.Events = append(w.Events, &fenfav1.SagaEvent{
			At: timeToWire(e.At), What: e.What, Step: e.Step, Compensation: e.Undo, Try: uint32(e.Try), Attempts: uint32(e.Attempts),
			Worker: text(e.Worker), OperationId: text(e.Operation), Text: text(e.Text),
		})
	}
	return w
}

// sagaStateToWire shows what a list shows.
func sagaStateToWire(s *saga.State) *fenfav1.Saga {
	w := &fenfav1.Saga{
		Id: text(s.ID), Name: s.Name, Version: s.Version, Status: string(s.Status), Reason: text(s.Reason),
		StartedAt: timeToWire(s.StartedAt), DeadlineAt: timeToWire(s.DeadlineAt), EndedAt: timeToWire(s.EndedAt), DroppedEvents: uint32(s.Dropped),
	}
	for i := range s.Steps {
		w.Steps = append(w.Steps, &fenfav1.SagaStepState{
			Name: s.Steps[i].Name, Run: runToWire(&s.Steps[i].Do), Compensation: runToWire(&s.Steps[i].Undo),
		})
	}
	return w
}

func runToWire(r *saga.Run) *fenfav1.SagaRun {
	return &fenfav1.SagaRun{
		Phase: string(r.Phase), Try: uint32(r.Try), TaskId: idOrEmpty(r.TaskID), Queue: r.Queue, Key: text(r.Key),
		BeganAt: timeToWire(r.BeganAt), EndedAt: timeToWire(r.EndedAt), Attempts: uint32(r.Attempts), Deliveries: uint32(r.Deliveries),
		Worker: text(r.Worker), Error: text(r.Error),
	}
}

// taskSagaToWire shows the saga that a task belongs to, or nothing.
func taskSagaToWire(t *task.Task) *fenfav1.TaskSaga {
	ref, ok := saga.RefOf(t)
	if !ok {
		return nil
	}
	w := &fenfav1.TaskSaga{
		Id: text(ref.ID), Name: ref.Name, Step: ref.Step, Compensation: ref.Undo, Try: uint32(ref.Try), Null: ref.Null,
	}
	for _, r := range ref.Results {
		w.Results = append(w.Results, &fenfav1.SagaResult{Step: r.Step, Value: r.Value})
	}
	return w
}
