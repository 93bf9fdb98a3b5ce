package storetest

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

//nolint:gochecknoglobals // A list of tests.
var commitTests = []test{
	{"rows of every table are inserted, replaced and deleted", putReplaceDelete},
	{"of two puts of a row the later stays, and a delete wins over both", orderWithinABatch},
	{"a missing row is deleted without error", deleteMissing},
	{"a delete looks at key fields only", deleteByKey},
	{"partitions and tables do not see each other", apart},
	{"one fenced batch among many fails alone", oneFencedAmongMany},
	{"nothing to commit is no error", emptyCommit},
	{"a batch without rows moves the fence", fenceOnly},
	{"the largest values fit", bigValues},
	{"a commit after the end of its context leaves fence and rows in agreement", cancelledCommit},
	{"the caller keeps its rows", callerKeepsRows},
	{"a closed store says so", closed},
}

func putReplaceDelete(t *testing.T, h *Harness) {
	rng := rand.New(rand.NewPCG(21, 1))
	o := claim(t, h.Store, 1)
	for _, table := range Tables() {
		rows := NastyRows(rng, table)
		o.put(t, rows...)
		wantRows(t, all(t, h.Store, 1, table), sorted(rows))

		half := rows[:len(rows)/2]
		for i, r := range half {
			half[i] = withValues(rng, r)
		}
		o.put(t, half...)
		wantRows(t, all(t, h.Store, 1, table), sorted(rows))

		o.remove(t, half...)
		wantRows(t, all(t, h.Store, 1, table), sorted(rows[len(half):]))
	}
}

func orderWithinABatch(t *testing.T, h *Harness) {
	rng := rand.New(rand.NewPCG(21, 3))
	o := claim(t, h.Store, 1)
	for _, table := range Tables() {
		rows := NastyRows(rng, table)
		later := make([]store.Row, len(rows))
		for i, r := range rows {
			later[i] = withValues(rng, r)
		}
		gone := rows[:len(rows)/2]
		if err := o.try(t.Context(), append(append([]store.Row(nil), rows...), later...), gone); err != nil {
			t.Fatalf("put and delete %s rows: %v", table, err)
		}
		wantRows(t, all(t, h.Store, 1, table), sorted(later[len(gone):]))
	}
}

func deleteMissing(t *testing.T, h *Harness) {
	rng := rand.New(rand.NewPCG(21, 2))
	o := claim(t, h.Store, 1)
	for _, table := range Tables() {
		o.remove(t, NastyRows(rng, table)...)
		wantRows(t, all(t, h.Store, 1, table), nil)
	}
}

func deleteByKey(t *testing.T, h *Harness) {
	o := claim(t, h.Store, 1)
	o.put(t, &store.Dedup{ID: task.ID{1}, Queue: "q", Result: []byte("r")}, &store.Dead{Queue: "q", Seq: 1, Reason: "x"})
	o.remove(t, &store.Dedup{ID: task.ID{1}}, &store.Dead{Queue: "q", Seq: 1, Reason: "another"})
	wantRows(t, all(t, h.Store, 1, store.TableDedup), nil)
	wantRows(t, all(t, h.Store, 1, store.TableDead), nil)
}

func apart(t *testing.T, h *Harness) {
	parts := []int{0, 1, 2, 255, 256, 257}
	row := func(part int) *store.Outbox { return &store.Outbox{Seq: 7, Body: []byte{byte(part), byte(part >> 8)}} }
	owners := make([]*owner, len(parts))
	for i, part := range parts {
		owners[i] = claim(t, h.Store, part)
		owners[i].put(t, row(part), &store.OpLog{Seq: 7, Op: store.OpPut, After: 7})
	}
	owners[2].remove(t, &store.Outbox{Seq: 7})
	for i, part := range parts {
		var want []store.Row
		if i != 2 {
			want = []store.Row{row(part)}
		}
		wantRows(t, all(t, h.Store, part, store.TableOutbox), want)
		wantRows(t, all(t, h.Store, part, store.TableOpLog), []store.Row{&store.OpLog{Seq: 7, Op: store.OpPut, After: 7}})
	}
}

func oneFencedAmongMany(t *testing.T, h *Harness) {
	const parts, fenced = 8, 5
	owners := make([]*owner, parts)
	batches := make([]store.Batch, parts)
	for part := range parts {
		owners[part] = claim(t, h.Store, part)
		owners[part].put(t, probe(1))
		batches[part] = owners[part].batch([]store.Row{probe(2)}, []store.Row{probe(1)})
	}
	successor := claim(t, h.Store, fenced)
	wantFailed(t, h.Store.Commit(t.Context(), batches), store.ErrFenced, fenced)
	for part := range parts {
		want := []store.Row{probe(2)}
		if part == fenced {
			want = []store.Row{probe(1)}
			owners[part] = successor
		} else {
			owners[part].fence = batches[part].Next
		}
		wantRows(t, all(t, h.Store, part, store.TableOutbox), want)
		owners[part].put(t, probe(9))
	}
}

func emptyCommit(t *testing.T, h *Harness) {
	if err := h.Store.Commit(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

func fenceOnly(t *testing.T, h *Harness) {
	o := claim(t, h.Store, 1)
	o.put(t)
	wantFence(t, h.Store, 1, o.fence)
}

func bigValues(t *testing.T, h *Harness) {
	o := claim(t, h.Store, 1)
	fill := func(n int, b byte) []byte { return bytes.Repeat([]byte{b, 0, 0xff}, n/3) }
	rows := []store.Row{
		&store.Record{Key: string(fill(task.MaxKey, 'k')), Name: string(fill(task.MaxRecordName, 'n')), Version: 1, Value: fill(task.MaxRecordValue, 1)},
		&store.OpLog{Seq: 1, Op: store.OpPut, Value: fill(task.MaxRecordValue, 2)},
		&store.Dedup{ID: task.ID{1}, Result: fill(task.MaxResult, 3), Error: string(fill(task.MaxErrorText, 4))},
		&store.Parked{Queue: "q", Key: string(fill(task.MaxKey, 'k')), Seq: 1, Body: fill(task.MaxPayload, 5)},
		&store.Dead{Queue: "q", Seq: 1, Body: fill(task.MaxPayload+task.MaxHeaders, 6)},
	}
	o.put(t, rows...)
	for _, r := range rows {
		wantRows(t, all(t, h.Store, 1, r.Table()), []store.Row{r})
	}
	wantRows(t, get(t, h.Store, 1, rows...), rows)
}

func cancelledCommit(t *testing.T, h *Harness) {
	o := claim(t, h.Store, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b := o.batch([]store.Row{probe(1)}, nil)
	err := h.Store.Commit(ctx, []store.Batch{b})
	fence, want := o.fence, []store.Row(nil)
	current := claim(t, h.Store, 1)
	if current.fence.HLC == b.Next.HLC {
		fence, want = b.Next, []store.Row{probe(1)}
	} else if err == nil {
		t.Error("the commit was confirmed and did not happen")
	}
	wantFence(t, h.Store, 1, store.Fence{Epoch: fence.Epoch + 1, Seq: fence.Seq, HLC: fence.HLC, Chain: fence.Chain, GC: fence.GC})
	wantRows(t, all(t, h.Store, 1, store.TableOutbox), want)
}

func callerKeepsRows(t *testing.T, h *Harness) {
	o := claim(t, h.Store, 1)
	row := &store.Outbox{Seq: 1, Body: []byte("original")}
	o.put(t, row)
	copy(row.Body, "scribble")
	want := []store.Row{&store.Outbox{Seq: 1, Body: []byte("original")}}
	for range 2 {
		rows := all(t, h.Store, 1, store.TableOutbox)
		wantRows(t, rows, want)
		copy(rows[0].(*store.Outbox).Body, "scribble")
		rows = get(t, h.Store, 1, row)
		wantRows(t, rows, want)
		copy(rows[0].(*store.Outbox).Body, "scribble")
	}
}

func closed(t *testing.T, h *Harness) {
	ctx := t.Context()
	o := claim(t, h.Store, 1)
	if err := h.Store.Close(ctx); err != nil {
		t.Fatal(err)
	}
	_, claimErr := h.Store.Claim(ctx, 1, 0)
	_, loadErr := h.Store.Load(ctx, store.Scan{Part: 1, Table: store.TableDedup, Limit: 1})
	_, getErr := h.Store.Get(ctx, 1, []store.Row{probe(1)})
	_, _, metaGetErr := h.Store.Meta().Get(ctx, "name")
	_, metaPutErr := h.Store.Meta().Put(ctx, "name", []byte("value"), 0)
	_, metaListErr := h.Store.Meta().List(ctx, "")
	for name, err := range map[string]error{
		"claim": claimErr, "load": loadErr, "get": getErr, "commit": o.try(ctx, []store.Row{probe(1)}, nil),
		"meta get": metaGetErr, "meta put": metaPutErr, "meta list": metaListErr,
	} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s of a closed store: got %v, want ErrClosed", name, err)
		}
	}
	if err := h.Store.Close(ctx); err != nil {
		t.Errorf("second close: %v", err)
	}
}
