package storetest

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/fenfa/fenfa/internal/store"
)

// owner commits to one partition as its owner does: it keeps the fence.
type owner struct {
	s     store.Store
	part  int
	fence store.Fence
}

func claim(t *testing.T, s store.Store, part int) *owner {
	t.Helper()
	fence, err := s.Claim(t.Context(), part, 0)
	if err != nil {
		t.Fatalf("claim partition %d: %v", part, err)
	}
	return &owner{s: s, part: part, fence: fence}
}

// batch returns the owner's next batch.
func (o *owner) batch(puts, deletes []store.Row) store.Batch {
	next := o.fence
	next.Seq += uint64(len(puts))
	next.HLC += 1 + 4096
	next.Chain[0]++
	next.GC += 3
	return store.Batch{Part: o.part, Prev: o.fence, Next: next, Puts: puts, Deletes: deletes}
}

// try commits and moves on when that succeeds.
func (o *owner) try(ctx context.Context, puts, deletes []store.Row) error {
	b := o.batch(puts, deletes)
	if err := o.s.Commit(ctx, []store.Batch{b}); err != nil {
		return err
	}
	o.fence = b.Next
	return nil
}

func (o *owner) put(t *testing.T, rows ...store.Row) {
	t.Helper()
	if err := o.try(t.Context(), rows, nil); err != nil {
		t.Fatalf("put %d rows: %v", len(rows), err)
	}
}

func (o *owner) remove(t *testing.T, rows ...store.Row) {
	t.Helper()
	if err := o.try(t.Context(), nil, rows); err != nil {
		t.Fatalf("delete %d rows: %v", len(rows), err)
	}
}

// load returns up to a million rows of the scan.
func load(t *testing.T, s store.Store, scan store.Scan) []store.Row {
	t.Helper()
	if scan.Limit == 0 {
		scan.Limit = 1_000_000
	}
	rows, err := s.Load(t.Context(), scan)
	if err != nil {
		t.Fatalf("load %s of partition %d: %v", scan.Table, scan.Part, err)
	}
	return rows
}

func all(t *testing.T, s store.Store, part int, table store.Table) []store.Row {
	t.Helper()
	return load(t, s, store.Scan{Part: part, Table: table})
}

func get(t *testing.T, s store.Store, part int, keys ...store.Row) []store.Row {
	t.Helper()
	rows, err := s.Get(t.Context(), part, keys)
	if err != nil {
		t.Fatalf("get %d rows of partition %d: %v", len(keys), part, err)
	}
	if len(rows) != len(keys) {
		t.Fatalf("get of %d keys returned %d rows", len(keys), len(rows))
	}
	return rows
}

func wantRows(t *testing.T, got, want []store.Row) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d rows, want %d", len(got), len(want))
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Fatalf("row %d of %d\ngot  %+v\nwant %+v", i, len(want), got[i], want[i])
		}
	}
}

// wantFailed asserts that exactly the named batches failed, each as target.
func wantFailed(t *testing.T, err, target error, indexes ...int) {
	t.Helper()
	var commitErr *store.CommitError
	if !errors.As(err, &commitErr) {
		t.Fatalf("got error %v, want a CommitError", err)
	}
	var failed []int
	for i, reason := range commitErr.Failed {
		failed = append(failed, i)
		if !errors.Is(reason, target) {
			t.Errorf("batch %d failed with %v, want %v", i, reason, target)
		}
	}
	slices.Sort(failed)
	if !slices.Equal(failed, indexes) {
		t.Fatalf("batches %v failed, want %v", failed, indexes)
	}
	if !errors.Is(err, target) {
		t.Errorf("error %v does not wrap its reason %v", err, target)
	}
}

// wantFence asserts the partition's head, by claiming it once more.
func wantFence(t *testing.T, s store.Store, part int, want store.Fence) *owner {
	t.Helper()
	o := claim(t, s, part)
	want.Epoch++
	if o.fence != want {
		t.Fatalf("the fence of partition %d is %+v, want %+v", part, o.fence, want)
	}
	return o
}
