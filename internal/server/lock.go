package server

import (
	"context"
	"math"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/lock"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

const (
	defaultTTL  = 30 * time.Second
	maxRenewals = 1000             // locks of one call
	webWait     = 30 * time.Second // well within what an HTTP answer may take
)

// lockService implements fenfa.v1.LockService.
type lockService struct {
	fenfav1.UnimplementedLockServiceServer
	*Server
}

// Acquire waits for a lock.
func (s *lockService) Acquire(ctx context.Context, req *fenfav1.AcquireLockRequest) (*fenfav1.AcquireLockResponse, error) {
	ttl, err := ttlOf(req.GetTtl())
	if err != nil {
		return nil, err
	}
	wait, err := durationOf("wait", req.GetWait())
	if err != nil {
		return nil, err
	}
	if _, web := runtime.HTTPPattern(ctx); web && wait > webWait {
		return nil, task.Errorf(task.CodeInvalidArgument, "the wait is %v: over HTTP a call waits at most %v; repeat it with the same claim", wait, webWait).WithField("wait")
	}
	ctx, cancel := s.streamContext(ctx)
	defer cancel()
	h, err := s.cfg.Engine.AcquireLock(ctx, lock.Request{Name: req.GetName(), Holder: req.GetHolder(), Claim: req.GetClaim(), TTL: ttl, Wait: wait})
	if err != nil {
		return nil, err
	}
	resp := &fenfav1.AcquireLockResponse{Name: h.Name, Token: h.Token, Ttl: durationpb.New(h.TTL)}
	if h.Confirm > 0 {
		resp.ConfirmWithin = durationpb.New(h.Confirm)
	}
	return resp, nil
}

// Renew keeps locks.
func (s *lockService) Renew(ctx context.Context, req *fenfav1.RenewLocksRequest) (*fenfav1.RenewLocksResponse, error) {
	if n := len(req.GetLocks()); n > maxRenewals {
		return nil, task.Errorf(task.CodeInvalidArgument, "the request has %d locks; at most %d are allowed", n, maxRenewals).WithField("locks")
	}
	refs := make([]partition.LockRef, len(req.GetLocks()))
	for i, l := range req.GetLocks() {
		refs[i] = partition.LockRef{Name: l.GetName(), Token: l.GetToken()}
	}
	resp := &fenfav1.RenewLocksResponse{Renewals: make([]*fenfav1.Renewal, len(refs))}
	for i, r := range s.cfg.Engine.RenewLocks(ctx, refs) {
		resp.Renewals[i] = &fenfav1.Renewal{}
		if r.Err != nil {
			resp.Renewals[i].Error = errorToWire(errorOf(r.Err))
			continue
		}
		resp.Renewals[i].Ttl = durationpb.New(r.Held.TTL)
	}
	return resp, nil
}

// Release gives a lock back.
func (s *lockService) Release(ctx context.Context, req *fenfav1.ReleaseLockRequest) (*fenfav1.ReleaseLockResponse, error) {
	if err := s.cfg.Engine.ReleaseLock(ctx, partition.LockRef{Name: req.GetName(), Token: req.GetToken()}); err != nil {
		return nil, err
	}
	return &fenfav1.ReleaseLockResponse{}, nil
}

// Steal takes a lock from its holder.
func (s *lockService) Steal(ctx context.Context, req *fenfav1.StealLockRequest) (*fenfav1.StealLockResponse, error) {
	ttl, err := ttlOf(req.GetTtl())
	if err != nil {
		return nil, err
	}
	h, err := s.cfg.Engine.StealLock(ctx, lock.Request{Name: req.GetName(), Holder: req.GetHolder(), TTL: ttl})
	if err != nil {
		return nil, err
	}
	return &fenfav1.StealLockResponse{Name: h.Name, Token: h.Token, Ttl: durationpb.New(h.TTL)}, nil
}

// Get shows a held lock.
func (s *lockService) Get(ctx context.Context, req *fenfav1.GetLockRequest) (*fenfav1.GetLockResponse, error) {
	v, err := s.cfg.Engine.Lock(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	return &fenfav1.GetLockResponse{Lock: lockToWire(&v)}, nil
}

// List shows held locks.
func (s *lockService) List(ctx context.Context, req *fenfav1.ListLocksRequest) (*fenfav1.ListLocksResponse, error) {
	limit, err := pageSize(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	views, next, err := s.cfg.Engine.Locks(ctx, req.GetPrefix(), limit, req.GetPageToken())
	if err != nil {
		return nil, err
	}
	resp := &fenfav1.ListLocksResponse{Locks: make([]*fenfav1.Lock, len(views)), NextPageToken: next}
	for i := range views {
		resp.Locks[i] = lockToWire(&views[i])
	}
	return resp, nil
}

func lockToWire(v *lock.View) *fenfav1.Lock {
	return &fenfav1.Lock{
		Name: v.Name, Holder: text(v.Holder), Token: v.Token, Ttl: durationpb.New(v.TTL), ExpiresIn: durationpb.New(v.Left),
		Since: timestamppb.New(v.Since), Waiters: uint32(min(v.Waiters, math.MaxUint32)),
	}
}

func ttlOf(d *durationpb.Duration) (time.Duration, error) {
	if d == nil {
		return defaultTTL, nil
	}
	return durationOf("ttl", d)
}

// durationOf reads a duration; unset is 0.
func durationOf(field string, d *durationpb.Duration) (time.Duration, error) {
	if d == nil {
		return 0, nil
	}
	if err := d.CheckValid(); err != nil {
		return 0, task.Errorf(task.CodeInvalidArgument, "%s is not a duration: %w", field, err).WithField(field)
	}
	return d.AsDuration(), nil
}

// fenceFromWire is nil where the request has none.
func fenceFromWire(w *fenfav1.Fence) *task.Fence {
	if w == nil {
		return nil
	}
	return &task.Fence{Lock: w.GetLock(), Token: w.GetToken()}
}
