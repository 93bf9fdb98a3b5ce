package server

import (
	"context"
	"time"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

// taskService implements fenfa.v1.TaskService.
type taskService struct {
	fenfav1.UnimplementedTaskServiceServer
	*Server
}

// Submit makes a batch durable. When the only task of a request is refused, that
// refusal is the answer of the call; in a larger batch it stands in the results.
func (s *taskService) Submit(ctx context.Context, req *fenfav1.SubmitRequest) (*fenfav1.SubmitResponse, error) {
	n := len(req.GetTasks())
	if n == 0 {
		return nil, task.Errorf(task.CodeInvalidArgument, "the request has no tasks: put at least one into tasks").WithField("tasks")
	}
	if err := checkBatch(n); err != nil {
		return nil, err
	}
	size := sizeOf(req.GetTasks())
	if !s.room.TryAcquire(size) {
		return nil, task.Errorf(task.CodeResourceExhausted, "too many tasks are on their way to the disk: submit again a little later").WithRetryAfter(time.Second)
	}
	defer s.room.Release(size)
	var g gathering
	g.add(callerOf(ctx), 0, req.GetTasks(), false)
	results := s.submit(ctx, g.tasks)
	resp := &fenfav1.SubmitResponse{Results: make([]*fenfav1.SubmitResult, 0, n)}
	var refusal error
	g.requests[0].each(results, func(_ int, r *partition.SubmitResult) {
		refusal = r.Err
		resp.Results = append(resp.Results, resultToWire(r))
	})
	if n == 1 && refusal != nil {
		return nil, refusal
	}
	return resp, nil
}

// Get tells where a task is in its life.
func (s *taskService) Get(ctx context.Context, req *fenfav1.GetTaskRequest) (*fenfav1.GetTaskResponse, error) {
	id, err := idFromWire(req.GetId())
	if err != nil {
		return nil, err
	}
	st, err := s.cfg.Engine.TaskStatus(ctx, id)
	if err != nil {
		return nil, err
	}
	status := statusToWire(&st)
	status.WaitsFor = s.waitsFor(&st)
	status.Running = s.runningToWire(&st)
	return &fenfav1.GetTaskResponse{Status: status}, nil
}

// submit hands tasks to the engine and measures how long their confirm took.
func (s *Server) submit(ctx context.Context, tasks []task.Task) []partition.SubmitResult {
	if len(tasks) == 0 {
		return nil
	}
	began := s.cfg.Clock.Now()
	results := s.cfg.Engine.Submit(ctx, tasks)
	s.metrics.confirms.Observe(s.cfg.Clock.Now().Sub(began).Seconds())
	return results
}
