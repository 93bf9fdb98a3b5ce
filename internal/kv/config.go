package kv

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenfa/fenfa/internal/clock"
)

// Defaults of Config.
const (
	DefaultCacheBytes    = 128 << 20
	DefaultMemTableBytes = 64 << 20
	DefaultMinFreeBytes  = 256 << 20
	DefaultPatience      = 30 * time.Second
)

// ExitCode is the process's exit code after a fatal failure of the disk, unless
// Config.Fatal was replaced (EX_SOFTWARE of sysexits.h).
const ExitCode = 70

// Sentinels; errors of this package wrap them.
var (
	ErrLocked      = errors.New("the data directory is in use by another process")
	ErrNewerFormat = errors.New("the data directory was written by a newer version")
	ErrFull        = errors.New("the engine takes no new work")
	ErrClosed      = errors.New("the engine is closed")
	// ErrFailed is wrapped by all errors after a fatal failure.
	ErrFailed = errors.New("the engine failed")
)

// Config says where the data is and how much memory serves it.
type Config struct {
	Dir           string       // required; made if it does not exist
	FS            vfs.FS       // nil: the operating system's
	Logger        *slog.Logger // nil: no logs
	CacheBytes    int64        // blocks of tables kept in memory; default 128 MiB
	MemTableBytes uint64       // writes kept in memory until flushed; default 64 MiB
	// MinFreeBytes is the room on the disk below which AcceptsNew fails; default
	// 256 MiB. It is watched on the operating system's file system only.
	MinFreeBytes uint64
	// Patience is how long flushes and compactions may fail without one success until
	// the process ends; default 30 s.
	Patience   time.Duration
	Registerer prometheus.Registerer // nil: no metrics
	// Fatal is called once, when the disk failed for good. It must end the
	// process; the default logs the failure and exits with ExitCode. Where it
	// returns (in tests), the engine stands still: nothing is confirmed any more.
	Fatal func(error)
	Clock clock.Clock // default clock.System
}

func (c Config) withDefaults() (Config, error) {
	if c.Dir == "" {
		return c, errors.New("open engine: no directory was given")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.CacheBytes <= 0 {
		c.CacheBytes = DefaultCacheBytes
	}
	if c.MemTableBytes == 0 {
		c.MemTableBytes = DefaultMemTableBytes
	}
	if c.MinFreeBytes == 0 {
		c.MinFreeBytes = DefaultMinFreeBytes
	}
	if c.Patience <= 0 {
		c.Patience = DefaultPatience
	}
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.Fatal == nil {
		logger := c.Logger
		c.Fatal = func(err error) {
			logger.LogAttrs(context.Background(), slog.LevelError, "the disk failed; exiting", slog.Any("error", err))
			os.Exit(ExitCode) //nolint:revive // Going on after a failed fsync could lose what was confirmed.
		}
	}
	return c, nil
}
