package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strconv"
	"testing"

	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/kv/kvtest"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/embedded"
	"github.com/fenfa/fenfa/internal/store/storetest"
)

const crashParts = 3

// crashRun is a seeded workload on a disk that crashes, and what it was told.
type crashRun struct {
	t      *testing.T
	rng    *rand.Rand
	disk   *kvtest.Disk
	fences [crashParts]store.Fence
	// want holds, for each partition and number of commits, the rows of then.
	want      [crashParts][][]store.Row
	confirmed [crashParts]int // commits that were confirmed before the crash
	epochs    [crashParts]uint64
	counted   int // of the named value, confirmed before the crash
}

func newCrashRun(t *testing.T, seed uint64, disk *kvtest.Disk) *crashRun {
	t.Helper()
	r := &crashRun{t: t, rng: rand.New(rand.NewPCG(seed, 27)), disk: disk}
	for part := range crashParts {
		r.want[part] = [][]store.Row{nil}
	}
	return r
}

// before reports whether the crash has not happened yet.
func (r *crashRun) before() bool { return r.disk.AfterCrash() == nil && !r.disk.Failed() }

// work claims and commits until done, or until the engine fails.
func (r *crashRun) work(ctx context.Context, s store.Store, rounds int) error {
	for part := range crashParts {
		fence, err := s.Claim(ctx, part, 0)
		if err != nil {
			return err
		}
		r.fences[part] = fence
		if r.before() {
			r.epochs[part] = fence.Epoch
		}
	}
	for range rounds {
		if err := r.commit(ctx, s); err != nil {
			return err
		}
		if r.rng.IntN(3) == 0 {
			if err := r.count(ctx, s); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *crashRun) commit(ctx context.Context, s store.Store) error {
	var batches []store.Batch
	for part := range crashParts {
		if r.rng.IntN(2) == 0 {
			continue
		}
		n := len(r.want[part])
		b := after(part, r.fences[part])
		rows := append([]store.Row(nil), r.want[part][n-1]...)
		for i := range 1 + r.rng.IntN(4) {
			row := &store.Outbox{Seq: uint64(10*n + i), Body: []byte(strconv.Itoa(r.rng.IntN(1e6)))}
			b.Puts = append(b.Puts, row)
			rows = append(rows, row)
		}
		if len(rows) > 12 {
			b.Deletes, rows = rows[:8], rows[8:]
		}
		batches = append(batches, b)
		r.fences[part] = b.Next
		// The batch may be durable even if nobody hears of it.
		r.want[part] = append(r.want[part], rows)
	}
	if err := s.Commit(ctx, batches); err != nil {
		return err
	}
	if r.before() {
		for _, b := range batches {
			r.confirmed[b.Part] = len(r.want[b.Part]) - 1
		}
	}
	return nil
}

// count raises a named value by one.
func (r *crashRun) count(ctx context.Context, s store.Store) error {
	value, version, err := s.Meta().Get(ctx, "count")
	if err != nil {
		return err
	}
	n, _ := strconv.Atoi(string(value)) // no value counts as 0
	if _, err := s.Meta().Put(ctx, "count", []byte(strconv.Itoa(n+1)), version); err != nil {
		return err
	}
	if r.before() {
		r.counted = n + 1
	}
	return nil
}

// check compares what a crash left with what was confirmed: the fence says how
// many commits there are, and the rows must be those of exactly that many.
func (r *crashRun) check(s store.Store) {
	r.t.Helper()
	for part := range crashParts {
		fence, err := s.Claim(r.t.Context(), part, 0)
		if err != nil {
			r.t.Fatal(err)
		}
		n := int(fence.Seq)
		if n < r.confirmed[part] || n >= len(r.want[part]) {
			r.t.Fatalf("partition %d has %d commits; %d were confirmed, %d tried", part, n, r.confirmed[part], len(r.want[part])-1)
		}
		if fence.Epoch <= r.epochs[part] {
			r.t.Fatalf("partition %d: epoch %d was given again", part, fence.Epoch)
		}
		rows, err := s.Load(r.t.Context(), store.Scan{Part: part, Table: store.TableOutbox, Limit: 1000})
		if err != nil {
			r.t.Fatal(err)
		}
		if want := r.want[part][n]; len(rows) != len(want) || len(rows) > 0 && !reflect.DeepEqual(rows, want) {
			r.t.Fatalf("partition %d has %d commits by its fence, and not the rows of then\ngot  %v\nwant %v", part, n, rows, want)
		}
	}
	value, _, err := s.Meta().Get(r.t.Context(), "count")
	if err != nil {
		r.t.Fatal(err)
	}
	if n, _ := strconv.Atoi(string(value)); n < r.counted { // no value counts as 0
		r.t.Fatalf("the named value is %d; %d was confirmed", n, r.counted)
	}
}

// session runs f over the engine on the disk.
func session(t *testing.T, disk *kvtest.Disk, f func(s *embedded.Store)) {
	t.Helper()
	db, s := openStore(t, kv.Config{Dir: "data", FS: disk.FS(), MemTableBytes: 256 << 10})
	f(s)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// crashPoints is how many moments of a run are tried.
const crashPoints = 25

func TestConfirmedCommitsSurviveACrashAtAnyMoment(t *testing.T) {
	const rounds = 25
	whole := kvtest.NewDisk()
	session(t, whole, func(s *embedded.Store) {
		if err := newCrashRun(t, 1, whole).work(t.Context(), s, rounds); err != nil {
			t.Fatal(err)
		}
	})
	step := max(1, whole.Ops()/crashPoints)
	crashed := 0
	for k := 1; k <= whole.Ops(); k += step {
		for _, unsynced := range []int{0, 50, 100} {
			disk := kvtest.NewDisk()
			disk.CrashAt(kvtest.Crash{At: k, Unsynced: unsynced, Seed: uint64(k)})
			r := newCrashRun(t, 1, disk)
			session(t, disk, func(s *embedded.Store) {
				if err := r.work(t.Context(), s, rounds); err != nil {
					t.Fatal(err)
				}
			})
			left := disk.AfterCrash()
			if left == nil {
				continue
			}
			crashed++
			t.Run(fmt.Sprintf("operation %d, %d%% unsynced", k, unsynced), func(t *testing.T) {
				r.t = t
				recoverTwice(t, r, left, uint64(k))
			})
		}
	}
	if crashed < crashPoints {
		t.Errorf("only %d crashes happened", crashed)
	}
}

// recoverTwice crashes once more while the store recovers, and checks what
// both crashes left.
func recoverTwice(t *testing.T, r *crashRun, left *kvtest.Disk, seed uint64) {
	t.Helper()
	again := left.CrashNow(0, seed)
	again.CrashAt(kvtest.Crash{At: 1 + int(seed)%20, Unsynced: int(seed) % 101, Seed: seed})
	session(t, again, func(s *embedded.Store) { r.check(s) })
	session(t, left, func(s *embedded.Store) { r.check(s) })
	if twice := again.AfterCrash(); twice != nil {
		session(t, twice, func(s *embedded.Store) { r.check(s) })
	}
}

func TestFailingDiskNeverConfirms(t *testing.T) {
	const rounds = 25
	failed := 0
	for n := 1; n <= 60; n += 3 {
		t.Run(fmt.Sprintf("operation %d", n), func(t *testing.T) {
			disk := kvtest.NewDisk()
			r := newCrashRun(t, 2, disk)
			fatal := make(chan struct{})
			_, s := openStore(t, kv.Config{
				Dir: "data", FS: disk.FS(), MemTableBytes: 256 << 10,
				// The engine stands still from here on, as a dead process would.
				Fatal: func(error) { close(fatal) },
			})
			disk.FailAt(kvtest.Failure{At: disk.Ops() + n})
			err := r.work(t.Context(), s, rounds)
			if !disk.Failed() {
				t.Fatalf("the disk did not fail; the workload ended with %v", err)
			}
			if err == nil {
				t.Fatal("everything was confirmed on a disk that failed")
			}
			<-fatal
			failed++
			if err := s.Commit(t.Context(), []store.Batch{after(0, r.fences[0])}); err == nil {
				t.Fatal("a commit was confirmed after the disk had failed")
			}
			session(t, disk.CrashNow(0, uint64(n)), func(s *embedded.Store) { r.check(s) })
		})
	}
	if failed == 0 {
		t.Error("no disk failed")
	}
}

// TestStoreSurvivesCrashesInsteadOfClosing runs the suite where Reopen is a crash that keeps
// only what was synced: nothing that was answered may be missing.
func TestStoreSurvivesCrashesInsteadOfClosing(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		t.Helper()
		disk := kvtest.NewDisk()
		// Whichever test opens the engine, it stays open until the harness's ends.
		open := func() store.Store {
			db, s := openStore(t, kv.Config{Dir: "data", FS: disk.FS()})
			t.Cleanup(func() {
				if err := db.Close(); err != nil && !errors.Is(err, kv.ErrClosed) {
					t.Errorf("close engine: %v", err)
				}
			})
			return s
		}
		crashes := uint64(0)
		return storetest.Harness{Store: open(), Reopen: func(*testing.T) store.Store {
			crashes++
			disk = disk.CrashNow(0, crashes)
			return open()
		}}
	})
}
