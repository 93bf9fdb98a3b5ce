package server

import (
	"context"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/access"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

// maxCancel bounds the tasks of one request.
const maxCancel = 1000

// Cancel takes tasks out that wait, and asks the handlers of those that run to stop.
func (s *taskService) Cancel(ctx context.Context, req *fenfav1.CancelTasksRequest) (*fenfav1.CancelTasksResponse, error) {
	ids, err := cancelIDs(req)
	if err != nil {
		return nil, err
	}
	why := req.GetReason()
	switch {
	case why == "":
		why = "cancelled"
	case len(why) > task.MaxErrorText:
		return nil, task.Errorf(task.CodeTooLarge, "reason has %d bytes; at most %d are allowed", len(why), task.MaxErrorText).WithField("reason")
	}
	results := s.cancel(ctx, ids, why)
	if len(results) == 1 && results[0].Err != nil {
		return nil, results[0].Err
	}
	resp := &fenfav1.CancelTasksResponse{Results: make([]*fenfav1.CancelResult, len(results))}
	for i := range results {
		r := &results[i]
		resp.Results[i] = &fenfav1.CancelResult{Id: r.ID.String(), State: stateToWire(r.State), Stopping: r.Stopping}
		if r.Err != nil {
			resp.Results[i].Error = errorToWire(errorOf(r.Err))
		}
	}
	return resp, nil
}

// cancel refuses those that the caller may not cancel, and hands on the others.
func (s *taskService) cancel(ctx context.Context, ids []task.ID, why string) []partition.CancelResult {
	refused := s.refusedTasks(ctx, access.Manage, ids)
	if refused == nil {
		return s.cfg.Engine.Cancel(ctx, ids, why)
	}
	results := make([]partition.CancelResult, len(ids))
	var allowed []task.ID
	var places []int
	for i, id := range ids {
		if results[i] = (partition.CancelResult{ID: id, Err: refused[i]}); refused[i] == nil {
			allowed, places = append(allowed, id), append(places, i)
		}
	}
	for i, r := range s.cfg.Engine.Cancel(ctx, allowed, why) {
		results[places[i]] = r
	}
	return results
}

// cancelIDs reads the tasks of a request.
func cancelIDs(req *fenfav1.CancelTasksRequest) ([]task.ID, error) {
	texts := req.GetIds()
	if req.GetId() != "" {
		texts = append([]string{req.GetId()}, texts...)
	}
	switch {
	case len(texts) == 0:
		return nil, task.Errorf(task.CodeInvalidArgument, "the request names no task: put at least one into ids").WithField("ids")
	case len(texts) > maxCancel:
		return nil, task.Errorf(task.CodeTooLarge, "the request names %d tasks; at most %d are allowed", len(texts), maxCancel).WithField("ids")
	}
	ids := make([]task.ID, len(texts))
	for i, text := range texts {
		var err error
		if ids[i], err = idFromWire(text); err != nil {
			return nil, inField(err, "ids", i)
		}
	}
	return ids, nil
}
