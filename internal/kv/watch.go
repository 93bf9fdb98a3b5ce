package kv

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// What makes the engine refuse new work, beside a full disk and a deep level 0.
const (
	watchInterval     = 500 * time.Millisecond
	maxCompactionDebt = 16 << 30  // bytes that wait for compaction
	maxQueueBytes     = 256 << 20 // bytes that wait for the log
)

// health is what the watch saw last.
type health struct {
	refusal   error // wraps ErrFull
	freeBytes uint64
	diskKnown bool
	usedBytes uint64
	debtBytes uint64
	sublevels int32
	memBytes  uint64
	logBytes  uint64
	cacheHits int64
	cacheMiss int64
}

// backgroundError says that flushes or compactions fail; the first success ends it.
type backgroundError struct {
	err         error
	first, last time.Time
}

// AcceptsNew says why new work must be refused now: an error that wraps
// ErrFull, or the failure, or nil. Completions are committed all the same,
// because they free room. It costs one atomic load.
func (db *DB) AcceptsNew() error {
	if err := db.failure.Load(); err != nil {
		return *err
	}
	return db.health.Load().refusal
}

// watchLoop looks at the disk and at Pebble until Close.
func (db *DB) watchLoop() {
	defer close(db.watchDone)
	tick := make(chan struct{}, 1)
	for {
		timer := db.cfg.Clock.AfterFunc(watchInterval, func() {
			select {
			case tick <- struct{}{}:
			default:
			}
		})
		select {
		case <-tick:
		case <-db.watchNow:
		case <-db.watchStop:
			timer.Stop()
			return
		}
		timer.Stop()
		db.look()
	}
}

// look takes one sample.
func (db *DB) look() {
	m := db.pebble.Metrics()
	h := &health{
		usedBytes: m.DiskSpaceUsage(),
		debtBytes: m.Compact.EstimatedDebt,
		sublevels: m.Levels[0].Sublevels,
		memBytes:  m.MemTable.Size,
		logBytes:  m.WAL.PhysicalSize,
		cacheHits: m.BlockCache.Hits,
		cacheMiss: m.BlockCache.Misses,
	}
	usage, err := db.guard.GetDiskUsage(db.cfg.Dir)
	if err == nil {
		h.freeBytes, h.diskKnown = usage.AvailBytes, true
	}
	h.refusal = db.judge(h, err)
	db.health.Store(h)
}

// judge decides whether new work is taken in.
func (db *DB) judge(h *health, usageErr error) error {
	db.commits.mu.Lock()
	queued := db.commits.bytes
	db.commits.mu.Unlock()
	switch b := db.background.Load(); {
	case usageErr != nil && !errors.Is(usageErr, vfs.ErrUnsupported):
		return fmt.Errorf("%w: the free space of %s is not known: %w", ErrFull, db.cfg.Dir, usageErr)
	case h.diskKnown && h.freeBytes < db.cfg.MinFreeBytes:
		return fmt.Errorf("%w: the disk of %s has %d MiB left, %d MiB are kept free: make room or add disk",
			ErrFull, db.cfg.Dir, h.freeBytes>>20, db.cfg.MinFreeBytes>>20)
	case h.sublevels >= l0Refuse:
		return fmt.Errorf("%w: compaction is behind (%d sublevels): slow down", ErrFull, h.sublevels)
	case h.debtBytes > maxCompactionDebt:
		return fmt.Errorf("%w: compaction is behind (%d MiB): slow down", ErrFull, h.debtBytes>>20)
	case queued > maxQueueBytes:
		return fmt.Errorf("%w: %d MiB wait for the log: slow down", ErrFull, queued>>20)
	case b != nil:
		return fmt.Errorf("%w: a flush or compaction failed: %w", ErrFull, b.err)
	}
	return nil
}

// DiskUsage returns the bytes that the database takes and those that its disk
// has left, as last seen; free is 0 where the file system does not say.
func (db *DB) DiskUsage() (used, free uint64) {
	h := db.health.Load()
	return h.usedBytes, h.freeBytes
}
