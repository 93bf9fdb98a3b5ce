package server

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/access"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

// Dead letters that one call changes.
const (
	defaultDeadLimit = 1000
	maxDeadLimit     = 10_000
)

// deadService implements fenfa.v1.DeadService.
type deadService struct {
	fenfav1.UnimplementedDeadServiceServer
	*Server
}

// List lists dead letters, without payloads.
func (s *deadService) List(ctx context.Context, req *fenfav1.ListDeadRequest) (*fenfav1.ListDeadResponse, error) {
	limit, err := pageSize(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	filter, err := deadFilterFromWire(&fenfav1.DeadFilter{
		Queue: req.GetQueue(), Key: req.GetKey(), Type: req.GetType(), Text: req.GetText(), Since: req.GetSince(), Until: req.GetUntil(),
	})
	if err != nil {
		return nil, err
	}
	dead, next, err := s.cfg.Engine.DeadLetters(ctx, filter, limit, req.GetPageToken())
	if err != nil {
		return nil, err
	}
	resp := &fenfav1.ListDeadResponse{Dead: make([]*fenfav1.DeadLetter, len(dead)), NextPageToken: next}
	for i := range dead {
		resp.Dead[i] = deadToWire(&dead[i], false)
	}
	return resp, nil
}

// Get shows one dead letter with its payload and history.
func (s *deadService) Get(ctx context.Context, req *fenfav1.GetDeadRequest) (*fenfav1.GetDeadResponse, error) {
	id, err := idFromWire(req.GetId())
	if err != nil {
		return nil, err
	}
	dead, err := s.cfg.Engine.DeadLetter(ctx, id, callerOf(ctx).On(access.Read))
	if err != nil {
		return nil, err
	}
	return &fenfav1.GetDeadResponse{Dead: deadToWire(&dead, true)}, nil
}

// Requeue takes one dead letter back into its queue.
func (s *deadService) Requeue(ctx context.Context, req *fenfav1.RequeueDeadRequest) (*fenfav1.RequeueDeadResponse, error) {
	id, err := idFromWire(req.GetId())
	if err != nil {
		return nil, err
	}
	payload := req.GetPayload()
	if req.Payload != nil && payload == nil {
		payload = []byte{}
	}
	return &fenfav1.RequeueDeadResponse{}, s.cfg.Engine.RequeueDead(ctx, id, payload, callerOf(ctx).On(access.Manage))
}

// RequeueAll takes a number of dead letters back into their queues.
func (s *deadService) RequeueAll(ctx context.Context, req *fenfav1.RequeueAllDeadRequest) (*fenfav1.RequeueAllDeadResponse, error) {
	progress, next, err := s.changeDead(ctx, partition.DeadRequeue, req)
	if err != nil {
		return nil, err
	}
	return &fenfav1.RequeueAllDeadResponse{Progress: progress, NextPageToken: next}, nil
}

// Delete removes one dead letter.
func (s *deadService) Delete(ctx context.Context, req *fenfav1.DeleteDeadRequest) (*fenfav1.DeleteDeadResponse, error) {
	id, err := idFromWire(req.GetId())
	if err != nil {
		return nil, err
	}
	return &fenfav1.DeleteDeadResponse{}, s.cfg.Engine.DeleteDead(ctx, id, callerOf(ctx).On(access.Manage))
}

// DeleteAll removes a number of dead letters.
func (s *deadService) DeleteAll(ctx context.Context, req *fenfav1.DeleteAllDeadRequest) (*fenfav1.DeleteAllDeadResponse, error) {
	progress, next, err := s.changeDead(ctx, partition.DeadDelete, req)
	if err != nil {
		return nil, err
	}
	return &fenfav1.DeleteAllDeadResponse{Progress: progress, NextPageToken: next}, nil
}

// deadChange is what requests to change many dead letters have in common.
type deadChange interface {
	GetFilter() *fenfav1.DeadFilter
	GetLimit() uint32
	GetPageToken() string
	GetDryRun() bool
}

func (s *deadService) changeDead(ctx context.Context, op partition.DeadOp, req deadChange) (*fenfav1.DeadProgress, string, error) {
	filter, err := deadFilterFromWire(req.GetFilter())
	if err != nil {
		return nil, "", err
	}
	limit := int(req.GetLimit())
	switch {
	case limit == 0:
		limit = defaultDeadLimit
	case limit > maxDeadLimit:
		return nil, "", task.Errorf(task.CodeInvalidArgument, "limit is %d: want 1 to %d, or 0 for %d", limit, maxDeadLimit, defaultDeadLimit).WithField("limit")
	}
	if req.GetDryRun() {
		op = partition.DeadCount
	}
	p, err := s.cfg.Engine.ChangeDead(ctx, partition.DeadChange{Op: op, Filter: filter, Limit: limit, Page: req.GetPageToken()})
	if err != nil {
		return nil, "", err
	}
	w := &fenfav1.DeadProgress{Examined: int64(p.Examined), Matched: int64(p.Matched), Changed: int64(p.Changed), Refused: int64(p.Refusals)}
	for _, r := range p.Refused {
		w.Refusals = append(w.Refusals, &fenfav1.DeadRefusal{Id: r.ID.String(), Error: errorToWire(errorOf(r.Err))})
	}
	return w, p.Next, nil
}

// ListHalted lists keys that wait for a person.
func (s *deadService) ListHalted(ctx context.Context, req *fenfav1.ListHaltedRequest) (*fenfav1.ListHaltedResponse, error) {
	limit, err := pageSize(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	keys, next, err := s.cfg.Engine.HaltedKeys(ctx, req.GetQueue(), req.GetKey(), limit, req.GetPageToken())
	if err != nil {
		return nil, err
	}
	resp := &fenfav1.ListHaltedResponse{Keys: make([]*fenfav1.HaltedKey, len(keys)), NextPageToken: next}
	for i, k := range keys {
		resp.Keys[i] = &fenfav1.HaltedKey{
			Queue: k.Queue, Key: k.Key, DeadId: idOrEmpty(k.Dead), Since: timeToWire(k.Since), Waiting: int64(k.Waiting), More: k.More,
		}
	}
	return resp, nil
}

// Resume lets a key go on that waits for a person.
func (s *deadService) Resume(ctx context.Context, req *fenfav1.ResumeKeyRequest) (*fenfav1.ResumeKeyResponse, error) {
	return &fenfav1.ResumeKeyResponse{}, s.cfg.Engine.ResumeKey(ctx, req.GetQueue(), req.GetKey())
}

func deadFilterFromWire(w *fenfav1.DeadFilter) (f partition.DeadFilter, err error) {
	f = partition.DeadFilter{Queue: w.GetQueue(), Key: w.GetKey(), Type: w.GetType(), Text: w.GetText()}
	if f.Since, err = momentOf(w.GetSince(), "since"); err != nil {
		return f, err
	}
	f.Until, err = momentOf(w.GetUntil(), "until")
	return f, err
}

// momentOf reads a moment of a request; none is the zero time.
func momentOf(w *timestamppb.Timestamp, field string) (time.Time, error) {
	if w == nil {
		return time.Time{}, nil
	}
	if err := w.CheckValid(); err != nil {
		return time.Time{}, task.Errorf(task.CodeInvalidArgument, "%s is no moment: %w", field, err).WithField(field)
	}
	return w.AsTime(), nil
}

// deadToWire leaves the payload out where it was not asked for.
func deadToWire(d *partition.DeadLetter, payload bool) *fenfav1.DeadLetter {
	w := &fenfav1.DeadLetter{
		Task: &fenfav1.Task{}, Reason: text(d.Reason), DiedAt: timeToWire(d.DiedAt), Attempts: uint32(d.Attempts), Deliveries: uint32(d.Deliveries),
		History: triesToWire(d.History), Requeues: uint32(d.Requeues), HaltsKey: d.Halts,
	}
	taskToWire(&d.Task, d.Task.ID.String(), w.GetTask())
	w.Task.Attempt, w.Task.Delivery = uint32(d.Attempts), uint32(d.Deliveries)
	if !payload {
		w.Task.Payload = nil
	}
	return w
}
