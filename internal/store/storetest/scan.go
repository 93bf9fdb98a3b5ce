package storetest

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/fenfa/fenfa/internal/store"
)

//nolint:gochecknoglobals // A list of tests.
var scanTests = []test{
	{"pages of any size are the whole table in order", scanPages},
	{"from is inclusive, to is exclusive, and neither must exist", scanRanges},
	{"an empty range has no rows", scanNothing},
	{"bytes stop after the row that reaches them", scanBytes},
	{"a scan without a limit is refused", scanWithoutLimit},
}

func scanPages(t *testing.T, h *Harness) {
	rng := rand.New(rand.NewPCG(22, 1))
	o := claim(t, h.Store, 1)
	for _, table := range Tables() {
		rows := NastyRows(rng, table)
		o.put(t, rows...)
		rows = sorted(rows)
		for _, limit := range []int{1, 2, 7, len(rows), len(rows) + 1} {
			var got []store.Row
			page := load(t, h.Store, store.Scan{Part: 1, Table: table, Limit: limit})
			got = append(got, page...)
			for len(page) == limit && limit > 0 {
				// The last row is the first one of the next page too.
				page = load(t, h.Store, store.Scan{Part: 1, Table: table, From: got[len(got)-1], Limit: limit + 1})
				if len(page) == 0 {
					t.Fatalf("%s: the row that the page begins with is missing", table)
				}
				page = page[1:]
				got = append(got, page...)
			}
			wantRows(t, got, rows)
		}
	}
}

func scanRanges(t *testing.T, h *Harness) {
	rng := rand.New(rand.NewPCG(22, 2))
	o := claim(t, h.Store, 1)
	for _, table := range Tables() {
		keys := NastyRows(rng, table)
		var there []store.Row // every other key exists
		for i, r := range sorted(keys) {
			if i%2 == 0 {
				there = append(there, r)
			}
		}
		o.put(t, there...)
		bounds := NastyRows(rng, table) // the same keys with other values
		for range 40 {
			scan := store.Scan{Part: 1, Table: table, Limit: 1 + rng.IntN(2*len(there))}
			if rng.IntN(4) > 0 {
				scan.From = bounds[rng.IntN(len(bounds))]
			}
			if rng.IntN(4) > 0 {
				scan.To = bounds[rng.IntN(len(bounds))]
			}
			wantRows(t, load(t, h.Store, scan), scanned(there, scan))
		}
	}
}

// scanned is what the scan finds among rows, which are sorted.
func scanned(rows []store.Row, scan store.Scan) []store.Row {
	var found []store.Row
	for _, r := range rows {
		if scan.From != nil && Compare(r, scan.From) < 0 || scan.To != nil && Compare(r, scan.To) >= 0 {
			continue
		}
		if len(found) < scan.Limit {
			found = append(found, r)
		}
	}
	return found
}

func scanNothing(t *testing.T, h *Harness) {
	o := claim(t, h.Store, 1)
	o.put(t, probe(1), probe(2), probe(3))
	for _, scan := range []store.Scan{
		{From: probe(2), To: probe(2)},
		{From: probe(3), To: probe(1)},
		{From: probe(4)},
		{To: probe(1)},
	} {
		scan.Part, scan.Table = 1, store.TableOutbox
		wantRows(t, load(t, h.Store, scan), nil)
	}
	wantRows(t, all(t, h.Store, 2, store.TableOutbox), nil)
}

func scanBytes(t *testing.T, h *Harness) {
	o := claim(t, h.Store, 1)
	var rows []store.Row
	for i := range uint64(20) {
		rows = append(rows, &store.Schedule{Seq: i, Body: make([]byte, 1000)})
	}
	o.put(t, rows...)
	for bytes, want := range map[int]int{0: 20, 1: 1, 900: 1, 2500: 3, 1 << 20: 20} {
		got := load(t, h.Store, store.Scan{Part: 1, Table: store.TableSchedule, Bytes: bytes})
		if len(got) != want || !slices.EqualFunc(got, rows[:want], func(a, b store.Row) bool { return Compare(a, b) == 0 }) {
			t.Errorf("a scan of %d bytes has %d rows of 1000 bytes, want %d", bytes, len(got), want)
		}
	}
}

func scanWithoutLimit(t *testing.T, h *Harness) {
	claim(t, h.Store, 1).put(t, probe(1))
	for _, limit := range []int{0, -1} {
		if rows, err := h.Store.Load(t.Context(), store.Scan{Part: 1, Table: store.TableOutbox, Limit: limit}); err == nil {
			t.Errorf("limit %d: got %d rows and no error", limit, len(rows))
		}
	}
}
