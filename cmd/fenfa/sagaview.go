package main

import (
	"encoding/json"
	"time"

	"github.com/fenfa/fenfa"
)

// sagaView is a saga in JSON.
type sagaView struct {
	ID          string          `json:"id"`
	Name        string          `json:"name"`
	Version     string          `json:"version"`
	Status      string          `json:"status"`
	Reason      string          `json:"reason,omitempty"`
	StartedAt   string          `json:"started_at"`
	DeadlineAt  string          `json:"deadline_at,omitempty"`
	EndedAt     string          `json:"ended_at,omitempty"`
	Input       json.RawMessage `json:"input,omitempty"`
	InputBase64 []byte          `json:"input_base64,omitempty"`
	Steps       []stepView      `json:"steps"`
	Events      []eventView     `json:"events,omitempty"`
	Dropped     int             `json:"dropped_events,omitempty"`
}

type stepView struct {
	Name         string          `json:"name"`
	Stage        int             `json:"stage"`
	Run          runView         `json:"run"`
	Compensation runView         `json:"compensation"`
	Result       json.RawMessage `json:"result,omitempty"`
	ResultBase64 []byte          `json:"result_base64,omitempty"`
}

type runView struct {
	Phase      string `json:"phase,omitempty"`
	Try        int    `json:"try,omitempty"`
	TaskID     string `json:"task_id,omitempty"`
	TaskState  string `json:"task_state,omitempty"`
	Queue      string `json:"queue,omitempty"`
	Key        string `json:"key,omitempty"`
	BeganAt    string `json:"began_at,omitempty"`
	EndedAt    string `json:"ended_at,omitempty"`
	NextAt     string `json:"next_at,omitempty"`
	Attempts   int    `json:"attempts,omitempty"`
	Deliveries int    `json:"deliveries,omitempty"`
	Worker     string `json:"worker,omitempty"`
	Error      string `json:"error,omitempty"`
}

type eventView struct {
	At           string `json:"at"`
	What         string `json:"what"`
	Step         string `json:"step,omitempty"`
	Compensation bool   `json:"compensation,omitempty"`
	Try          int    `json:"try,omitempty"`
	Attempts     int    `json:"attempts,omitempty"`
	Worker       string `json:"worker,omitempty"`
	OperationID  string `json:"operation_id,omitempty"`
	Text         string `json:"text,omitempty"`
}

func viewSaga(s *fenfa.Saga) sagaView {
	v := sagaView{
		ID: s.ID, Name: s.Name, Version: s.Version, Status: string(s.Status), Reason: s.Reason, StartedAt: timeView(s.StartedAt),
		DeadlineAt: timeView(s.DeadlineAt), EndedAt: timeView(s.EndedAt), Dropped: s.Dropped, Steps: make([]stepView, len(s.Steps)),
	}
	v.Input, v.InputBase64 = viewBytes(s.Input)
	for i := range s.Steps {
		step := &s.Steps[i]
		v.Steps[i] = stepView{Name: step.Name, Stage: step.Stage, Run: viewRun(&step.Run), Compensation: viewRun(&step.Compensation)}
		v.Steps[i].Result, v.Steps[i].ResultBase64 = viewBytes(step.Result)
	}
	for i := range s.Events {
		e := &s.Events[i]
		v.Events = append(v.Events, eventView{
			At: timeView(e.At), What: e.What, Step: e.Step, Compensation: e.Compensation, Try: e.Try, Attempts: e.Attempts,
			Worker: e.Worker, OperationID: e.OperationID, Text: e.Text,
		})
	}
	return v
}

func viewRun(r *fenfa.SagaRun) runView {
	v := runView{
		Phase: r.Phase, Try: r.Try, TaskID: idText(r.TaskID), Queue: r.Queue, Key: r.Key, BeganAt: timeView(r.BeganAt), EndedAt: timeView(r.EndedAt),
		NextAt: timeView(r.NextAt), Attempts: r.Attempts, Deliveries: r.Deliveries, Worker: r.Worker, Error: r.Error,
	}
	if r.TaskState != fenfa.StateUnknown {
		v.TaskState = string(r.TaskState)
	}
	return v
}

// definitionView is a definition in JSON, with the keys of its YAML.
type definitionView struct {
	Name      string      `json:"name"`
	Version   string      `json:"version"`
	Deadline  string      `json:"deadline,omitempty"`
	Retention string      `json:"retention,omitempty"`
	Steps     []stageView `json:"steps"`
}

// stageView is a step, or a group of steps.
type stageView struct {
	*definedStepView
	Parallel []definedStepView `json:"parallel,omitempty"`
}

type definedStepView struct {
	Name         string                   `json:"name"`
	Queue        string                   `json:"queue"`
	Key          string                   `json:"key,omitempty"`
	Type         string                   `json:"type,omitempty"`
	Payload      json.RawMessage          `json:"payload,omitempty"`
	Retry        *sagaRetryView           `json:"retry,omitempty"`
	Timeout      string                   `json:"timeout,omitempty"`
	OnDead       string                   `json:"on_dead,omitempty"`
	Compensation *definedCompensationView `json:"compensation,omitempty"`
}

type definedCompensationView struct {
	Queue   string          `json:"queue,omitempty"`
	Type    string          `json:"type,omitempty"`
	Payload json.RawMessage `json:"payload,omitempty"`
	Retry   *sagaRetryView  `json:"retry,omitempty"`
	Timeout string          `json:"timeout,omitempty"`
	When    string          `json:"when,omitempty"`
}

// sagaRetryView holds only what is set.
type sagaRetryView struct {
	Base        string  `json:"base,omitempty"`
	Factor      float64 `json:"factor,omitempty"`
	Max         string  `json:"max,omitempty"`
	MaxAttempts int     `json:"max_attempts,omitempty"`
}

func viewDefinition(d *fenfa.SagaDefinition) definitionView {
	v := definitionView{Name: d.Name, Version: d.Version, Deadline: durationText(d.Deadline), Retention: durationText(d.Retention)}
	for _, stage := range d.Stages {
		steps := make([]definedStepView, len(stage))
		for i := range stage {
			steps[i] = viewStep(&stage[i])
		}
		if len(steps) == 1 {
			v.Steps = append(v.Steps, stageView{definedStepView: &steps[0]})
			continue
		}
		v.Steps = append(v.Steps, stageView{Parallel: steps})
	}
	return v
}

func viewStep(s *fenfa.Step) definedStepView {
	v := definedStepView{
		Name: s.Name, Queue: s.Queue, Key: s.Key, Type: s.Type, Payload: payloadView(s.Payload), Retry: viewSagaRetry(s.Retry),
		Timeout: durationText(s.Timeout), OnDead: string(s.OnDead),
	}
	if c := s.Compensation; c != nil {
		v.Compensation = &definedCompensationView{
			Queue: c.Queue, Type: c.Type, Payload: payloadView(c.Payload), Retry: viewSagaRetry(c.Retry), Timeout: durationText(c.Timeout), When: string(c.When),
		}
	}
	return v
}

// payloadView is the payload of a definition that came from a node: JSON.
func payloadView(payload any) json.RawMessage {
	b, _ := payload.([]byte)
	return b
}

func viewSagaRetry(p fenfa.RetryPolicy) *sagaRetryView {
	if p == (fenfa.RetryPolicy{}) {
		return nil
	}
	return &sagaRetryView{Base: durationText(p.Base), Factor: p.Factor, Max: durationText(p.Max), MaxAttempts: p.MaxAttempts}
}

// durationText is a duration, and nothing for none.
func durationText(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return span(d)
}
