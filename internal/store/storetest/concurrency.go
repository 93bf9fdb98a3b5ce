package storetest

import (
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/fenfa/fenfa/internal/store"
)

//nolint:gochecknoglobals // A list of tests.
var concurrencyTests = []test{
	{"partitions commit side by side while others read", sideBySide},
	{"a reader sees whole batches only", wholeBatches},
}

func sideBySide(t *testing.T, h *Harness) {
	const parts, commits = 8, 30
	var wg sync.WaitGroup
	want := make([]map[store.Table][]store.Row, parts)
	for part := range parts {
		o := claim(t, h.Store, part)
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(25, uint64(part)))
			m := newModel()
			for range commits {
				puts, deletes := randomChange(rng)
				if err := o.try(t.Context(), puts, deletes); err != nil {
					t.Errorf("partition %d: %v", part, err)
					return
				}
				m.apply(puts, deletes)
				if _, err := h.Store.Load(t.Context(), store.Scan{Part: part, Table: store.TableDedup, Limit: 10}); err != nil {
					t.Errorf("partition %d: %v", part, err)
				}
			}
			want[part] = m.tables
		})
	}
	wg.Wait()
	for part, tables := range want {
		for _, table := range Tables() {
			wantRows(t, all(t, h.Store, part, table), tables[table])
		}
	}
}

// wholeBatches replaces two rows together, over and over; whoever reads both
// in one call must see them equal.
func wholeBatches(t *testing.T, h *Harness) {
	const commits = 60
	o := claim(t, h.Store, 1)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		keys := []store.Row{&store.Outbox{Seq: 1}, &store.Outbox{Seq: 1000}}
		for {
			select {
			case <-stop:
				return
			default:
			}
			rows, err := h.Store.Get(t.Context(), 1, keys)
			if err != nil {
				t.Errorf("get: %v", err)
				return
			}
			var seen [2]string
			for i, r := range rows {
				if r, ok := r.(*store.Outbox); ok {
					seen[i] = string(r.Body)
				}
			}
			if seen[0] != seen[1] {
				t.Errorf("half of a batch is visible: %q and %q", seen[0], seen[1])
				return
			}
		}
	})
	for i := range commits {
		body := []byte{byte(i)}
		o.put(t, &store.Outbox{Seq: 1, Body: body}, &store.Outbox{Seq: 1000, Body: body})
	}
	close(stop)
	wg.Wait()
}
