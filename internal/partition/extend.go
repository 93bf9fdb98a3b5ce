package partition

import (
	"context"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// MaxExtension is the longest time that a worker may ask for at once.
const MaxExtension = 24 * time.Hour

// ExtendLease gives a worker that long from now for a task of a lease, and for the one
// that comes next where they are in order, and no less than it had. It fails with
// CodeStale when the lease has ended, or the task in it.
func (e *Engine) ExtendLease(ctx context.Context, w WorkerRef, ref task.LeaseRef, index int, by time.Duration) error {
	if by <= 0 || by > MaxExtension {
		return task.Errorf(task.CodeInvalidArgument, "the extension is %v: want more than 0 and at most %v", by, MaxExtension).WithField("timeout")
	}
	open := false
	if ref.Partition >= 0 && ref.Partition < len(e.owners) {
		var err error
		open, err = ask(ctx, e.owners[ref.Partition], func(c *core, now time.Time, answer func(bool)) { answer(c.extend(now, w, ref, index, by)) })
		if err != nil {
			return err
		}
	}
	if !open {
		return task.Errorf(task.CodeStale, "the lease has ended: its time was over, or its worker did not call for too long")
	}
	return nil
}

// extend moves the deadline of a task, and reports whether the worker has it. Where
// there is order it has begun those before: their outcomes come with its own.
func (c *core) extend(now time.Time, w WorkerRef, ref task.LeaseRef, index int, by time.Duration) bool {
	ls := c.leases[ref.Token]
	if ls == nil || ref.Epoch != c.led.Epoch() || ls.worker.Session != w.Session || index < 0 || index >= len(ls.items) || ls.items[index] == nil {
		return false
	}
	until := now.Add(by + leaseGrace)
	ls.extend(index, until)
	if ls.lane.ordered {
		ls.extend(ls.next, until)
	}
	return true
}
