package kv

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// pebbleLogger passes Pebble's own lines on.
type pebbleLogger struct{ db *DB }

// Infof implements pebble.Logger.
func (l pebbleLogger) Infof(format string, args ...any) {
	l.log(slog.LevelDebug, format, args)
}

// Errorf implements pebble.Logger.
func (l pebbleLogger) Errorf(format string, args ...any) {
	l.log(slog.LevelError, format, args)
}

// Fatalf implements pebble.Logger. Pebble relies on it not to return.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	l.db.failAndStand(fmt.Errorf(format, args...))
}

func (l pebbleLogger) log(level slog.Level, format string, args []any) {
	logger := l.db.cfg.Logger
	if logger.Enabled(context.Background(), level) {
		logger.LogAttrs(context.Background(), level, "pebble says", slog.String("text", fmt.Sprintf(format, args...)))
	}
}

func (db *DB) events() *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: db.onBackgroundError,
		FlushEnd:        func(info pebble.FlushInfo) { db.onBackgroundDone(info.Err) },
		CompactionEnd:   func(info pebble.CompactionInfo) { db.onBackgroundDone(info.Err) },
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			db.failAndStand(fmt.Errorf("read %s: damaged data: %w", info.Path, info.Details))
		},
		WriteStallBegin: func(info pebble.WriteStallBeginInfo) {
			db.metrics.stalls.Inc()
			db.cfg.Logger.LogAttrs(context.Background(), slog.LevelWarn, "writes stall", slog.String("reason", info.Reason))
		},
	}
}

// onBackgroundError is called when a flush or a compaction failed. Pebble tries
// it again from data that is still there; meanwhile new work is refused. When
// none succeeds for Config.Patience the process ends: writes would stand still
// for ever, and a new process says more clearly what is wrong.
func (db *DB) onBackgroundError(err error) {
	db.metrics.backgroundErrors.Inc()
	now := db.cfg.Clock.Now()
	trouble := &backgroundError{err: err, first: now, last: now}
	before := db.background.Load()
	if before != nil {
		trouble.first = before.first
	}
	db.background.Store(trouble)
	if trouble.last.Sub(trouble.first) >= db.cfg.Patience {
		db.failAndStand(fmt.Errorf("no flush or compaction succeeded for %v: %w", db.cfg.Patience, err))
	}
	if before == nil || now.Sub(before.last) >= time.Second {
		db.cfg.Logger.LogAttrs(context.Background(), slog.LevelError, "flush or compaction failed", slog.Any("error", err))
	}
	select {
	case db.watchNow <- struct{}{}:
	default:
	}
}

// onBackgroundDone is called when a flush or a compaction ended.
func (db *DB) onBackgroundDone(err error) {
	if err == nil {
		db.background.Store(nil)
	}
}

func (db *DB) onDiskSlow(info vfs.DiskSlowInfo) {
	db.cfg.Logger.LogAttrs(context.Background(), slog.LevelWarn, "the disk is slow",
		slog.String("operation", info.OpType.String()), slog.String("path", info.Path), slog.Duration("took", info.Duration))
}
