package fenfa

import (
	"context"
	"time"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// Sagas defines, starts and looks at sagas: long transactions of tasks, each with
// its undo.
type Sagas struct{ client *Client }

// Sagas returns access to sagas.
func (c *Client) Sagas() *Sagas { return &Sagas{client: c} }

// SagaStatus is where a saga is in its life.
type SagaStatus string

// The statuses of sagas.
const (
	SagaRunning      SagaStatus = "running"
	SagaCompensating SagaStatus = "compensating"
	SagaHalted       SagaStatus = "halted" // waits for a person
	SagaDone         SagaStatus = "done"
	SagaCompensated  SagaStatus = "compensated"
)

// Final reports whether a saga in this status has ended.
func (s SagaStatus) Final() bool { return s == SagaDone || s == SagaCompensated }

// Saga is where a saga is.
type Saga struct {
	ID         string
	Name       string // of its definition
	Version    string // of its definition
	Status     SagaStatus
	Reason     string // why it compensates
	StartedAt  time.Time
	DeadlineAt time.Time // zero: none
	EndedAt    time.Time // zero: it has not
	Input      []byte    // not in lists
	Steps      []SagaStepState
	Events     []SagaEvent // what happened, oldest first; not in lists
	Dropped    int         // events that are not kept any more
}

// SagaStepState is what became of a step.
type SagaStepState struct {
	Name         string
	Stage        int // steps of one stage run at the same time
	Run          SagaRun
	Compensation SagaRun
	Result       []byte // not in lists
	Compensable  bool   // the definition has a compensation for it
}

// SagaRun is a step, or its compensation, as far as it came.
type SagaRun struct {
	Phase      string // "", "running", "done", "dead" or "skipped"
	Try        int    // how often a task was made for it
	TaskID     ID     // of the latest try, as all that follows
	Queue      string
	Key        string
	BeganAt    time.Time
	EndedAt    time.Time
	Attempts   int // failed ones
	Deliveries int
	Worker     string
	Error      string
	TaskState  LifeState // while it runs
	NextAt     time.Time // while it waits for its next attempt
}

// SagaEvent is one line of a saga's timeline.
type SagaEvent struct {
	At           time.Time
	What         string // "started", "began", "done", "dead", "skipped", "compensating" or "ended"
	Step         string // empty: the saga itself
	Compensation bool   // it is about the step's compensation
	Try          int
	Attempts     int // failed ones
	Worker       string
	OperationID  string // of the person who asked for it
	Text         string // an error or a reason
}

// Define stores a definition, from now on the latest of its name, and reports
// whether it differs from the latest before. Sagas that run keep theirs.
func (s *Sagas) Define(ctx context.Context, d *SagaDefinition) (now SagaDefinition, created bool, err error) {
	w, err := d.toWire()
	if err != nil {
		return SagaDefinition{}, false, err
	}
	return s.define(ctx, &fenfav1.DefineSagaRequest{Definition: w})
}

// DefineYAML is Define of a definition in YAML.
func (s *Sagas) DefineYAML(ctx context.Context, yaml []byte) (now SagaDefinition, created bool, err error) {
	return s.define(ctx, &fenfav1.DefineSagaRequest{Yaml: string(yaml)})
}

func (s *Sagas) define(ctx context.Context, req *fenfav1.DefineSagaRequest) (SagaDefinition, bool, error) {
	resp, err := call(ctx, s.client, "define saga", s.client.sagas.Define, req)
	if err != nil {
		return SagaDefinition{}, false, err
	}
	return sagaDefinitionOf(resp.GetDefinition()), resp.GetCreated(), nil
}

// Definition returns the latest definition of a name, or that of a version.
func (s *Sagas) Definition(ctx context.Context, name, version string) (SagaDefinition, error) {
	resp, err := call(ctx, s.client, "get definition of saga", s.client.sagas.GetDefinition, &fenfav1.GetSagaDefinitionRequest{Name: name, Version: version})
	if err != nil {
		return SagaDefinition{}, err
	}
	return sagaDefinitionOf(resp.GetDefinition()), nil
}

// Definitions returns the latest definitions, by name.
func (s *Sagas) Definitions(ctx context.Context) ([]SagaDefinition, error) {
	resp, err := call(ctx, s.client, "list definitions of sagas", s.client.sagas.ListDefinitions, &fenfav1.ListSagaDefinitionsRequest{})
	if err != nil {
		return nil, err
	}
	all := make([]SagaDefinition, len(resp.GetDefinitions()))
	for i, w := range resp.GetDefinitions() {
		all[i] = sagaDefinitionOf(w)
	}
	return all, nil
}

// Start begins a saga, durably, by the latest definition of the name. The input is
// encoded by the rule of NewTask and has at most 64 KiB. The id is the caller's, at
// most 256 bytes: the same id with the same name and input again is the saga that
// there is, and duplicate is true; with others it fails with CodeAlreadyExists. So
// after CodeUnavailable a repeat is safe.
func (s *Sagas) Start(ctx context.Context, name, id string, input any) (saga Saga, duplicate bool, err error) {
	return s.StartVersion(ctx, name, "", id, input)
}

// StartVersion is Start by a version of the definition; empty: the latest.
func (s *Sagas) StartVersion(ctx context.Context, name, version, id string, input any) (saga Saga, duplicate bool, err error) {
	b, err := encode(input)
	if err != nil {
		return Saga{}, false, err
	}
	resp, err := call(ctx, s.client, "start saga", s.client.sagas.Start, &fenfav1.StartSagaRequest{Name: name, Version: version, Id: id, Input: b})
	if err != nil {
		return Saga{}, false, err
	}
	return sagaOf(resp.GetSaga()), resp.GetDuplicate(), nil
}

// Get returns a saga and the definition that it began with. It fails with
// CodeNotFound where there is none, or it is not kept any more.
func (s *Sagas) Get(ctx context.Context, id string) (Saga, SagaDefinition, error) {
	resp, err := call(ctx, s.client, "get saga", s.client.sagas.Get, &fenfav1.GetSagaRequest{Id: id})
	if err != nil {
		return Saga{}, SagaDefinition{}, err
	}
	return sagaOf(resp.GetSaga()), sagaDefinitionOf(resp.GetDefinition()), nil
}

// ListSagasOptions narrows a list of sagas and says which page is wanted.
type ListSagasOptions struct {
	Prefix string     // only sagas whose ids begin with it
	Name   string     // only those of this definition
	Status SagaStatus // only those in this status
	Page              // Size is how many are looked at
}

// List lists sagas, partition by partition, by id within each. A page may have few
// sagas or none and not be the last: an empty next says that there are no more.
func (s *Sagas) List(ctx context.Context, opts ListSagasOptions) (sagas []Saga, next string, err error) {
	resp, err := call(ctx, s.client, "list sagas", s.client.sagas.List, &fenfav1.ListSagasRequest{
		Prefix: opts.Prefix, Name: opts.Name, Status: string(opts.Status), PageSize: clampUint32(opts.Size), PageToken: opts.Token,
	})
	if err != nil {
		return nil, "", err
	}
	sagas = make([]Saga, len(resp.GetSagas()))
	for i, w := range resp.GetSagas() {
		sagas[i] = sagaOf(w)
	}
	return sagas, resp.GetNextPageToken(), nil
}

// Operation is what a person asks of a saga. It takes effect once for each ID, so
// that it can be repeated after CodeUnavailable.
type Operation struct {
	ID     string // at most 64 bytes; empty: a new one
	Step   string // of Retry and Skip: only this one; empty: all that wait
	Reason string // of Skip and Compensate: for the timeline
}

func (o Operation) id() string {
	if o.ID == "" {
		return NewID().String()
	}
	return o.ID
}

// Retry begins again the steps and compensations that wait for a person. It fails
// with CodeFailedPrecondition where none does.
func (s *Sagas) Retry(ctx context.Context, id string, op Operation) (Saga, error) {
	resp, err := call(ctx, s.client, "retry saga", s.client.sagas.Retry, &fenfav1.RetrySagaRequest{Id: id, Step: op.Step, OperationId: op.id()})
	if err != nil {
		return Saga{}, err
	}
	return sagaOf(resp.GetSaga()), nil
}

// Skip goes on as if the steps and compensations that wait for a person were done.
// It fails with CodeFailedPrecondition where none does.
func (s *Sagas) Skip(ctx context.Context, id string, op Operation) (Saga, error) {
	resp, err := call(ctx, s.client, "skip step of saga", s.client.sagas.Skip,
		&fenfav1.SkipSagaRequest{Id: id, Step: op.Step, OperationId: op.id(), Reason: op.Reason})
	if err != nil {
		return Saga{}, err
	}
	return sagaOf(resp.GetSaga()), nil
}

// Compensate undoes what was done, also of a saga that is done. Steps that run are
// waited for. It fails with CodeFailedPrecondition where it compensates already.
func (s *Sagas) Compensate(ctx context.Context, id string, op Operation) (Saga, error) {
	resp, err := call(ctx, s.client, "compensate saga", s.client.sagas.Compensate,
		&fenfav1.CompensateSagaRequest{Id: id, OperationId: op.id(), Reason: op.Reason})
	if err != nil {
		return Saga{}, err
	}
	return sagaOf(resp.GetSaga()), nil
}

func sagaOf(w *fenfav1.Saga) Saga {
	s := Saga{
		ID: w.GetId(), Name: w.GetName(), Version: w.GetVersion(), Status: SagaStatus(w.GetStatus()), Reason: w.GetReason(),
		StartedAt: timeOf(w.GetStartedAt()), DeadlineAt: timeOf(w.GetDeadlineAt()), EndedAt: timeOf(w.GetEndedAt()),
		Input: w.GetInput(), Dropped: int(w.GetDroppedEvents()),
	}
	for _, step := range w.GetSteps() {
		s.Steps = append(s.Steps, SagaStepState{
			Name: step.GetName(), Stage: int(step.GetStage()), Run: sagaRunOf(step.GetRun()), Compensation: sagaRunOf(step.GetCompensation()),
			Result: step.GetResult(), Compensable: step.GetCompensable(),
		})
	}
	for _, e := range w.GetEvents() {
		s.Events = append(s.Events, SagaEvent{
			At: timeOf(e.GetAt()), What: e.GetWhat(), Step: e.GetStep(), Compensation: e.GetCompensation(), Try: int(e.GetTry()),
			Attempts: int(e.GetAttempts()), Worker: e.GetWorker(), OperationID: e.GetOperationId(), Text: e.GetText(),
		})
	}
	return s
}

func sagaRunOf(w *fenfav1.SagaRun) SagaRun {
	id, _ := parseID(w.GetTaskId())
	return SagaRun{
		Phase: w.GetPhase(), Try: int(w.GetTry()), TaskID: id, Queue: w.GetQueue(), Key: w.GetKey(), BeganAt: timeOf(w.GetBeganAt()),
		EndedAt: timeOf(w.GetEndedAt()), Attempts: int(w.GetAttempts()), Deliveries: int(w.GetDeliveries()), Worker: w.GetWorker(),
		Error: w.GetError(), TaskState: lifeStateOf(w.GetTaskState()), NextAt: timeOf(w.GetNextAt()),
	}
}
