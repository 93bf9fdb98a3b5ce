package kv_test

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/kv/kvtest"
)

var crashPoints = flag.Int("crash.points", 60, "how many moments of a crash are tried")

func onDisk(disk *kvtest.Disk) kv.Config {
	return kv.Config{Dir: "data", FS: disk.FS(), MemTableBytes: 48 << 10, CacheBytes: 1 << 20}
}

const crashCommits = 300

// commitAll commits numbered batches of different sizes; confirmed counts those
// whose callbacks have run.
func commitAll(t *testing.T, disk *kvtest.Disk, confirmed *atomic.Int64) {
	t.Helper()
	db := open(t, onDisk(disk))
	for i := range crashCommits {
		b := db.NewBatch()
		key := binary.BigEndian.AppendUint32([]byte{'n'}, uint32(i))
		b.Set(key, make([]byte, i*37%2000))
		b.Set([]byte("last"), key)
		db.Commit(b, func(err error) {
			if err != nil {
				t.Errorf("commit %d: %v", i, err)
			}
			confirmed.Add(1)
		})
		if i%7 == 0 {
			if err := db.Barrier(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// recovered opens the disk and returns how many batches are there, which must be the
// first ones, each as a whole.
func recovered(t *testing.T, disk *kvtest.Disk) int64 {
	t.Helper()
	db := open(t, onDisk(disk))
	it, err := db.Iter([]byte{'n'}, []byte{'o'})
	if err != nil {
		t.Fatal(err)
	}
	n := int64(0)
	for ok := it.First(); ok; ok = it.Next() {
		if i := int64(binary.BigEndian.Uint32(it.Key()[1:])); i != n || len(it.Value()) != int(i*37%2000) {
			t.Fatalf("behind %d batches comes batch %d with %d bytes", n, i, len(it.Value()))
		}
		n++
	}
	last, ok, getErr := db.Get([]byte("last"))
	if err := errors.Join(it.Close(), getErr, db.Close()); err != nil {
		t.Fatal(err)
	}
	if ok != (n > 0) || ok && int64(binary.BigEndian.Uint32(last[1:])) != n-1 {
		t.Errorf("of %d batches the last one is not whole: %x", n, last)
	}
	return n
}

func TestCrashLeavesABeginningThatHasEverythingConfirmed(t *testing.T) {
	var count atomic.Int64
	whole := kvtest.NewDisk()
	commitAll(t, whole, &count)
	for i := range *crashPoints {
		k := 1 + whole.Ops()*i / *crashPoints
		unsynced := i % 4 * 33
		t.Run(fmt.Sprintf("operation %d, %d percent", k, unsynced), func(t *testing.T) {
			disk := kvtest.NewDisk()
			var confirmed atomic.Int64
			var least int64
			disk.CrashAt(kvtest.Crash{At: k, Unsynced: unsynced, Seed: uint64(i), Before: func() { least = confirmed.Load() }})
			commitAll(t, disk, &confirmed)
			after := disk.AfterCrash()
			if after == nil {
				return // Fewer operations this time.
			}
			// Once more in the middle of the recovery.
			after.CrashAt(kvtest.Crash{At: 1 + i%30, Unsynced: 50, Seed: uint64(i)})
			first := recovered(t, after)
			if first < least {
				t.Errorf("%d batches were confirmed, %d are there", least, first)
			}
			if second := after.AfterCrash(); second != nil {
				if n := recovered(t, second); n < least {
					t.Errorf("%d batches were confirmed, %d are there after a second crash", least, n)
				}
			}
		})
	}
}

func TestTornLogLosesNothingBeforeTheTear(t *testing.T) {
	for cut := 1; cut < 40_000; cut = cut*2 + 1 {
		disk := kvtest.NewDisk()
		db := open(t, kv.Config{Dir: "data", FS: disk.FS(), MemTableBytes: 4 << 20, CacheBytes: 1 << 20})
		for i := range 100 {
			b := db.NewBatch()
			key := binary.BigEndian.AppendUint32([]byte{'n'}, uint32(i))
			b.Set(key, make([]byte, i*37%2000))
			b.Set([]byte("last"), key)
			if err := db.CommitWait(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
		torn := disk.CrashNow(100, 0)
		size, err := torn.TruncateLogs("data", cut)
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		n := recovered(t, torn)
		// A batch takes at most 2,100 bytes of the log.
		if least := int64(100 - 2 - cut/20); n >= 100 && cut > 2100 || size < 80_000 || cut < 20 && n < least {
			t.Errorf("%d of %d bytes were cut; %d batches are there", cut, size, n)
		}
	}
}
