package kv

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// DB is one open database.
type DB struct {
	cfg      Config
	pebble   *pebble.DB
	lock     *pebble.Lock
	guard    *guardFS
	slowDisk io.Closer // nil where disk operations are not timed
	metrics  *metrics

	batches sync.Pool
	commits committer

	readsMu     sync.RWMutex
	readsClosed bool
	reads       sync.WaitGroup

	health     atomic.Pointer[health]
	background atomic.Pointer[backgroundError]
	watchNow   chan struct{} // asks for a look at once
	watchStop  chan struct{}
	watchDone  chan struct{}

	failure  atomic.Pointer[error] // set once
	failed   chan struct{}         // closed with it
	failOnce sync.Once

	closeOnce sync.Once
	closeErr  error
}

// Open opens the database in cfg.Dir, and makes it if there is none. It fails
// with ErrLocked while another process has it open, and with ErrNewerFormat
// when a newer version wrote it.
func Open(cfg Config) (*DB, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	db := &DB{
		cfg:       cfg,
		watchNow:  make(chan struct{}, 1),
		watchStop: make(chan struct{}),
		watchDone: make(chan struct{}),
		failed:    make(chan struct{}),
	}
	db.metrics = newMetrics(db)
	db.health.Store(&health{})
	db.fileSystem()
	if err := db.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("open engine in %s: %w", cfg.Dir, err), db.closeDisk())
	}
	db.batches.New = func() any { return &Batch{db: db, pb: db.pebble.NewBatchWithSize(16 << 10)} }
	db.startCommits()
	go db.watchLoop()
	return db, nil
}

func (db *DB) open() error {
	if err := db.guard.MkdirAll(db.cfg.Dir, 0o750); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	lock, err := pebble.LockDirectory(db.cfg.Dir, db.guard)
	if err != nil {
		if pathErr := (*fs.PathError)(nil); errors.As(err, &pathErr) {
			return fmt.Errorf("make lock file: %w", err)
		}
		return fmt.Errorf("%w: stop the process that uses %s, or choose another directory: %w", ErrLocked, db.cfg.Dir, err)
	}
	db.lock = lock
	if err := db.openPebble(); err != nil {
		return errors.Join(err, lock.Close())
	}
	return nil
}

func (db *DB) openPebble() (err error) {
	db.pebble, err = pebble.Open(db.cfg.Dir, db.options(db.lock))
	if err != nil {
		// Pebble has no sentinel for a format that is newer than itself.
		if strings.Contains(err.Error(), "unknown format major version") {
			return fmt.Errorf("%w: %w", ErrNewerFormat, err)
		}
		return err
	}
	if got := db.pebble.FormatMajorVersion(); got > pebbleFormat {
		return errors.Join(fmt.Errorf("%w: Pebble format %d, this one knows up to %d", ErrNewerFormat, got, pebbleFormat), db.pebble.Close())
	}
	if err := db.checkFormat(); err != nil {
		return errors.Join(err, db.pebble.Close())
	}
	db.guard.armed.Store(true)
	if err := db.metrics.register(db.cfg.Registerer); err != nil {
		return errors.Join(err, db.pebble.Close())
	}
	db.look()
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
	got, err := decodeFormat(v)
	if err := errors.Join(err, closer.Close()); err != nil {
		return fmt.Errorf("read format version: %w", err)
	}
	if got > FormatVersion {
		return fmt.Errorf("%w: format %d, this one knows up to %d", ErrNewerFormat, got, FormatVersion)
	}
	return nil
}

func decodeFormat(v []byte) (uint32, error) {
	if len(v) != 4 {
		return 0, fmt.Errorf("%d bytes instead of 4", len(v))
	}
	return binary.BigEndian.Uint32(v), nil
}

// fail makes err the reason of all further refusals and ends the process. Where
// Config.Fatal returns, nothing that waits is confirmed any more.
func (db *DB) fail(err error) {
	db.failOnce.Do(func() {
		err = fmt.Errorf("%w: %w", ErrFailed, err)
		db.failure.Store(&err)
		db.cfg.Fatal(err)
		close(db.failed)
		db.commits.abandon(err)
	})
}

// failAndStand does not return, because what called it must not go on.
func (db *DB) failAndStand(err error) {
	db.fail(err)
	select {}
}

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
// After a failure it returns that at once and leaves the directory locked.
func (db *DB) Close() error {
	db.closeOnce.Do(func() { db.closeErr = db.close() })
	return db.closeErr
}

func (db *DB) close() error {
	close(db.watchStop)
	db.commits.stop()
	select {
	case <-db.commits.ended:
	case <-db.failed:
	}
	db.metrics.unregister(db.cfg.Registerer)
	if err := db.failure.Load(); err != nil {
		// The state of Pebble is not known; it must not be touched any more.
		return *err
	}
	<-db.watchDone
	db.readsMu.Lock()
	db.readsClosed = true
	db.readsMu.Unlock()
	db.reads.Wait()
	if err := errors.Join(db.pebble.Close(), db.lock.Close(), db.closeDisk()); err != nil {
		return fmt.Errorf("close engine in %s: %w", db.cfg.Dir, err)
	}
	db.cfg.Logger.LogAttrs(context.Background(), slog.LevelInfo, "engine closed", slog.String("dir", db.cfg.Dir))
	return nil
}

func (db *DB) closeDisk() error {
	if db.slowDisk == nil {
		return nil
	}
	return db.slowDisk.Close()
}
