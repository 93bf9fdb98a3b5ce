package server

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/access"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

// Bounds of waits. The longest is shorter than what an HTTP answer may take.
const (
	defaultWait = 30 * time.Second
	longestWait = 50 * time.Second
	mostAwaited = 10_000 // tasks of one stream
)

// errWaited ends a wait that took as long as it may.
var errWaited = errors.New("the wait is over")

// Wait answers when a task has ended, or at the timeout with where it is.
func (s *taskService) Wait(ctx context.Context, req *fenfav1.WaitTaskRequest) (*fenfav1.WaitTaskResponse, error) {
	id, err := idFromWire(req.GetId())
	if err != nil {
		return nil, err
	}
	timeout, err := waitFromWire(req)
	if err != nil {
		return nil, err
	}
	ctx, cancel := s.streamContext(ctx)
	defer cancel()
	if timeout > 0 {
		st, err := s.await(ctx, id, timeout)
		if !errors.Is(err, errWaited) {
			return st, err
		}
	}
	got, err := s.Get(ctx, &fenfav1.GetTaskRequest{Id: req.GetId()})
	if err != nil {
		return nil, cause(ctx, err)
	}
	return &fenfav1.WaitTaskResponse{Status: got.GetStatus()}, nil
}

// await waits for a task to end; errWaited says that it has not.
func (s *taskService) await(ctx context.Context, id task.ID, timeout time.Duration) (resp *fenfav1.WaitTaskResponse, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := s.cfg.Clock.AfterFunc(timeout, func() { cancel(errWaited) })
	defer timer.Stop()
	err = s.cfg.Engine.AwaitTasks(ctx, []task.ID{id}, func(st partition.TaskStatus, err error) error {
		if err != nil {
			return err
		}
		resp = &fenfav1.WaitTaskResponse{Status: statusToWire(&st)}
		return nil
	})
	if err != nil {
		return nil, cause(ctx, err)
	}
	return resp, nil
}

func waitFromWire(req *fenfav1.WaitTaskRequest) (time.Duration, error) {
	if req.GetTimeout() == nil {
		return defaultWait, nil
	}
	timeout, err := durationFromWire(req.GetTimeout(), "timeout")
	if err == nil && timeout > longestWait {
		err = task.Errorf(task.CodeInvalidArgument, "timeout is %v: want at most %v, and ask again", timeout, longestWait).WithField("timeout")
	}
	return timeout, err
}

// WaitMany tells of each of many tasks as soon as it has ended.
func (s *taskService) WaitMany(req *fenfav1.WaitManyRequest, stream grpc.ServerStreamingServer[fenfav1.WaitManyResponse]) error {
	n := len(req.GetIds())
	if n == 0 || n > mostAwaited {
		return task.Errorf(task.CodeInvalidArgument, "the request names %d tasks: want 1 to %d", n, mostAwaited).WithField("ids")
	}
	ids := make([]task.ID, n)
	seen := make(map[task.ID]bool, n)
	for i, text := range req.GetIds() {
		var err error
		if ids[i], err = idFromWire(text); err != nil {
			return inField(err, "ids", i)
		}
		if seen[ids[i]] {
			return task.Errorf(task.CodeInvalidArgument, "task %s is named twice", ids[i]).WithField("ids")
		}
		seen[ids[i]] = true
	}
	ctx, cancel := s.streamContext(stream.Context())
	defer cancel()
	tell := func(st partition.TaskStatus, err error) error {
		w := &fenfav1.WaitManyResponse{Id: st.ID.String()}
		if err != nil {
			w.Error = errorToWire(errorOf(err))
		} else {
			w.Status = statusToWire(&st)
		}
		return stream.Send(w)
	}
	allowed, err := s.withoutRefused(ctx, ids, tell)
	if err == nil && len(allowed) > 0 {
		err = s.cfg.Engine.AwaitTasks(ctx, allowed, tell)
	}
	if err != nil {
		return cause(ctx, err)
	}
	return nil
}

// withoutRefused tells of the tasks at which the caller may not look, and returns the
// others.
func (s *taskService) withoutRefused(ctx context.Context, ids []task.ID, tell func(partition.TaskStatus, error) error) ([]task.ID, error) {
	refused := s.refusedTasks(ctx, access.Read, ids)
	if refused == nil {
		return ids, nil
	}
	allowed := make([]task.ID, 0, len(ids))
	for i, id := range ids {
		if refused[i] == nil {
			allowed = append(allowed, id)
			continue
		}
		if err := tell(partition.TaskStatus{ID: id}, refused[i]); err != nil {
			return nil, err
		}
	}
	return allowed, nil
}
