package storetest

import (
	"math/rand/v2"
	"slices"

	"github.com/fenfa/fenfa/internal/store"
)

// model is one partition, as naive as can be: a sorted list a table.
type model struct {
	tables map[store.Table][]store.Row
}

func newModel() *model { return &model{tables: map[store.Table][]store.Row{}} }

func (m *model) apply(puts, deletes []store.Row) {
	for _, r := range puts {
		rows := m.tables[r.Table()]
		i, found := slices.BinarySearchFunc(rows, r, Compare)
		if found {
			rows[i] = r
		} else {
			m.tables[r.Table()] = slices.Insert(rows, i, r)
		}
	}
	for _, r := range deletes {
		rows := m.tables[r.Table()]
		if i, found := slices.BinarySearchFunc(rows, r, Compare); found {
			m.tables[r.Table()] = slices.Delete(rows, i, i+1)
		}
	}
}

func (m *model) get(key store.Row) store.Row {
	rows := m.tables[key.Table()]
	if i, found := slices.BinarySearchFunc(rows, key, Compare); found {
		return rows[i]
	}
	return nil
}

// randomChange returns rows to put and to delete, no key twice.
func randomChange(rng *rand.Rand) (puts, deletes []store.Row) {
	var used []store.Row
	for range 1 + rng.IntN(12) {
		tables := Tables()
		r := RandomRow(rng, tables[rng.IntN(len(tables))])
		if slices.ContainsFunc(used, func(u store.Row) bool { return u.Table() == r.Table() && Compare(u, r) == 0 }) {
			continue
		}
		used = append(used, r)
		if rng.IntN(3) == 0 {
			deletes = append(deletes, r)
		} else {
			puts = append(puts, r)
		}
	}
	return puts, deletes
}
