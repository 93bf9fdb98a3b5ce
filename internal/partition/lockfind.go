package partition

import (
	"context"
	"fmt"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// Pace of the search for locks that were held before a claim.
const (
	lockScanPage  = 256
	lockScanBytes = 256 << 10
	lockScanPause = 100 * time.Millisecond // where all records are looked at
)

// findLocks looks for the locks that were held before the claim, so that those
// expire too that nobody asks for. The index has them all, but for those that an
// earlier version granted: for these it goes once over all records, in small steps.
func (own *ownership) findLocks(ctx context.Context) {
	defer close(own.searched)
	from, to := store.AllHeld()
	if !own.locksIndexed {
		from, to = nil, nil
	}
	for {
		scan := store.Scan{Part: own.part, Table: store.TableRecord, Limit: lockScanPage, Bytes: lockScanBytes}
		if from != nil {
			scan.From = from
		}
		if to != nil {
			scan.To = to
		}
		rows, err := own.e.cfg.Store.Load(ctx, scan)
		if err != nil {
			own.fail(fmt.Errorf("look for locks: %w", err))
			return
		}
		if len(rows) == 0 {
			break
		}
		var names []string
		for _, row := range rows {
			r, ok := row.(*store.Record)
			if !ok {
				continue
			}
			from = &store.Record{Key: r.Key, Name: r.Name + "\x00"}
			switch {
			case own.locksIndexed:
				names = append(names, string(r.Value))
			case r.Name == task.LockRecord:
				names = append(names, r.Key)
			}
		}
		if !own.knowLocks(ctx, names) {
			return
		}
		if len(rows) < lockScanPage/2 || own.locksIndexed {
			continue // The next read finds the end.
		}
		if !own.e.wait(ctx, lockScanPause) {
			return
		}
	}
	if !own.locksIndexed {
		own.mail.post(func(c *core, _ time.Time) { c.led.Indexed(store.IndexHeld, 0) })
	}
}

// knowLocks makes the table of locks know some, as they were at the claim or are now.
// It reports false when the ownership ends.
func (own *ownership) knowLocks(ctx context.Context, names []string) bool {
	if len(names) == 0 {
		return true
	}
	return own.await(ctx, func(c *core, answer func()) {
		left := len(names)
		for _, name := range names {
			c.withLock(own.claimed, name, func(time.Time) {
				if !own.locksIndexed {
					c.indexLock(name)
				}
				if left--; left == 0 {
					answer()
				}
			})
		}
	}) == nil
}

// indexLock makes the index know a lock that an earlier version granted. Where the lock
// is freed with the same batch, what that says of the index stays.
func (c *core) indexLock(name string) {
	if r := c.led.Record(name, task.LockRecord); r.Version != 0 {
		c.led.Put(store.Held(name, r.Version))
	}
}
