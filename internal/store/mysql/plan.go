package mysql

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/codec"
)

// plan is what a transaction writes of one table: rows sorted by their keys, each
// key once.
type plan struct {
	table   *table
	puts    []change
	deletes []change
}

// change is one row of a batch.
type change struct {
	part   int
	key    []byte // sorts as the row's key does
	row    store.Row
	delete bool
}

func (c change) compare(o change) int {
	return cmp.Or(cmp.Compare(c.part, o.part), bytes.Compare(c.key, o.key))
}

// planner gathers the rows of batches.
type planner struct {
	catalog catalog
	changes map[*table][]change
	keys    []byte // memory of many keys
}

// add takes the rows of a batch in their order.
func (p *planner) add(b *store.Batch) error {
	for _, r := range b.Puts {
		if err := p.row(b.Part, r, false); err != nil {
			return err
		}
	}
	for _, r := range b.Deletes {
		if err := p.row(b.Part, r, true); err != nil {
			return err
		}
	}
	return nil
}

func (p *planner) row(part int, r store.Row, isDelete bool) error {
	t, err := p.catalog.of(r)
	if err != nil {
		return err
	}
	start := len(p.keys)
	if p.keys, err = codec.AppendKey(p.keys, r); err != nil {
		return fmt.Errorf("key of a %s row: %w", t.id, err)
	}
	p.changes[t] = append(p.changes[t], change{part: part, key: p.keys[start:len(p.keys):len(p.keys)], row: r, delete: isDelete})
	return nil
}

// plans returns what is to be written, tables in order of their numbers. Of several
// changes of one row the last stays.
func (p *planner) plans() []plan {
	plans := make([]plan, 0, len(p.changes))
	for t, changes := range p.changes {
		slices.SortStableFunc(changes, change.compare)
		next := plan{table: t}
		for i, c := range changes {
			if i+1 < len(changes) && c.compare(changes[i+1]) == 0 {
				continue
			}
			if c.delete {
				next.deletes = append(next.deletes, c)
			} else {
				next.puts = append(next.puts, c)
			}
		}
		plans = append(plans, next)
	}
	slices.SortFunc(plans, func(a, b plan) int { return cmp.Compare(a.table.id, b.table.id) })
	return plans
}

// Bounds of one statement.
const (
	maxStatementRows  = 1000
	maxStatementBytes = 1 << 20 // of parameters, before they are escaped; one row may be longer
)

// statement is one with its parameters.
type statement struct {
	text  string
	args  []any
	rows  int
	block *table // it inserts blockRows rows of this table; nil: it is no block
}

// statements returns the plan as few statements.
func (p *plan) statements() []statement {
	list := make([]statement, 0, (len(p.puts)+len(p.deletes))/blockRows+2)
	list = chunks(list, p.puts, p.table.columns, p.table.insert, p.table)
	return chunks(list, p.deletes, p.table.key, func(n int) string {
		return "DELETE FROM " + p.table.id.String() + " WHERE " + p.table.texts.keys + " IN (" + tuples(p.table.texts.key, n) + ")"
	}, nil)
}

// chunks cuts changes into statements that are not too large: into blocks as long as
// they fill them, where blocks is their table, and the rest into as few as possible.
func chunks(list []statement, changes []change, columns []column, text func(rows int) string, blocks *table) []statement {
	for len(changes) > 0 {
		most := min(len(changes), maxStatementRows)
		if blocks != nil && most >= blockRows {
			most = blockRows
		}
		s := statement{args: make([]any, 0, most*(1+len(columns)))}
		for size := 0; s.rows < most && size < maxStatementBytes; s.rows++ {
			c := &changes[s.rows]
			s.args = append(s.args, c.part)
			for i := range columns {
				v := columns[i].bind(c.row)
				s.args = append(s.args, v)
				size += sizeOf(v)
			}
		}
		if blocks != nil && s.rows == blockRows {
			s.text, s.block = blocks.texts.block, blocks
		} else {
			s.text = text(s.rows)
		}
		list, changes = append(list, s), changes[s.rows:]
	}
	return list
}

func sizeOf(v any) int {
	const number = 20
	switch v := v.(type) {
	case []byte:
		return len(v)
	case string:
		return len(v)
	default:
		return number
	}
}

// tuples returns n copies of the text, separated by commas.
func tuples(tuple string, n int) string {
	b := make([]byte, 0, n*(len(tuple)+1))
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, tuple...)
	}
	return string(b)
}
