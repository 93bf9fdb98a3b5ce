package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/fenfa/fenfa/internal/fault"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/faulty"
)

//nolint:gochecknoglobals // A list of tests.
var propertyTests = []test{
	{"a random workload equals the model", func(t *testing.T, h *Harness) { workload(t, h, fault.Rates{}) }},
	{"a random workload with faults equals the model", func(t *testing.T, h *Harness) {
		workload(t, h, fault.Rates{Fail: 0.1, Unknown: 0.1})
	}},
}

const propertyParts = 3

// run is one seeded workload and what it expects.
type run struct {
	t      *testing.T
	rng    *rand.Rand
	h      *Harness
	rates  fault.Rates
	s      store.Store // the harness's, with faults
	owners [propertyParts]*owner
	models [propertyParts]*model
}

func workload(t *testing.T, h *Harness, rates fault.Rates) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			r := &run{t: t, rng: rand.New(rand.NewPCG(26, seed)), h: h, rates: rates}
			for i := range propertyParts {
				r.models[i] = newModel()
			}
			r.wrap()
			r.empty()
			for range 150 {
				r.step()
			}
			for part := range propertyParts {
				for _, table := range Tables() {
					wantRows(t, all(t, h.Store, part, table), r.models[part].tables[table])
				}
			}
		})
	}
}

// wrap puts faults before the store and lets everybody claim anew.
func (r *run) wrap() {
	r.t.Helper()
	s, err := faulty.New(faulty.Config{Store: r.h.Store, Plan: fault.Seeded(r.rng.Uint64(), r.rates)})
	if err != nil {
		r.t.Fatal(err)
	}
	r.s = s
	for part := range propertyParts {
		r.claim(part)
	}
}

// claim asks the store without faults, so that it tells the truth.
func (r *run) claim(part int) {
	r.t.Helper()
	o := claim(r.t, r.h.Store, part)
	o.s = r.s
	r.owners[part] = o
}

// empty removes what an earlier seed left.
func (r *run) empty() {
	for part := range propertyParts {
		o := &owner{s: r.h.Store, part: part, fence: r.owners[part].fence}
		for _, table := range Tables() {
			o.remove(r.t, all(r.t, r.h.Store, part, table)...)
		}
		r.owners[part].fence = o.fence
	}
}

func (r *run) step() {
	r.t.Helper()
	switch r.rng.IntN(20) {
	case 0:
		r.h.Store = r.h.Reopen(r.t)
		r.wrap()
	case 1:
		r.claim(r.rng.IntN(propertyParts))
	case 2, 3, 4:
		r.scan()
	case 5, 6, 7:
		r.get()
	default:
		r.commit()
	}
}

// commit changes some partitions in one call; some of them have a fence that
// is not the current one. What a failed call did is found in the fences.
func (r *run) commit() {
	r.t.Helper()
	var batches []store.Batch
	for _, part := range r.rng.Perm(propertyParts)[:1+r.rng.IntN(propertyParts)] {
		puts, deletes := randomChange(r.rng)
		batches = append(batches, r.owners[part].batch(puts, deletes))
	}
	spoiled := map[int]bool{}
	if i := r.rng.IntN(2 * len(batches)); i < len(batches) {
		batches[i].Prev.HLC--
		spoiled[i] = true
	}
	err := r.s.Commit(r.t.Context(), batches)
	var commitErr *store.CommitError
	if err != nil && !errors.As(err, &commitErr) && !errors.Is(err, fault.ErrInjected) && !errors.Is(err, fault.ErrUnknown) {
		r.t.Fatalf("commit: %v", err)
	}
	known := err == nil || commitErr != nil
	for i, b := range batches {
		happened := err == nil || commitErr != nil && commitErr.Failed[i] == nil
		if !known {
			r.claim(b.Part)
			happened = r.owners[b.Part].fence.HLC == b.Next.HLC
		}
		if happened && spoiled[i] || known && !happened && !spoiled[i] {
			r.t.Fatalf("batch %d (fence spoiled: %v) has happened: %v; error %v", i, spoiled[i], happened, err)
		}
		if happened {
			r.models[b.Part].apply(b.Puts, b.Deletes)
			r.owners[b.Part].fence.Seq, r.owners[b.Part].fence.HLC = b.Next.Seq, b.Next.HLC
			r.owners[b.Part].fence.Chain, r.owners[b.Part].fence.GC = b.Next.Chain, b.Next.GC
		}
	}
}

func (r *run) scan() {
	r.t.Helper()
	tables := Tables()
	table := tables[r.rng.IntN(len(tables))]
	scan := store.Scan{Part: r.rng.IntN(propertyParts), Table: table, Limit: 1 + r.rng.IntN(50)}
	if r.rng.IntN(2) == 0 {
		scan.From = randomKey(r.rng, table)
	}
	if r.rng.IntN(2) == 0 {
		scan.To = randomKey(r.rng, table)
	}
	wantRows(r.t, load(r.t, r.h.Store, scan), scanned(r.models[scan.Part].tables[table], scan))
}

func (r *run) get() {
	r.t.Helper()
	part := r.rng.IntN(propertyParts)
	var keys, want []store.Row
	for range 1 + r.rng.IntN(30) {
		tables := Tables()
		key := randomKey(r.rng, tables[r.rng.IntN(len(tables))])
		keys, want = append(keys, key), append(want, r.models[part].get(key))
	}
	wantRows(r.t, get(r.t, r.h.Store, part, keys...), want)
}
