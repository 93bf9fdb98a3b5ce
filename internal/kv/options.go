package kv

import (
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
)

// pebbleFormat is written down in docs/formats/keys.md.
const pebbleFormat = pebble.FormatValueSeparation

func (db *DB) options(lock *pebble.Lock) *pebble.Options {
	o := &pebble.Options{
		FS:                          db.cfg.FS,
		Lock:                        lock,
		FormatMajorVersion:          pebbleFormat,
		CacheSize:                   db.cfg.CacheBytes,
		MemTableSize:                db.cfg.MemTableBytes,
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       40,
		LBaseMaxBytes:               int64(db.cfg.MemTableBytes), //nolint:gosec // Far below the limit.
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return o
}
