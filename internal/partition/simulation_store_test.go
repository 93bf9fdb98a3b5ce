package partition

import (
	"context"
	"slices"

	"github.com/fenfa/fenfa/internal/store"
)

// compare holds that the store has exactly the rows that the batches said.
func (m *model) compare(part int, table store.Table, want map[string]store.Row) {
	rows, err := m.w.store.Load(context.Background(), store.Scan{Part: part, Table: table, Limit: 1 << 20})
	m.w.must(err)
	rows = slices.DeleteFunc(rows, isIndex)
	for _, row := range rows {
		name := rowName(row)
		if want[name] == nil {
			m.w.failf("part %d: the store has a %s row %s that it should not have", part, table, name)
		}
		if got, ok := row.(*store.Record); ok {
			if w := want[name].(*store.Record); got.Version != w.Version || string(got.Value) != string(w.Value) {
				m.w.failf("part %d: record %s is %+v, want %+v", part, name, got, w)
			}
		}
		if got, ok := row.(*store.OpLog); ok && got.Hash != want[name].(*store.OpLog).Hash {
			m.w.failf("part %d: op-log row %s differs", part, name)
		}
		if got, ok := row.(*store.Dedup); ok && got.State != want[name].(*store.Dedup).State {
			m.w.failf("part %d: the mark %s is %v", part, name, got.State)
		}
	}
	if len(rows) != len(want) {
		m.w.failf("part %d: the store has %d %s rows, the batches said %d", part, len(rows), table, len(want))
	}
}
