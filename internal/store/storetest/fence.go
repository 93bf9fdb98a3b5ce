package storetest

import (
	"errors"
	"testing"

	"github.com/fenfa/fenfa/internal/store"
)

//nolint:gochecknoglobals // A list of tests.
var fenceTests = []test{
	{"a commit moves the fence", commitMovesFence},
	{"an earlier owner cannot commit", staleEpoch},
	{"an unexpected fence changes nothing", wrongFence},
	{"the same batch does not happen twice", replayedBatch},
	{"a partition that nobody claimed is fenced", unclaimed},
	{"a fence that does not move forward is refused", backwardFence},
	{"two owners that fight lose no update", fightingOwners},
}

func probe(seq uint64) *store.Outbox { return &store.Outbox{Seq: seq, Body: []byte("probe")} }

func commitMovesFence(t *testing.T, h *Harness) {
	o := claim(t, h.Store, 4)
	for i := range uint64(5) {
		o.put(t, probe(i))
		o = wantFence(t, h.Store, 4, o.fence)
	}
	if o.fence.GC == 0 {
		t.Error("no commit moved the time until which transactions are forgotten")
	}
	if o.fence.Seq != 5 || o.fence.Chain[0] != 5 {
		t.Errorf("after five commits the fence is %+v", o.fence)
	}
}

func staleEpoch(t *testing.T, h *Harness) {
	old := claim(t, h.Store, 1)
	old.put(t, probe(1))
	current := claim(t, h.Store, 1)
	wantFailed(t, old.try(t.Context(), []store.Row{probe(2)}, []store.Row{probe(1)}), store.ErrFenced, 0)
	wantRows(t, all(t, h.Store, 1, store.TableOutbox), []store.Row{probe(1)})
	current.put(t, probe(3))
	wantFailed(t, old.try(t.Context(), []store.Row{probe(2)}, nil), store.ErrFenced, 0)
	wantRows(t, all(t, h.Store, 1, store.TableOutbox), []store.Row{probe(1), probe(3)})
}

func wrongFence(t *testing.T, h *Harness) {
	o := claim(t, h.Store, 1)
	o.put(t, probe(1))
	for name, wrong := range map[string]func(*store.Fence){
		"epoch too high": func(f *store.Fence) { f.Epoch++ },
		"epoch too low":  func(f *store.Fence) { f.Epoch-- },
		"seq too high":   func(f *store.Fence) { f.Seq++ },
		"seq too low":    func(f *store.Fence) { f.Seq-- },
		"hlc too high":   func(f *store.Fence) { f.HLC++ },
		"hlc too low":    func(f *store.Fence) { f.HLC-- },
	} {
		b := o.batch([]store.Row{probe(2)}, []store.Row{probe(1)})
		wrong(&b.Prev)
		b.Next.Epoch = b.Prev.Epoch
		t.Log(name)
		wantFailed(t, h.Store.Commit(t.Context(), []store.Batch{b}), store.ErrFenced, 0)
	}
	wantRows(t, all(t, h.Store, 1, store.TableOutbox), []store.Row{probe(1)})
	wantFence(t, h.Store, 1, o.fence).put(t, probe(3))
}

func replayedBatch(t *testing.T, h *Harness) {
	o := claim(t, h.Store, 1)
	b := o.batch([]store.Row{probe(1)}, nil)
	if err := h.Store.Commit(t.Context(), []store.Batch{b}); err != nil {
		t.Fatal(err)
	}
	o.fence = b.Next
	o.remove(t, probe(1))
	wantFailed(t, h.Store.Commit(t.Context(), []store.Batch{b}), store.ErrFenced, 0)
	wantRows(t, all(t, h.Store, 1, store.TableOutbox), nil)
}

func unclaimed(t *testing.T, h *Harness) {
	for _, fence := range []store.Fence{{}, {Epoch: 1}} {
		o := &owner{s: h.Store, part: 9, fence: fence}
		wantFailed(t, o.try(t.Context(), []store.Row{probe(1)}, nil), store.ErrFenced, 0)
	}
	wantRows(t, all(t, h.Store, 9, store.TableOutbox), nil)
}

func backwardFence(t *testing.T, h *Harness) {
	o := claim(t, h.Store, 1)
	o.put(t, probe(1), probe(2))
	for name, wrong := range map[string]func(*store.Batch){
		"another epoch": func(b *store.Batch) { b.Next.Epoch++ },
		"a lower seq":   func(b *store.Batch) { b.Next.Seq = b.Prev.Seq - 1 },
		"the same hlc":  func(b *store.Batch) { b.Next.HLC = b.Prev.HLC },
		"a lower hlc":   func(b *store.Batch) { b.Next.HLC = b.Prev.HLC - 1 },
		"a lower gc":    func(b *store.Batch) { b.Next.GC = b.Prev.GC - 1 },
	} {
		b := o.batch([]store.Row{probe(3)}, nil)
		wrong(&b)
		err := h.Store.Commit(t.Context(), []store.Batch{b})
		var commitErr *store.CommitError
		if !errors.As(err, &commitErr) || commitErr.Failed[0] == nil {
			t.Errorf("%s: got %v, want a CommitError for batch 0", name, err)
		}
	}
	wantRows(t, all(t, h.Store, 1, store.TableOutbox), []store.Row{probe(1), probe(2)})
	wantFence(t, h.Store, 1, o.fence)
}

// fightingOwners lets two goroutines claim and count in one record. A count
// that was confirmed must be in the record at the end.
func fightingOwners(t *testing.T, h *Harness) {
	const rounds, streak = 40, 5
	results := make(chan int, 2)
	for range 2 {
		go func() {
			confirmed := 0
			defer func() { results <- confirmed }()
			for range rounds {
				n, err := countUp(t, h.Store, streak)
				confirmed += n
				if err != nil && !errors.Is(err, store.ErrFenced) {
					t.Errorf("count: %v", err)
					return
				}
			}
		}()
	}
	want := <-results + <-results
	rows := get(t, h.Store, 1, &store.Record{Key: "k", Name: "count"})
	if want == 0 {
		t.Fatal("nobody got through")
	}
	if got, ok := rows[0].(*store.Record); !ok || got.Version != uint64(want) {
		t.Errorf("the record is %+v after %d confirmed counts", rows[0], want)
	}
}

// countUp claims the partition, reads the count and raises it a few times.
func countUp(t *testing.T, s store.Store, times int) (confirmed int, err error) {
	ctx := t.Context()
	fence, err := s.Claim(ctx, 1, 0)
	if err != nil {
		return 0, err
	}
	o := &owner{s: s, part: 1, fence: fence}
	rows, err := s.Get(ctx, 1, []store.Row{&store.Record{Key: "k", Name: "count"}})
	if err != nil {
		return 0, err
	}
	count := uint64(0)
	if r, ok := rows[0].(*store.Record); ok {
		count = r.Version
	}
	for ; confirmed < times; confirmed++ {
		count++
		if err := o.try(ctx, []store.Row{&store.Record{Key: "k", Name: "count", Version: count}}, nil); err != nil {
			return confirmed, err
		}
	}
	return confirmed, nil
}
