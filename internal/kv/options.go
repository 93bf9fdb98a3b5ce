package kv

import (
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// pebbleFormat is set explicitly and written down in docs/formats/keys.md: raising it
// is a change of the stored format. This one has checksummed, columnar tables
// and log chunks that tell a torn tail from damage in the middle.
const pebbleFormat = pebble.FormatValueSeparation

// Thresholds of level 0. New work is refused well before Pebble itself would
// stop all writes, completions among them.
const (
	l0Compact = 5  // sublevels that start a compaction: fewer would merge the same rows more often
	l0Refuse  = 24 // sublevels at which AcceptsNew fails
	l0Stop    = 48 // sublevels at which Pebble stops writes
)

// diskSlow is how long a disk operation may take until it is logged.
const diskSlow = 2 * time.Second

// fileSystem puts the guard, and on the operating system's file system a watch
// for slow operations, over the given one.
func (db *DB) fileSystem() {
	fs := db.cfg.FS
	if fs == nil {
		fs, db.slowDisk = vfs.WithDiskHealthChecks(vfs.Default, diskSlow, nil, db.onDiskSlow)
	}
	db.guard = &guardFS{FS: fs, clock: db.cfg.Clock, onFail: db.failAndStand, onSync: db.metrics.fsync.Observe}
}

// options are tuned for rows that are written in order and deleted soon after.
func (db *DB) options(lock *pebble.Lock) *pebble.Options {
	o := &pebble.Options{
		FS:                 db.guard,
		Lock:               lock,
		Logger:             pebbleLogger{db: db},
		EventListener:      db.events(),
		FormatMajorVersion: pebbleFormat,
		CacheSize:          db.cfg.CacheBytes,
		// A large memtable lets most messages be published and settled before
		// they reach a table, and three of them let writes go on during a flush.
		MemTableSize:                db.cfg.MemTableBytes,
		MemTableStopWritesThreshold: 3,
		L0CompactionThreshold:       2 * l0Compact, // a sublevel counts twice
		L0StopWritesThreshold:       l0Stop,
		LBaseMaxBytes:               max(64<<20, int64(db.cfg.MemTableBytes)),
		CompactionConcurrencyRange:  func() (lower, upper int) { return 1, 3 },
		// Tables are synced while they are written, so that their last sync does not
		// hold up those of the log. The log itself is synced with every commit.
		BytesPerSync: 1 << 20,
	}
	o.Experimental.L0CompactionConcurrency = l0Compact + 7
	o.Experimental.CompactionDebtConcurrency = 512 << 20
	apart(o)
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		o.Levels[i].BlockSize = 16 << 10
	}
	o.TargetFileSizes[0] = 8 << 20
	o.FlushSplitBytes = 16 << 20
	return o
}
