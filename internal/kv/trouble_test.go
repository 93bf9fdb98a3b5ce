package kv_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/fenfa/fenfa/internal/clock"
	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/kv/kvtest"
)

// ticks is a clock whose timers fire at once when the test says so.
type ticks struct {
	clock.System
	pending chan func()
}

func (c *ticks) AfterFunc(_ time.Duration, f func()) clock.Timer {
	c.pending <- f
	return stopped{}
}

type stopped struct{}

func (stopped) Stop() bool { return false }

// until lets the watch look, again and again, until the condition holds.
func (c *ticks) until(holds func() bool) {
	for !holds() {
		select {
		case fire := <-c.pending:
			fire()
		default:
			runtime.Gosched()
		}
	}
}

func TestNewWorkIsRefusedWhileTheDiskIsNearlyFull(t *testing.T) {
	mem := vfs.NewMem()
	free := func(mib uint64) {
		mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: mib << 20, TotalBytes: 1 << 40, UsedBytes: 1 << 30})
	}
	free(100)
	watch := &ticks{pending: make(chan func(), 100)}
	cfg := small(mem)
	cfg.MinFreeBytes = 50 << 20
	cfg.Clock = watch
	db := open(t, cfg)
	if err := db.AcceptsNew(); err != nil {
		t.Errorf("with room: %v", err)
	}
	free(49)
	watch.until(func() bool { return errors.Is(db.AcceptsNew(), kv.ErrFull) })
	if err := db.AcceptsNew(); !strings.Contains(err.Error(), "49 MiB") || !strings.Contains(err.Error(), "data") {
		t.Errorf("the refusal says %q", err)
	}
	if _, left := db.DiskUsage(); left != 49<<20 {
		t.Errorf("%d bytes are left", left)
	}
	// Completions are taken all the same.
	set(t, db, "a", "1")
	free(51)
	watch.until(func() bool { return db.AcceptsNew() == nil })
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFullDiskIsKnownFromTheStart(t *testing.T) {
	mem := vfs.NewMem()
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1, TotalBytes: 1 << 40})
	db := open(t, small(mem))
	if err := db.AcceptsNew(); !errors.Is(err, kv.ErrFull) {
		t.Errorf("got %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// failing opens an engine on a file system where the operations that bad says
// fail from the moment on that the switch is on. died gets what ends the process.
func failing(t *testing.T, bad func(op errorfs.Op) bool, patience time.Duration) (db *kv.DB, on *errorfs.Toggle, died chan error) {
	t.Helper()
	on = &errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
		if bad(op) {
			return kvtest.ErrInjected
		}
		return nil
	})}
	died = make(chan error, 1)
	cfg := small(errorfs.Wrap(vfs.NewMem(), on))
	cfg.Patience = patience
	cfg.Fatal = func(err error) { died <- err }
	return open(t, cfg), on, died
}

func isLog(op errorfs.Op) bool { return strings.HasSuffix(op.Path, ".log") }

func TestFailedLogEndsTheProcessAndConfirmsNothing(t *testing.T) {
	for name, kind := range map[string]errorfs.OpKind{"write": errorfs.OpFileWrite, "sync": errorfs.OpFileSyncData} {
		t.Run(name, func(t *testing.T) {
			db, on, died := failing(t, func(op errorfs.Op) bool { return isLog(op) && op.Kind == kind }, time.Hour)
			set(t, db, "a", "1")
			on.On()
			results := make(chan error, 10)
			for i := range cap(results) {
				b := db.NewBatch()
				b.Set(fmt.Append(nil, "k", i), nil)
				db.Commit(b, func(err error) { results <- err })
			}
			err := <-died
			if !errors.Is(err, kv.ErrFailed) || !errors.Is(err, kvtest.ErrInjected) || !strings.Contains(err.Error(), ".log") {
				t.Errorf("the process ends with %v", err)
			}
			on.Off() // Nothing is tried again, even though it would work now.
			for range cap(results) {
				if err := <-results; !errors.Is(err, kv.ErrFailed) {
					t.Errorf("a commit was answered with %v", err)
				}
			}
			for name, err := range map[string]error{
				"commit": db.CommitWait(t.Context(), db.NewBatch()), "barrier": db.Barrier(t.Context()),
				"accepts new": db.AcceptsNew(), "close": db.Close(),
			} {
				if !errors.Is(err, kv.ErrFailed) {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

func TestFailureToTurnTheLogEndsTheProcess(t *testing.T) {
	for name, bad := range map[string]func(errorfs.Op) bool{
		"create": func(op errorfs.Op) bool {
			return isLog(op) && (op.Kind == errorfs.OpCreate || op.Kind == errorfs.OpReuseForWrite)
		},
		"sync of directory": func(op errorfs.Op) bool { return op.Path == "data" && op.Kind == errorfs.OpFileSync },
		"manifest": func(op errorfs.Op) bool {
			return strings.Contains(op.Path, "MANIFEST") && op.Kind == errorfs.OpFileSync
		},
	} {
		t.Run(name, func(t *testing.T) {
			db, on, died := failing(t, bad, time.Hour)
			on.On()
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for i := range 10_000 {
					b := db.NewBatch()
					b.Set(fmt.Append(nil, "k", i), make([]byte, 10_000))
					if db.CommitWait(t.Context(), b) != nil {
						return
					}
				}
				t.Error("the log was never turned")
				died <- nil
			}()
			<-ended
			if err := <-died; !errors.Is(err, kv.ErrFailed) || !strings.Contains(err.Error(), kvtest.ErrInjected.Error()) {
				t.Errorf("the process ends with %v", err)
			}
		})
	}
}

func isTable(op errorfs.Op) bool {
	return strings.HasSuffix(op.Path, ".sst") && op.Kind == errorfs.OpFileWrite
}

func TestFailedFlushesRefuseNewWorkUntilOneSucceeds(t *testing.T) {
	db, on, died := failing(t, isTable, time.Hour)
	on.On()
	for i := range 60 { // Fewer bytes than make writes wait for a flush.
		set(t, db, fmt.Sprint("k", i), strings.Repeat("v", 9_000))
	}
	for db.AcceptsNew() == nil {
		runtime.Gosched()
	}
	if err := db.AcceptsNew(); !errors.Is(err, kv.ErrFull) || !strings.Contains(err.Error(), "flush") {
		t.Fatalf("got %v", err)
	}
	on.Off()
	for db.AcceptsNew() != nil {
		runtime.Gosched()
	}
	select {
	case err := <-died:
		t.Errorf("the process ended with %v", err)
	default:
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFlushesThatNeverSucceedEndTheProcess(t *testing.T) {
	db, on, died := failing(t, isTable, 300*time.Millisecond)
	on.On()
	for i := range 60 {
		b := db.NewBatch()
		b.Set(fmt.Append(nil, "k", i), make([]byte, 9_000))
		db.Commit(b, nil)
	}
	if err := <-died; !strings.Contains(err.Error(), "no flush or compaction succeeded") {
		t.Errorf("the process ends with %v", err)
	}
	if err := db.Close(); !errors.Is(err, kv.ErrFailed) {
		t.Errorf("close: %v", err)
	}
}
