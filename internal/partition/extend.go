package partition

import (
	"context"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// MaxExtension is the longest time that a worker may ask for at once.
const MaxExtension = 24 * time.Hour

// ExtendLease gives a worker that long from now for the task of a lease that it
// works on, and no less than it had. It fails with CodeStale when the lease has
// ended.
func (e *Engine) ExtendLease(ctx context.Context, w WorkerRef, ref task.LeaseRef, by time.Duration) error {
	if by <= 0 || by > MaxExtension {
		return task.Errorf(task.CodeInvalidArgument, "the extension is %v: want more than 0 and at most %v", by, MaxExtension).WithField("timeout")
	}
	open := false
	if ref.Partition >= 0 && ref.Partition < len(e.owners) {
		var err error
		open, err = ask(ctx, e.owners[ref.Partition], func(c *core, now time.Time, answer func(bool)) { answer(c.extend(now, w, ref, by)) })
		if err != nil {
			return err
		}
	}
	if !open {
		return task.Errorf(task.CodeStale, "the lease has ended: its time was over, or its worker did not call for too long")
	}
	return nil
}

// extend moves the deadline of a lease, and reports whether the worker has it.
func (c *core) extend(now time.Time, w WorkerRef, ref task.LeaseRef, by time.Duration) bool {
	ls := c.leases[ref.Token]
	if ls == nil || ref.Epoch != c.led.Epoch() || ls.worker.Session != w.Session {
		return false
	}
	ls.extend(now.Add(by + leaseGrace))
	return true
}
