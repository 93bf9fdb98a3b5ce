package kv

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// DB is one open database.
type DB struct {
	cfg    Config
	pebble *pebble.DB
	lock   *pebble.Lock

	batches sync.Pool
	commits committer

	readsMu     sync.RWMutex
	readsClosed bool
	reads       sync.WaitGroup

	failure  atomic.Pointer[error] // set once
	failed   chan struct{}         // closed with it
	failOnce sync.Once

	closeOnce sync.Once
	closeErr  error
}

// Open opens the database in cfg.Dir, and makes it if there is none.
func Open(cfg Config) (*DB, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if cfg.FS == nil {
		cfg.FS = vfs.Default
	}
	db := &DB{cfg: cfg, failed: make(chan struct{})}
	if err := db.open(); err != nil {
		return nil, fmt.Errorf("open engine in %s: %w", cfg.Dir, err)
	}
	db.batches.New = func() any { return &Batch{db: db, pb: db.pebble.NewBatchWithSize(16 << 10)} }
	db.startCommits()
	return db, nil
}

func (db *DB) open() error {
	if err := db.cfg.FS.MkdirAll(db.cfg.Dir, 0o750); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	lock, err := pebble.LockDirectory(db.cfg.Dir, db.cfg.FS)
	if err != nil {
		if pathErr := (*os.PathError)(nil); errors.As(err, &pathErr) {
			return fmt.Errorf("make lock file: %w", err)
		}
		return fmt.Errorf("%w (%s): stop it, or use another directory: %w", ErrLocked, db.cfg.Dir, err)
	}
	db.pebble, err = pebble.Open(db.cfg.Dir, db.options(lock))
	if err != nil {
		return errors.Join(err, lock.Close())
	}
	db.lock = lock
	if err := db.checkFormat(); err != nil {
		return errors.Join(err, db.pebble.Close(), lock.Close())
	}
	return nil
}

// checkFormat refuses a newer format and marks a new database.
func (db *DB) checkFormat() error {
	key := []byte{SpaceMeta, 'f'}
	v, closer, err := db.pebble.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return db.pebble.Set(key, binary.BigEndian.AppendUint32(nil, FormatVersion), pebble.Sync)
	}
	if err != nil {
		return fmt.Errorf("read format version: %w", err)
	}
	defer closer.Close() //nolint:errcheck // It releases memory only.
	if len(v) != 4 {
		return fmt.Errorf("read format version: %d bytes instead of 4", len(v))
	}
	if got := binary.BigEndian.Uint32(v); got > FormatVersion {
		return fmt.Errorf("%w: format %d, this one knows up to %d", ErrNewerFormat, got, FormatVersion)
	}
	return nil
}

// fail makes err the reason of all further refusals and ends the process.
func (db *DB) fail(err error) {
	db.failOnce.Do(func() {
		err = fmt.Errorf("%w: %w", ErrFailed, err)
		db.failure.Store(&err)
		close(db.failed)
		db.cfg.Fatal(err)
	})
}

// AcceptsNew says why new work must be refused now: an error that wraps
// ErrFull, or nil. Completions are still committed.
func (db *DB) AcceptsNew() error { return nil }

// Checkpoint makes a consistent copy of everything that is visible in dir, which
// must not exist. Tables are linked where the file system can.
func (db *DB) Checkpoint(dir string) error {
	if err := db.enterRead(); err != nil {
		return err
	}
	defer db.reads.Done()
	if err := db.pebble.Checkpoint(dir, pebble.WithFlushedWAL()); err != nil {
		return fmt.Errorf("checkpoint to %s: %w", dir, err)
	}
	return nil
}

// Close waits until everything that was committed is durable and its callbacks
// have run, and for open iterators. A second call returns the first one's result.
func (db *DB) Close() error {
	db.closeOnce.Do(func() { db.closeErr = db.close() })
	return db.closeErr
}

func (db *DB) close() error {
	c := &db.commits
	c.mu.Lock()
	c.closing = true
	c.wake.Broadcast()
	c.mu.Unlock()

	drained := make(chan struct{})
	go func() {
		defer close(drained)
		c.loops.Wait()
	}()
	select {
	case <-drained:
	case <-db.failed:
	}
	if err := db.failure.Load(); err != nil {
		// Pebble's state is not known; it must not be touched any more.
		return *err
	}
	db.readsMu.Lock()
	db.readsClosed = true
	db.readsMu.Unlock()
	db.reads.Wait()
	if err := errors.Join(db.pebble.Close(), db.lock.Close()); err != nil {
		return fmt.Errorf("close engine: %w", err)
	}
	db.cfg.Logger.LogAttrs(context.Background(), slog.LevelInfo, "engine closed", slog.String("dir", db.cfg.Dir))
	return nil
}
