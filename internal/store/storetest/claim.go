package storetest

import (
	"errors"
	"testing"

	"github.com/fenfa/fenfa/internal/store"
)

//nolint:gochecknoglobals // A list of tests.
var claimTests = []test{
	{"a new partition begins at epoch 1 with nothing", newPartition},
	{"epoch 0 asks for the next one", nextEpoch},
	{"a higher epoch is taken as it is", higherEpoch},
	{"a same or lower epoch is fenced and changes nothing", lowerEpoch},
	{"a claim keeps the rest of the fence and the rows", claimKeeps},
	{"the head is told without a claim, where the driver tells it", inspected},
	{"a partition that cannot exist is refused", badPartition},
}

func newPartition(t *testing.T, h *Harness) {
	for _, part := range []int{0, 3, 1023} {
		o := claim(t, h.Store, part)
		if want := (store.Fence{Epoch: 1}); o.fence != want {
			t.Errorf("partition %d begins with %+v, want %+v", part, o.fence, want)
		}
		for _, table := range Tables() {
			wantRows(t, all(t, h.Store, part, table), nil)
		}
	}
}

func nextEpoch(t *testing.T, h *Harness) {
	for want := uint64(1); want <= 5; want++ {
		if o := claim(t, h.Store, 7); o.fence.Epoch != want {
			t.Fatalf("claim %d gave epoch %d", want, o.fence.Epoch)
		}
	}
}

func higherEpoch(t *testing.T, h *Harness) {
	for _, epoch := range []uint64{3, 4, 1 << 40} {
		fence, err := h.Store.Claim(t.Context(), 1, epoch)
		if err != nil || fence.Epoch != epoch {
			t.Fatalf("claim of epoch %d gave %+v, %v", epoch, fence, err)
		}
	}
}

func lowerEpoch(t *testing.T, h *Harness) {
	fence, err := h.Store.Claim(t.Context(), 1, 5)
	if err != nil {
		t.Fatal(err)
	}
	for _, epoch := range []uint64{1, 4, 5} {
		if got, err := h.Store.Claim(t.Context(), 1, epoch); !errors.Is(err, store.ErrFenced) {
			t.Errorf("claim of epoch %d gave %+v, %v; want ErrFenced", epoch, got, err)
		}
	}
	o := &owner{s: h.Store, part: 1, fence: fence}
	o.put(t, &store.Outbox{Seq: 1, Body: []byte("the owner goes on")})
}

func claimKeeps(t *testing.T, h *Harness) {
	o := claim(t, h.Store, 2)
	row := &store.Record{Key: "k", Name: "n", Version: 1, Value: []byte("v")}
	o.put(t, row)
	wantFence(t, h.Store, 2, o.fence)
	wantRows(t, all(t, h.Store, 2, store.TableRecord), []store.Row{row})
}

func badPartition(t *testing.T, h *Harness) {
	if fence, err := h.Store.Claim(t.Context(), -1, 0); err == nil {
		t.Errorf("partition -1 was claimed: %+v", fence)
	}
}

func inspected(t *testing.T, h *Harness) {
	inspector, ok := h.Store.(store.Inspector)
	if !ok {
		t.Skip("the driver does not tell heads")
	}
	want := func(part int, want store.Fence) {
		t.Helper()
		for range 2 {
			if got, err := inspector.Fence(t.Context(), part); err != nil || got != want {
				t.Errorf("the head of partition %d is %+v, %v; want %+v", part, got, err, want)
			}
		}
	}
	want(3, store.Fence{})
	o := claim(t, h.Store, 3)
	want(3, o.fence)
	o.put(t, &store.Outbox{Seq: 1, Body: []byte("body")})
	want(3, o.fence)
	want(4, store.Fence{})
	h.Store = h.Reopen(t)
	if inspector, ok = h.Store.(store.Inspector); ok {
		want(3, o.fence)
	}
}
