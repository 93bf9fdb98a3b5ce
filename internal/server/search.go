package server

import (
	"context"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

// List searches tasks.
func (s *taskService) List(ctx context.Context, req *fenfav1.ListTasksRequest) (*fenfav1.ListTasksResponse, error) {
	limit, err := pageSize(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	f := partition.TaskFilter{Queue: req.GetQueue(), Key: req.GetKey(), Type: req.GetType(), Text: req.GetText()}
	if f.State, err = stateFromWire(req.GetState()); err != nil {
		return nil, err
	}
	if f.Since, err = momentOf(req.GetSince(), "since"); err != nil {
		return nil, err
	}
	if f.Until, err = momentOf(req.GetUntil(), "until"); err != nil {
		return nil, err
	}
	page, err := s.cfg.Engine.Tasks(ctx, f, limit, req.GetPageToken())
	if err != nil {
		return nil, err
	}
	resp := &fenfav1.ListTasksResponse{Tasks: make([]*fenfav1.TaskStatus, len(page.Tasks)), NextPageToken: page.Next, Incomplete: page.Incomplete}
	for i := range page.Tasks {
		resp.Tasks[i] = statusToWire(&page.Tasks[i])
	}
	return resp, nil
}

func stateFromWire(w fenfav1.TaskState) (task.State, error) {
	for s := task.StateUnknown; s <= task.StateExpired; s++ {
		if stateToWire(s) == w {
			return s, nil
		}
	}
	return 0, task.Errorf(task.CodeInvalidArgument, "state %d is not known", w).WithField("state")
}
