package kv_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/fenfa/fenfa/internal/kv"
)

func small(fs vfs.FS) kv.Config {
	return kv.Config{Dir: "data", FS: fs, MemTableBytes: 256 << 10, CacheBytes: 1 << 20}
}

func open(t *testing.T, cfg kv.Config) *kv.DB {
	t.Helper()
	db, err := kv.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// openMem opens an engine in memory that is closed at the end, and checks that
// nothing of it is left running.
func openMem(t *testing.T) *kv.DB {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	db := open(t, small(vfs.NewMem()))
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		goleak.VerifyNone(t, leaks)
	})
	return db
}

func set(t *testing.T, db *kv.DB, pairs ...string) {
	t.Helper()
	b := db.NewBatch()
	for i := 0; i < len(pairs); i += 2 {
		b.Set([]byte(pairs[i]), []byte(pairs[i+1]))
	}
	if err := db.CommitWait(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

// dump returns all keys from lo to hi with their values.
func dump(t *testing.T, db *kv.DB, lo, hi string) string {
	t.Helper()
	var bounds [2][]byte
	for i, s := range []string{lo, hi} {
		if s != "" {
			bounds[i] = []byte(s)
		}
	}
	it, err := db.Iter(bounds[0], bounds[1])
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for ok := it.First(); ok; ok = it.Next() {
		if it.Key()[0] != kv.SpaceMeta {
			out = append(out, string(it.Key())+"="+string(it.Value()))
		}
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, " ")
}

func TestBatchesDoWhatTheySay(t *testing.T) {
	db := openMem(t)
	set(t, db, "a", "1", "b", "2", "c", "3", "d", "4", "e", "5")
	b := db.NewBatch()
	if !b.Empty() {
		t.Error("a new batch is not empty")
	}
	b.Delete([]byte("a"))
	b.Delete([]byte("missing"))
	b.DeleteSized([]byte("b"), 1)
	b.DeleteRange([]byte("c"), []byte("e"))
	b.Set([]byte("c"), []byte("again"))
	key, value := b.SetInPlace(1, 2)
	copy(key, "f")
	copy(value, "66")
	if b.Empty() || b.Size() < 20 {
		t.Errorf("empty %v, size %d", b.Empty(), b.Size())
	}
	if err := db.CommitWait(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if got, want := dump(t, db, "", ""), "c=again e=5 f=66"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	b = db.NewBatch()
	b.Set([]byte("g"), nil)
	b.Discard()
	if err := db.CommitWait(t.Context(), db.NewBatch()); err != nil {
		t.Errorf("an empty batch: %v", err)
	}
	if got, want := dump(t, db, "", ""), "c=again e=5 f=66"; got != want {
		t.Errorf("after a discarded and an empty batch: got %s, want %s", got, want)
	}
}

func TestGetReturnsACopy(t *testing.T) {
	db := openMem(t)
	set(t, db, "k", "value")
	v, ok, err := db.Get([]byte("k"))
	if err != nil || !ok || string(v) != "value" {
		t.Fatal(string(v), ok, err)
	}
	v[0] = 'X'
	if v, _, _ := db.Get([]byte("k")); string(v) != "value" {
		t.Errorf("the stored value became %q", v)
	}
	if v, ok, err := db.Get([]byte("l")); ok || err != nil || v != nil {
		t.Errorf("a missing key gave %q, %v, %v", v, ok, err)
	}
}

func TestIteratorsMoveBothWaysWithinTheirBounds(t *testing.T) {
	db := openMem(t)
	set(t, db, "a", "1", "b", "2", "c", "3", "d", "4")
	it, err := db.Iter([]byte("b"), []byte("d"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := it.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, step := range []struct {
		name string
		move func() bool
		want string
	}{
		{"first", it.First, "b"},
		{"next", it.Next, "c"},
		{"next at the end", it.Next, ""},
		{"last", it.Last, "c"},
		{"previous", it.Prev, "b"},
		{"previous at the beginning", it.Prev, ""},
		{"seek to a key between two", func() bool { return it.SeekGE([]byte("bb")) }, "c"},
		{"seek before the lower bound", func() bool { return it.SeekGE([]byte("a")) }, "b"},
		{"seek behind the upper bound", func() bool { return it.SeekGE([]byte("d")) }, ""},
		{"seek below a key", func() bool { return it.SeekLT([]byte("c")) }, "b"},
		{"seek below the first", func() bool { return it.SeekLT([]byte("b")) }, ""},
	} {
		ok := step.move()
		if ok != (step.want != "") || ok != it.Valid() {
			t.Errorf("%s: %v, valid %v", step.name, ok, it.Valid())
		} else if ok && string(it.Key()) != step.want {
			t.Errorf("%s: at %s, want %s", step.name, it.Key(), step.want)
		}
		if err := it.Error(); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
	}
}

func TestIteratorsSeeTheMomentOfTheirMaking(t *testing.T) {
	db := openMem(t)
	set(t, db, "a", "1")
	it, err := db.Iter(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	set(t, db, "a", "2", "b", "3")
	if !it.SeekGE([]byte("a")) || string(it.Value()) != "1" || it.Next() {
		t.Error("a later commit shows")
	}
	if err := it.Close(); err != nil {
		t.Error(err)
	}
}

func TestCallbacksRunInTheOrderOfCommits(t *testing.T) {
	db := openMem(t)
	const goroutines, each = 4, 500
	var mu sync.Mutex // makes numbering and Commit one step
	var next int
	var done []int
	var wait sync.WaitGroup
	for range goroutines {
		wait.Go(func() {
			for range each {
				mu.Lock()
				n := next
				next++
				b := db.NewBatch()
				b.Set([]byte("last"), binary.BigEndian.AppendUint64(nil, uint64(n)))
				db.Commit(b, func(err error) {
					if err != nil {
						t.Errorf("commit %d: %v", n, err)
					}
					done = append(done, n) // One goroutine runs all callbacks.
				})
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	if err := db.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(done) != goroutines*each {
		t.Fatalf("%d callbacks ran", len(done))
	}
	for i, n := range done {
		if i != n {
			t.Fatalf("callback %d ran as number %d", n, i)
		}
	}
	if v, _, err := db.Get([]byte("last")); err != nil || binary.BigEndian.Uint64(v) != uint64(next-1) {
		t.Errorf("the last commit did not win: %v, %v", v, err)
	}
}

func TestCallbackFindsItsBatchWritten(t *testing.T) {
	db := openMem(t)
	for i := range 50 {
		key := fmt.Appendf(nil, "k%d", i)
		found := make(chan bool, 1)
		b := db.NewBatch()
		b.Set(key, key)
		db.Commit(b, func(error) {
			_, ok, _ := db.Get(key)
			found <- ok
		})
		if !<-found {
			t.Fatalf("commit %d was confirmed before it was written", i)
		}
	}
}

func TestLargeBatchesAndManyBytesPass(t *testing.T) {
	db := openMem(t)
	big := make([]byte, 3<<20)
	for i := range 6 {
		b := db.NewBatch()
		b.Set(fmt.Appendf(nil, "big%d", i), big[:len(big)-i])
		b.Set(fmt.Appendf(nil, "small%d", i), []byte("x"))
		db.Commit(b, nil)
	}
	if err := db.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		if v, ok, err := db.Get(fmt.Appendf(nil, "big%d", i)); err != nil || !ok || len(v) != len(big)-i {
			t.Errorf("value %d: %d bytes, %v, %v", i, len(v), ok, err)
		}
	}
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	db := openMem(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b := db.NewBatch()
	b.Set([]byte("a"), []byte("1"))
	if err := db.CommitWait(ctx, b); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	// The batch was handed in all the same.
	if err := db.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, ok, _ := db.Get([]byte("a")); !ok {
		t.Error("the batch did not happen")
	}
}

func TestCloseFinishesWhatWasCommittedAndRefusesTheRest(t *testing.T) {
	defer goleak.VerifyNone(t)
	fs := vfs.NewMem()
	db := open(t, small(fs))
	results := make(chan error, 200)
	for i := range 100 {
		b := db.NewBatch()
		b.Set(fmt.Appendf(nil, "k%03d", i), nil)
		db.Commit(b, func(err error) { results <- err })
	}
	it, err := db.Iter(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	go func() { closed <- db.Close() }()
	for range 100 {
		if err := <-results; err != nil {
			t.Errorf("commit before close: %v", err)
		}
	}
	// Close waits for the iterator.
	if !it.First() {
		t.Error("the iterator is empty")
	}
	if err := it.Close(); err != nil {
		t.Error(err)
	}
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
	b := db.NewBatch()
	b.Set([]byte("late"), nil)
	db.Commit(b, func(err error) { results <- err })
	if err := <-results; !errors.Is(err, kv.ErrClosed) {
		t.Errorf("commit: %v", err)
	}
	_, _, getErr := db.Get([]byte("k001"))
	_, iterErr := db.Iter(nil, nil)
	for name, err := range map[string]error{
		"get": getErr, "iterate": iterErr, "barrier": db.Barrier(t.Context()), "commit": db.CommitWait(t.Context(), db.NewBatch()),
		"checkpoint": db.Checkpoint("elsewhere"),
	} {
		if !errors.Is(err, kv.ErrClosed) {
			t.Errorf("%s: got %v, want ErrClosed", name, err)
		}
	}
	db = open(t, small(fs))
	if got := dump(t, db, "k", "l"); strings.Count(got, "=") != 100 {
		t.Errorf("%d keys are there", strings.Count(got, "="))
	}
	if _, ok, _ := db.Get([]byte("late")); ok {
		t.Error("a refused commit happened")
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

func TestLockedDirectoryIsNamed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	db := open(t, kv.Config{Dir: dir})
	_, err := kv.Open(kv.Config{Dir: dir})
	if !errors.Is(err, kv.ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, kv.Config{Dir: dir})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestImpossibleDirectoriesAreRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"none": "", "a file": file, "below a file": filepath.Join(file, "data")} {
		if db, err := kv.Open(kv.Config{Dir: dir}); err == nil || errors.Is(err, kv.ErrLocked) {
			t.Errorf("%s: got %v, %v", name, db, err)
		}
	}
}

// rewrite changes a closed database below kv.
func rewrite(t *testing.T, fs vfs.FS, format pebble.FormatMajorVersion, change func(db *pebble.DB) error) {
	t.Helper()
	db, err := pebble.Open("data", &pebble.Options{FS: fs, FormatMajorVersion: format})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(change(db), db.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestNewerOrDamagedFormatsAreRefused(t *testing.T) {
	key := []byte{kv.SpaceMeta, 'f'}
	for name, c := range map[string]struct {
		value []byte
		newer bool
	}{
		"newer":   {[]byte{0, 0, 0, kv.FormatVersion + 1}, true},
		"damaged": {[]byte("?"), false},
	} {
		fs := vfs.NewMem()
		db := open(t, small(fs))
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		rewrite(t, fs, pebble.FormatValueSeparation, func(db *pebble.DB) error { return db.Set(key, c.value, pebble.Sync) })
		for range 2 {
			// The refusal leaves the directory unlocked.
			if _, err := kv.Open(small(fs)); err == nil || errors.Is(err, kv.ErrNewerFormat) != c.newer || errors.Is(err, kv.ErrLocked) {
				t.Errorf("%s: got %v", name, err)
			}
		}
	}
}

func TestNewerFormatOfTablesIsRefused(t *testing.T) {
	fs := vfs.NewMem()
	db := open(t, small(fs))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := fs.List("data")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if rest, ok := strings.CutPrefix(name, "marker.format-version."); ok {
			iteration, _, _ := strings.Cut(rest, ".")
			if err := fs.Rename("data/"+name, "data/marker.format-version."+iteration+".999"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := kv.Open(small(fs)); !errors.Is(err, kv.ErrNewerFormat) {
		t.Errorf("got %v", err)
	}
}

func TestFormatOfNewDatabasesIsTheDocumentedOne(t *testing.T) {
	fs := vfs.NewMem()
	db := open(t, small(fs))
	v, ok, err := db.Get([]byte{kv.SpaceMeta, 'f'})
	if err != nil || !ok || string(v) != "\x00\x00\x00\x01" {
		t.Errorf("the format version is %x, %v, %v", v, ok, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	desc, err := pebble.Peek("data", fs)
	if err != nil || desc.FormatMajorVersion != 24 {
		t.Errorf("Pebble's format is %v, %v; docs/formats/keys.md says 24", desc, err)
	}
}

func TestCheckpointIsACompleteDatabase(t *testing.T) {
	fs := vfs.NewMem()
	db := open(t, small(fs))
	for i := range 200 {
		set(t, db, fmt.Sprintf("k%03d", i), strings.Repeat("v", 3000))
	}
	b := db.NewBatch()
	b.Set([]byte("unflushed"), []byte("1"))
	if err := db.CommitWait(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if err := db.Checkpoint("copy"); err != nil {
		t.Fatal(err)
	}
	if err := db.Checkpoint("copy"); err == nil {
		t.Error("a checkpoint was made over another")
	}
	set(t, db, "later", "1")
	cfg := small(fs)
	cfg.Dir = "copy"
	restored := open(t, cfg)
	if got := dump(t, restored, "k", "l"); strings.Count(got, "=") != 200 {
		t.Errorf("%d of 200 keys are in the copy", strings.Count(got, "="))
	}
	if _, ok, _ := restored.Get([]byte("unflushed")); !ok {
		t.Error("the last commit is not in the copy")
	}
	if _, ok, _ := restored.Get([]byte("later")); ok {
		t.Error("a later commit is in the copy")
	}
	if err := errors.Join(restored.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestMetricsAreRegisteredWhileOpen(t *testing.T) {
	registry := prometheus.NewRegistry()
	cfg := small(vfs.NewMem())
	cfg.Registerer = registry
	for range 2 {
		db := open(t, cfg)
		set(t, db, "a", "1")
		if _, err := kv.Open(kv.Config{Dir: "other", FS: vfs.NewMem(), Registerer: registry}); err == nil {
			t.Error("two engines share one registry")
		}
		if n, err := testutil.GatherAndCount(registry); err != nil || n != 15 {
			t.Errorf("%d metrics, %v", n, err)
		}
		if n, err := testutil.GatherAndCount(registry, "fenfa_kv_commit_duration_seconds", "fenfa_kv_accepts_new"); err != nil || n != 2 {
			t.Errorf("%d of 2 metrics, %v", n, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if n, _ := testutil.GatherAndCount(registry); n != 0 {
			t.Errorf("%d metrics are left", n)
		}
	}
}

func TestPrefixEndIsTheFirstKeyBehindThePrefix(t *testing.T) {
	for _, c := range []struct{ prefix, want string }{
		{"a", "b"}, {"ab", "ac"}, {"a\xff", "b"}, {"\x01\xff\xff", "\x02"}, {"\xff", ""}, {"", ""},
	} {
		if got := kv.PrefixEnd([]byte(c.prefix)); string(got) != c.want || (got == nil) != (c.want == "") {
			t.Errorf("behind %q comes %q, want %q", c.prefix, got, c.want)
		}
	}
}

func TestSpacesAreApart(t *testing.T) {
	seen := map[byte]bool{}
	for _, space := range []byte{
		kv.SpaceMeta, kv.SpaceBrokerQueue, kv.SpaceBrokerLog, kv.SpaceBrokerIndex, kv.SpaceBrokerState,
		kv.SpaceStoreFence, kv.SpaceStoreTable, kv.SpaceStoreMeta,
	} {
		if seen[space] || space == 0 || space == 0xff {
			t.Errorf("space %#x is used twice or at an edge", space)
		}
		seen[space] = true
	}
}
