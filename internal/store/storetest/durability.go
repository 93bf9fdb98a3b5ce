package storetest

import (
	"math/rand/v2"
	"testing"

	"github.com/fenfa/fenfa/internal/store"
)

//nolint:gochecknoglobals // A list of tests.
var durabilityTests = []test{
	{"everything is there after the store was opened again", reopenKeepsAll},
	{"an owner from before must claim again", reopenFences},
}

func reopenKeepsAll(t *testing.T, h *Harness) {
	rng := rand.New(rand.NewPCG(24, 1))
	o := claim(t, h.Store, 1)
	want := map[store.Table][]store.Row{}
	for _, table := range Tables() {
		rows := NastyRows(rng, table)
		o.put(t, rows...)
		o.remove(t, rows[:3]...)
		want[table] = sorted(rows[3:])
	}
	version, err := h.Store.Meta().Put(t.Context(), "queue/orders", []byte("settings"), 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		h.Store = h.Reopen(t)
		for _, table := range Tables() {
			wantRows(t, all(t, h.Store, 1, table), want[table])
		}
		value, got, err := h.Store.Meta().Get(t.Context(), "queue/orders")
		if err != nil || string(value) != "settings" || got != version {
			t.Fatalf("named value is %q version %d, %v; want version %d", value, got, err, version)
		}
		o = wantFence(t, h.Store, 1, o.fence)
	}
}

func reopenFences(t *testing.T, h *Harness) {
	o := claim(t, h.Store, 1)
	o.put(t, probe(1))
	h.Store = h.Reopen(t)
	o.s = h.Store
	successor := claim(t, h.Store, 1)
	wantFailed(t, o.try(t.Context(), []store.Row{probe(2)}, nil), store.ErrFenced, 0)
	successor.put(t, probe(3))
	wantRows(t, all(t, h.Store, 1, store.TableOutbox), []store.Row{probe(1), probe(3)})
}
