package pull

import (
	"context"
	"time"

	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

// Engine moves the deadlines of leases.
type Engine interface {
	ExtendLease(ctx context.Context, w partition.WorkerRef, ref task.LeaseRef, index int, by time.Duration) error
}

// Extend says that a worker goes on with a task and needs that long from now. It
// is a sign of life of the worker, too. cancelled says that somebody wants the
// worker to stop with the task. Of a batch the task at which the worker is gets that
// long too, whichever task is named. It fails with CodeStale when the lease has ended.
func (p *Pool) Extend(ctx context.Context, lease string, by time.Duration) (cancelled bool, err error) {
	s, pl, err := p.find(lease)
	if err != nil {
		return false, err
	}
	s.from.Heard()
	s.mu.Lock()
	h := s.open[pl]
	s.mu.Unlock()
	if h == nil {
		return false, errStale(lease)
	}
	if err := p.cfg.Engine.ExtendLease(ctx, s.from.Ref(), pl.ref, pl.index, by); err != nil {
		if task.CodeOf(err) == task.CodeStale {
			return false, errStale(lease)
		}
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	until := p.cfg.Clock.Now().Add(by + grace)
	h.keep(until)
	if head := s.head(pl, h); head != nil {
		head.keep(until)
	}
	return h.cancelled, nil
}

// keep remembers a task until then at least. The session's mu is held.
func (h *held) keep(until time.Time) {
	if until.After(h.until) {
		h.until = until
	}
}
