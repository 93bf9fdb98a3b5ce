package mysql

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fenfa/fenfa/internal/store"
)

// table describes how the rows of one of the port's tables lie in one of the
// database's, of the same name. To add one: a description here, a migration.
type table struct {
	id     store.Table
	make   func() store.Row
	is     func(store.Row) bool // has the type that make makes
	key    []column             // in the order of the key
	values []column

	columns []column // part of neither list: key, then values
	texts   texts
}

// texts are the pieces of the table's statements.
type texts struct {
	list    string // all columns behind part, separated by commas
	insert  string // up to VALUES
	block   string // the insert of a block
	tuple   string // one row's parameters in an insert
	replace string // the end of an insert
	keys    string // part and the key, in parentheses
	key     string // one row's parameters in a list of keys
	order   string
}

func names(columns []column) []string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = c.name
	}
	return list
}

// parameters returns "(?,?,?)".
func parameters(n int) string { return "(" + strings.Repeat("?,", n-1) + "?)" }

func (t *table) prepare() *table {
	t.columns = append(append([]column(nil), t.key...), t.values...)
	all, keys := strings.Join(names(t.columns), ", "), strings.Join(names(t.key), ", ")
	assignments := make([]string, len(t.values))
	for i, c := range t.values {
		assignments[i] = c.name + " = VALUES(" + c.name + ")"
	}
	t.texts = texts{
		list:    all,
		insert:  "INSERT INTO " + t.id.String() + " (part, " + all + ") VALUES ",
		tuple:   parameters(1 + len(t.columns)),
		replace: " ON DUPLICATE KEY UPDATE " + strings.Join(assignments, ", "),
		keys:    "(part, " + keys + ")",
		key:     parameters(1 + len(t.key)),
		order:   " ORDER BY " + keys,
	}
	t.texts.block = t.insert(blockRows)
	return t
}

// insert returns the statement that writes so many rows.
func (t *table) insert(rows int) string {
	return t.texts.insert + tuples(t.texts.tuple, rows) + t.texts.replace
}

// catalog finds the description of a table.
type catalog map[store.Table]*table

func newCatalog() catalog {
	c := catalog{}
	for _, t := range tables() {
		c[t.id] = t.prepare()
	}
	return c
}

// find returns the description of a table.
func (c catalog) find(id store.Table) (*table, error) {
	t := c[id]
	if t == nil {
		return nil, fmt.Errorf("this driver knows no table with the number %d", id)
	}
	return t, nil
}

// of returns the description of the row's table.
func (c catalog) of(r store.Row) (*table, error) {
	if r == nil {
		return nil, errors.New("there is no row")
	}
	t, err := c.find(r.Table())
	if err != nil {
		return nil, err
	}
	if !t.is(r) {
		return nil, fmt.Errorf("a row of type %T is none of table %s", r, t.id)
	}
	return t, nil
}
