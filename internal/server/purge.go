package server

import (
	"context"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

// Purge cancels tasks of a queue that wait, or counts them.
func (s *queueService) Purge(ctx context.Context, req *fenfav1.PurgeQueueRequest) (*fenfav1.PurgeQueueResponse, error) {
	p, err := purgeFromWire(req)
	if err != nil {
		return nil, err
	}
	do := s.cfg.Engine.PurgeQueue
	if req.GetDryRun() {
		do = s.cfg.Engine.PreviewPurge
	}
	n, err := do(ctx, p)
	if err != nil {
		return nil, err
	}
	return &fenfav1.PurgeQueueResponse{Queued: n.Queued, Scheduled: n.Scheduled, More: n.More, Before: uint64(n.Before), Unread: n.Unread}, nil
}

func purgeFromWire(req *fenfav1.PurgeQueueRequest) (partition.Purge, error) {
	p := partition.Purge{Queue: req.GetName(), Before: task.Timestamp(req.GetBefore()), Reason: req.GetReason()}
	switch {
	case task.Reserved(p.Queue):
		return p, task.RefuseReserved("queue", p.Queue)
	case p.Reason == "":
		p.Reason = "purged"
	case len(p.Reason) > task.MaxErrorText:
		return p, task.Errorf(task.CodeTooLarge, "reason has %d bytes; at most %d are allowed", len(p.Reason), task.MaxErrorText).WithField("reason")
	}
	var err error
	if p.Only, err = purgeFilter(req); err != nil {
		return p, err
	}
	p.Queued, p.Scheduled = len(req.GetStates()) == 0, len(req.GetStates()) == 0
	for _, state := range req.GetStates() {
		switch state {
		case fenfav1.TaskState_TASK_STATE_QUEUED:
			p.Queued = true
		case fenfav1.TaskState_TASK_STATE_SCHEDULED:
			p.Scheduled = true
		default:
			return p, task.Errorf(task.CodeInvalidArgument, "tasks in state %s cannot be purged: want TASK_STATE_QUEUED or TASK_STATE_SCHEDULED", state).WithField("states")
		}
	}
	return p, nil
}

func purgeFilter(req *fenfav1.PurgeQueueRequest) (f partition.TaskFilter, err error) {
	f = partition.TaskFilter{Key: req.GetKey(), Type: req.GetType(), Text: req.GetText()}
	if f.Since, err = momentOf(req.GetSince(), "since"); err != nil {
		return f, err
	}
	f.Until, err = momentOf(req.GetUntil(), "until")
	return f, err
}
