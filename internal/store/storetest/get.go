package storetest

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

//nolint:gochecknoglobals // A list of tests.
var getTests = []test{
	{"rows come in the order of their keys in the call, nil where there is none", getOrder},
	{"tables may be mixed and keys may repeat", getMixed},
	{"thousands of keys are found", getMany},
	{"no keys give no rows", getNone},
}

func getOrder(t *testing.T, h *Harness) {
	rng := rand.New(rand.NewPCG(23, 1))
	o := claim(t, h.Store, 1)
	for _, table := range Tables() {
		keys := NastyRows(rng, table)
		want := make([]store.Row, len(keys))
		for i, r := range keys {
			if i%3 != 0 {
				want[i] = r
				o.put(t, r)
			}
		}
		wantRows(t, get(t, h.Store, 1, keys...), want)
		for i, r := range keys {
			wantRows(t, get(t, h.Store, 1, r), want[i:i+1])
		}
		wantRows(t, get(t, h.Store, 2, keys...), make([]store.Row, len(keys)))
	}
}

func getMixed(t *testing.T, h *Harness) {
	rng := rand.New(rand.NewPCG(23, 2))
	o := claim(t, h.Store, 1)
	var keys, want []store.Row
	for _, table := range Tables() {
		r := RandomRow(rng, table)
		o.put(t, r)
		keys, want = append(keys, r, NastyRows(rng, table)[0], r), append(want, r, nil, r)
		if Compare(r, keys[len(keys)-2]) == 0 {
			t.Fatal("the suite's own rows collide")
		}
	}
	for range 10 {
		rng.Shuffle(len(keys), func(i, j int) {
			keys[i], keys[j] = keys[j], keys[i]
			want[i], want[j] = want[j], want[i]
		})
		wantRows(t, get(t, h.Store, 1, keys...), want)
	}
}

func getMany(t *testing.T, h *Harness) {
	const n = 5000
	o := claim(t, h.Store, 1)
	rows := make([]store.Row, 0, n)
	keys := make([]store.Row, 0, 2*n)
	want := make([]store.Row, 0, 2*n)
	for i := range uint64(2 * n) {
		var id task.ID
		binary.BigEndian.PutUint64(id[:], i/2)
		id[15] = byte(i % 2)
		r := &store.Dedup{ID: id, State: task.StateDone, Queue: "q", Deliveries: 1}
		keys = append(keys, &store.Dedup{ID: id})
		if i%2 == 0 {
			rows, want = append(rows, r), append(want, r)
		} else {
			want = append(want, nil)
		}
	}
	o.put(t, rows...)
	rng := rand.New(rand.NewPCG(23, 3))
	rng.Shuffle(len(keys), func(i, j int) {
		keys[i], keys[j] = keys[j], keys[i]
		want[i], want[j] = want[j], want[i]
	})
	wantRows(t, get(t, h.Store, 1, keys...), want)
}

func getNone(t *testing.T, h *Harness) {
	wantRows(t, get(t, h.Store, 1), nil)
}
