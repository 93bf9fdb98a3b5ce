package embedded_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/embedded"
	"github.com/fenfa/fenfa/internal/task"
)

func openTemp(t *testing.T) (*kv.DB, *embedded.Store) {
	t.Helper()
	db, s := openStore(t, kv.Config{Dir: t.TempDir()})
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close engine: %v", err)
		}
	})
	return db, s
}

func claim(t *testing.T, s *embedded.Store, part int) store.Fence {
	t.Helper()
	fence, err := s.Claim(t.Context(), part, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fence
}

// after returns a batch that follows the fence.
func after(part int, fence store.Fence, puts ...store.Row) store.Batch {
	next := fence
	next.Seq++
	next.HLC++
	return store.Batch{Part: part, Prev: fence, Next: next, Puts: puts}
}

func TestEngineIsRequired(t *testing.T) {
	if _, err := embedded.New(embedded.Config{}); err == nil {
		t.Error("a store without an engine was made")
	}
}

type strange struct{}

func (strange) Table() store.Table { return store.TableRecord }

func TestRowWithoutStoredFormStopsTheWholeCall(t *testing.T) {
	_, s := openTemp(t)
	first, second := claim(t, s, 1), claim(t, s, 2)
	for name, bad := range map[string]store.Row{"unknown type": strange{}, "none": nil} {
		good := after(1, first, &store.Outbox{Seq: 1})
		err := s.Commit(t.Context(), []store.Batch{good, after(2, second, &store.Outbox{Seq: 1}, bad)})
		var commitErr *store.CommitError
		if err == nil || errors.As(err, &commitErr) {
			t.Fatalf("%s: got %v", name, err)
		}
	}
	rows, err := s.Load(t.Context(), store.Scan{Part: 1, Table: store.TableOutbox, Limit: 1})
	if err != nil || len(rows) != 0 {
		t.Errorf("the good batch of the call happened: %v, %v", rows, err)
	}
	if err := s.Commit(t.Context(), []store.Batch{after(1, first), after(2, second)}); err != nil {
		t.Errorf("the fences moved: %v", err)
	}
}

func TestBatchesOfOnePartitionMayFollowEachOtherInOneCall(t *testing.T) {
	_, s := openTemp(t)
	one := after(1, claim(t, s, 1), &store.Outbox{Seq: 1})
	two := after(1, one.Next, &store.Outbox{Seq: 2})
	four := after(1, store.Fence{Epoch: 1, Seq: 3, HLC: 3}, &store.Outbox{Seq: 4})
	err := s.Commit(t.Context(), []store.Batch{one, two, four})
	var commitErr *store.CommitError
	if !errors.As(err, &commitErr) || len(commitErr.Failed) != 1 || !errors.Is(commitErr.Failed[2], store.ErrFenced) {
		t.Fatalf("got %v", err)
	}
	rows, err := s.Load(t.Context(), store.Scan{Part: 1, Table: store.TableOutbox, Limit: 9})
	if err != nil || len(rows) != 2 {
		t.Errorf("rows %v, %v", rows, err)
	}
}

func TestDamagedRowIsNamed(t *testing.T) {
	db, s := openTemp(t)
	key := []byte{kv.SpaceStoreTable, byte(store.TableOutbox), 0, 1, 0, 0, 0, 0, 0, 0, 0, 7}
	b := db.NewBatch()
	b.Set(key, []byte{1, 200})
	if err := db.CommitWait(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	_, loadErr := s.Load(t.Context(), store.Scan{Part: 1, Table: store.TableOutbox, Limit: 1})
	_, getErr := s.Get(t.Context(), 1, []store.Row{&store.Outbox{Seq: 7}})
	_, walkErr := s.Get(t.Context(), 1, []store.Row{&store.Outbox{Seq: 7}, &store.Outbox{Seq: 8}})
	for name, err := range map[string]error{"load": loadErr, "get": getErr, "get of two": walkErr} {
		if !errors.Is(err, task.ErrCorrupt) || !strings.Contains(err.Error(), "outbox row 0000000000000007") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestDamagedFenceIsNotClaimed(t *testing.T) {
	db, s := openTemp(t)
	b := db.NewBatch()
	b.Set([]byte{kv.SpaceStoreFence, 0, 1}, []byte{1})
	if err := db.CommitWait(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if fence, err := s.Claim(t.Context(), 1, 0); !errors.Is(err, task.ErrCorrupt) {
		t.Errorf("got %+v, %v", fence, err)
	}
}

func TestFailedCommitLeavesThePartitionWithoutAnOwner(t *testing.T) {
	db, s := openStore(t, kv.Config{Dir: t.TempDir()})
	fence := claim(t, s, 1)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	err := s.Commit(t.Context(), []store.Batch{after(1, fence)})
	var commitErr *store.CommitError
	if !errors.As(err, &commitErr) || !errors.Is(err, store.ErrClosed) || errors.Is(err, store.ErrFenced) {
		t.Fatalf("first commit: %v", err)
	}
	if err := s.Commit(t.Context(), []store.Batch{after(1, fence)}); !errors.Is(err, store.ErrFenced) {
		t.Errorf("second commit: %v", err)
	}
	if _, err := s.Claim(t.Context(), 1, 0); !errors.Is(err, store.ErrClosed) {
		t.Errorf("claim: %v", err)
	}
}

func TestPartitionsOutOfRangeAreRefused(t *testing.T) {
	_, s := openTemp(t)
	for _, part := range []int{-1, 1 << 16} {
		if _, err := s.Claim(t.Context(), part, 0); err == nil {
			t.Errorf("partition %d was claimed", part)
		}
		if err := s.Commit(t.Context(), []store.Batch{{Part: part}}); err == nil {
			t.Errorf("partition %d was committed to", part)
		}
		if _, err := s.Load(t.Context(), store.Scan{Part: part, Table: store.TableDead, Limit: 1}); err == nil {
			t.Errorf("partition %d was loaded", part)
		}
		if _, err := s.Get(t.Context(), part, []store.Row{&store.Outbox{}}); err == nil {
			t.Errorf("partition %d was read", part)
		}
	}
	claim(t, s, 1<<16-1)
}

func TestScanBoundedByAnotherTableIsRefused(t *testing.T) {
	_, s := openTemp(t)
	for _, scan := range []store.Scan{{From: &store.OpLog{}}, {To: &store.OpLog{}}} {
		scan.Part, scan.Table, scan.Limit = 1, store.TableOutbox, 1
		if _, err := s.Load(t.Context(), scan); err == nil {
			t.Errorf("scan %+v was carried out", scan)
		}
	}
}

func TestEndedContextStopsCallsBeforeTheyBegin(t *testing.T) {
	_, s := openTemp(t)
	fence := claim(t, s, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Claim(ctx, 1, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("claim: %v", err)
	}
	if err := s.Commit(ctx, []store.Batch{after(1, fence)}); !errors.Is(err, context.Canceled) {
		t.Errorf("commit: %v", err)
	}
	if _, err := s.Load(ctx, store.Scan{Part: 1, Table: store.TableDead, Limit: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("load: %v", err)
	}
	if _, err := s.Get(ctx, 1, []store.Row{&store.Outbox{}}); !errors.Is(err, context.Canceled) {
		t.Errorf("get: %v", err)
	}
	if _, err := s.Meta().Put(ctx, "a", []byte("b"), 0); !errors.Is(err, context.Canceled) {
		t.Errorf("put: %v", err)
	}
	if err := s.Commit(t.Context(), []store.Batch{after(1, fence)}); err != nil {
		t.Errorf("the fence moved: %v", err)
	}
}
