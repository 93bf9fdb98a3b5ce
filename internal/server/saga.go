package server

import (
	"context"
	"slices"
	"strings"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/access"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/saga"
	"github.com/fenfa/fenfa/internal/sagafile"
	"github.com/fenfa/fenfa/internal/task"
)

// sagaService implements fenfa.v1.SagaService.
type sagaService struct {
	fenfav1.UnimplementedSagaServiceServer
	*Server
}

// Define stores a definition.
func (s *sagaService) Define(ctx context.Context, req *fenfav1.DefineSagaRequest) (*fenfav1.DefineSagaResponse, error) {
	var d *saga.Definition
	var err error
	switch yaml := req.GetYaml(); {
	case (yaml != "") == (req.GetDefinition() != nil):
		return nil, task.Errorf(task.CodeInvalidArgument, "the request has definition and yaml, or neither: give one of them").WithField("definition")
	case yaml != "":
		if d, err = sagafile.Read("yaml", []byte(yaml)); err != nil {
			return nil, asInvalid(err, "yaml")
		}
	default:
		if d, err = definitionFromWire(req.GetDefinition()); err != nil {
			return nil, err
		}
	}
	_, created, err := s.cfg.Engine.DefineSaga(ctx, d)
	if err != nil {
		return nil, err
	}
	return &fenfav1.DefineSagaResponse{Definition: definitionToWire(d), Created: created}, nil
}

// asInvalid keeps the error of a definition, and blames the text for any other.
func asInvalid(err error, field string) error {
	if task.CodeOf(err) != task.CodeInternal {
		e := *errorOf(err)
		e.Message = err.Error()
		return &e
	}
	return task.Errorf(task.CodeInvalidArgument, "%w", err).WithField(field)
}

// GetDefinition returns one definition.
func (s *sagaService) GetDefinition(ctx context.Context, req *fenfav1.GetSagaDefinitionRequest) (*fenfav1.GetSagaDefinitionResponse, error) {
	d, err := s.cfg.Engine.SagaDefinition(ctx, req.GetName(), req.GetVersion())
	if err != nil {
		return nil, err
	}
	return &fenfav1.GetSagaDefinitionResponse{Definition: definitionToWire(d)}, nil
}

// ListDefinitions lists the latest definitions that the caller may use.
func (s *sagaService) ListDefinitions(ctx context.Context, _ *fenfav1.ListSagaDefinitionsRequest) (*fenfav1.ListSagaDefinitionsResponse, error) {
	all, err := s.cfg.Engine.SagaDefinitions(ctx)
	if err != nil {
		return nil, err
	}
	resp := &fenfav1.ListSagaDefinitionsResponse{}
	c := callerOf(ctx)
	for _, d := range all {
		if c.May(access.Saga, d.Name) {
			resp.Definitions = append(resp.Definitions, definitionToWire(d))
		}
	}
	return resp, nil
}

// Start begins a saga.
func (s *sagaService) Start(ctx context.Context, req *fenfav1.StartSagaRequest) (*fenfav1.StartSagaResponse, error) {
	in, existed, err := s.cfg.Engine.StartSaga(ctx, req.GetName(), req.GetVersion(), req.GetId(), req.GetInput())
	if err != nil {
		return nil, err
	}
	return &fenfav1.StartSagaResponse{Saga: sagaToWire(in), Duplicate: existed}, nil
}

// Get returns a saga, and of what runs what its tasks' owners know.
func (s *sagaService) Get(ctx context.Context, req *fenfav1.GetSagaRequest) (*fenfav1.GetSagaResponse, error) {
	in, err := s.cfg.Engine.Saga(ctx, req.GetId())
	if err != nil {
		return nil, err
	}
	w := sagaToWire(in)
	for _, step := range w.GetSteps() {
		s.lookAt(ctx, step.GetRun())
		s.lookAt(ctx, step.GetCompensation())
	}
	return &fenfav1.GetSagaResponse{Saga: w, Definition: definitionToWire(in.Begun.Definition)}, nil
}

// lookAt adds where the task of a step that runs is. A task that cannot be found
// now is on its way.
func (s *sagaService) lookAt(ctx context.Context, run *fenfav1.SagaRun) {
	if run.GetPhase() != string(saga.PhaseRunning) {
		return
	}
	id, err := task.ParseID(run.GetTaskId())
	if err != nil {
		return
	}
	st, err := s.cfg.Engine.TaskStatus(ctx, id)
	if err != nil {
		run.TaskState = fenfav1.TaskState_TASK_STATE_QUEUED
		return
	}
	run.TaskState, run.NextAt = stateToWire(st.State), timeToWire(st.NextAt)
	run.Attempts, run.Deliveries, run.Worker, run.Error = uint32(st.Attempts), uint32(st.Deliveries), text(st.Worker), text(st.Error)
}

// List lists sagas that the caller may see.
func (s *sagaService) List(ctx context.Context, req *fenfav1.ListSagasRequest) (*fenfav1.ListSagasResponse, error) {
	limit, err := pageSize(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	status := saga.Status(req.GetStatus())
	if status != "" && !slices.Contains(saga.Statuses(), status) {
		known := make([]string, 0, len(saga.Statuses()))
		for _, s := range saga.Statuses() {
			known = append(known, string(s))
		}
		return nil, task.Errorf(task.CodeInvalidArgument, "status %q is not known: want one of %s", status, strings.Join(known, ", ")).WithField("status")
	}
	found, next, err := s.cfg.Engine.Sagas(ctx, partition.SagaFilter{Prefix: req.GetPrefix(), Name: req.GetName(), Status: status}, limit, req.GetPageToken())
	if err != nil {
		return nil, err
	}
	resp := &fenfav1.ListSagasResponse{NextPageToken: next}
	c := callerOf(ctx)
	for _, state := range found {
		if c.May(access.Saga, state.Name) {
			resp.Sagas = append(resp.Sagas, sagaStateToWire(state))
		}
	}
	return resp, nil
}

// Retry begins again what waits for a person.
func (s *sagaService) Retry(ctx context.Context, req *fenfav1.RetrySagaRequest) (*fenfav1.RetrySagaResponse, error) {
	in, err := s.cfg.Engine.OperateSaga(ctx, req.GetId(), saga.Operation{ID: req.GetOperationId(), Do: saga.DoRetry, Step: req.GetStep()})
	if err != nil {
		return nil, err
	}
	return &fenfav1.RetrySagaResponse{Saga: sagaToWire(in)}, nil
}

// Skip goes on as if what waits for a person were done.
func (s *sagaService) Skip(ctx context.Context, req *fenfav1.SkipSagaRequest) (*fenfav1.SkipSagaResponse, error) {
	in, err := s.cfg.Engine.OperateSaga(ctx, req.GetId(),
		saga.Operation{ID: req.GetOperationId(), Do: saga.DoSkip, Step: req.GetStep(), Reason: req.GetReason()})
	if err != nil {
		return nil, err
	}
	return &fenfav1.SkipSagaResponse{Saga: sagaToWire(in)}, nil
}

// Compensate undoes what was done.
func (s *sagaService) Compensate(ctx context.Context, req *fenfav1.CompensateSagaRequest) (*fenfav1.CompensateSagaResponse, error) {
	in, err := s.cfg.Engine.OperateSaga(ctx, req.GetId(),
		saga.Operation{ID: req.GetOperationId(), Do: saga.DoCompensate, Reason: req.GetReason()})
	if err != nil {
		return nil, err
	}
	return &fenfav1.CompensateSagaResponse{Saga: sagaToWire(in)}, nil
}
