package server

import (
	"context"
	"slices"
	"strings"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/access"
	"github.com/fenfa/fenfa/internal/task"
)

// queueService implements fenfa.v1.QueueService.
type queueService struct {
	fenfav1.UnimplementedQueueServiceServer
	*Server
}

// Configure creates a queue, or changes the settings that are given.
func (s *queueService) Configure(ctx context.Context, req *fenfav1.ConfigureQueueRequest) (*fenfav1.ConfigureQueueResponse, error) {
	if req.GetQueue() == nil {
		return nil, task.Errorf(task.CodeInvalidArgument, "the request has no queue: name it in queue.name").WithField("queue")
	}
	// What a webhook answers may change any record and submit to any queue.
	if req.GetQueue().GetWebhook() != nil {
		if err := callerOf(ctx).CheckCovers(access.Admin, ""); err != nil {
			return nil, err
		}
	}
	change, err := queueFromWire(req.GetQueue())
	if err != nil {
		return nil, err
	}
	if task.Reserved(change.Name) {
		return nil, task.RefuseReserved("queue", change.Name)
	}
	now, created, err := s.cfg.Engine.ConfigureQueue(ctx, change)
	if err != nil {
		return nil, err
	}
	return &fenfav1.ConfigureQueueResponse{Queue: queueToWire(&now), Created: created}, nil
}

// Describe shows the settings of a queue, what is in it, and what that waits for.
func (s *queueService) Describe(ctx context.Context, req *fenfav1.DescribeQueueRequest) (*fenfav1.DescribeQueueResponse, error) {
	resp, err := s.describe(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	resp.Stats.Waiting, err = s.waiting(ctx, req.GetName())
	return resp, err
}

// describe shows all but what waits.
func (s *queueService) describe(ctx context.Context, name string) (*fenfav1.DescribeQueueResponse, error) {
	stats, err := s.cfg.Engine.QueueStats(ctx, name)
	if err != nil {
		return nil, err
	}
	q, ok := s.cfg.Engine.Queue(name)
	if !ok {
		return nil, task.Errorf(task.CodeNotFound, "there is no queue %q", name).WithField("name")
	}
	workers := s.cfg.Workers.Eligible(name, q.Placement.Require)
	resp := &fenfav1.DescribeQueueResponse{Queue: queueToWire(&q), Stats: statsToWire(&stats, workers)}
	if !callerOf(ctx).May(access.Manage, name) {
		hideQueries(resp.GetQueue().GetWebhook())
	}
	return resp, nil
}

// List shows all queues that the caller may see, by name.
func (s *queueService) List(ctx context.Context, _ *fenfav1.ListQueuesRequest) (*fenfav1.ListQueuesResponse, error) {
	queues := s.cfg.Engine.Queues()
	slices.SortFunc(queues, func(a, b task.Queue) int { return strings.Compare(a.Name, b.Name) })
	resp := &fenfav1.ListQueuesResponse{Queues: make([]*fenfav1.DescribeQueueResponse, 0, len(queues))}
	c := callerOf(ctx)
	for i := range queues {
		if !c.May(access.Read, queues[i].Name) {
			continue
		}
		q, err := s.describe(ctx, queues[i].Name)
		if err != nil {
			return nil, err
		}
		resp.Queues = append(resp.Queues, q)
	}
	return resp, nil
}

// Pause keeps the queue's tasks from being handed out.
func (s *queueService) Pause(ctx context.Context, req *fenfav1.PauseQueueRequest) (*fenfav1.PauseQueueResponse, error) {
	now, err := s.pause(ctx, req.GetName(), true)
	return &fenfav1.PauseQueueResponse{Queue: now}, err
}

// Resume ends a pause.
func (s *queueService) Resume(ctx context.Context, req *fenfav1.ResumeQueueRequest) (*fenfav1.ResumeQueueResponse, error) {
	now, err := s.pause(ctx, req.GetName(), false)
	return &fenfav1.ResumeQueueResponse{Queue: now}, err
}

func (s *queueService) pause(ctx context.Context, name string, paused bool) (*fenfav1.Queue, error) {
	if task.Reserved(name) {
		return nil, task.RefuseReserved("queue", name)
	}
	now, err := s.cfg.Engine.PauseQueue(ctx, name, paused)
	if err != nil {
		return nil, err
	}
	return queueToWire(&now), nil
}
