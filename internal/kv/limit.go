package kv

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/sync/errgroup"
)

// LimitBatch is how many tasks one group commit of MeasureLimit holds.
const LimitBatch = 1000

// limitWriters is how many goroutines commit at the same time: while one waits
// for the disk the other one fills its batch.
const limitWriters = 2

// LimitConfig says what MeasureLimit writes.
type LimitConfig struct {
	Dir     string // must not hold a database
	Lives   int    // tasks that are written and deleted
	Payload int    // bytes of a task
}

// MeasureLimit measures what Pebble can do at most on a disk with the options
// of this engine: lives of tasks, written and deleted without anything of fenfa
// around them. Each group commit puts tasks and their dedupe marks, deletes the
// tasks of the commit before, and is synced. It is the ceiling that a whole
// system on this engine is compared with.
func MeasureLimit(ctx context.Context, cfg LimitConfig) (took time.Duration, err error) {
	db, err := Open(Config{Dir: cfg.Dir}) //nolint:contextcheck // The engine outlives calls; Close ends it.
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	began := db.cfg.Clock.Now()
	group, ctx := errgroup.WithContext(ctx)
	for w := range limitWriters {
		lives := cfg.Lives / limitWriters
		if w == 0 {
			lives += cfg.Lives % limitWriters
		}
		group.Go(func() error { return db.liveAndDie(ctx, byte(w), lives, cfg.Payload) })
	}
	if err := group.Wait(); err != nil {
		return 0, fmt.Errorf("measure limit: %w", err)
	}
	return db.cfg.Clock.Now().Sub(began), nil
}

// liveAndDie writes and deletes the tasks of one writer.
func (db *DB) liveAndDie(ctx context.Context, writer byte, lives, payload int) error {
	value := make([]byte, payload)
	batch := db.pebble.NewBatch()
	for from, before := 0, 0; before < lives; before, from = from, min(from+LimitBatch, lives) {
		if ctx.Err() != nil {
			return errors.Join(ctx.Err(), batch.Close())
		}
		batch.Reset()
		for n := from; n < min(from+LimitBatch, lives); n++ {
			fillLimit(value, uint64(n))
			must(batch.Set(limitTask(writer, n), value, nil))
			must(batch.Set(limitMark(writer, n), value[:min(8, payload)], nil))
		}
		for n := before; n < from; n++ {
			must(batch.DeleteSized(limitTask(writer, n), uint32(payload), nil))
		}
		if err := batch.Commit(pebble.Sync); err != nil {
			return errors.Join(fmt.Errorf("commit: %w", err), batch.Close())
		}
	}
	return batch.Close()
}

// limitTask is the key of a task, in the order of submits.
func limitTask(writer byte, n int) []byte {
	return binary.BigEndian.AppendUint64([]byte{SpaceBrokerLog, writer}, uint64(n))
}

// limitMark is the key of a dedupe mark, which sorts like a version 7 UUID: by a
// clock that moves once in a batch, then at random.
func limitMark(writer byte, n int) []byte {
	key := binary.BigEndian.AppendUint64([]byte{SpaceBrokerIndex, writer}, uint64(n/LimitBatch))
	return binary.BigEndian.AppendUint64(key, mixLimit(uint64(n)))
}

// fillLimit makes content that does not compress.
func fillLimit(value []byte, n uint64) {
	for i := 0; i+8 <= len(value); i += 8 {
		binary.LittleEndian.PutUint64(value[i:], mixLimit(n<<10|uint64(i)))
	}
}

// mixLimit spreads numbers over all bits (the finalizer of SplitMix64).
func mixLimit(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
