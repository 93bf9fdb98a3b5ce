package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/codec"
)

const (
	// firstPage is how many rows a scan that is bounded in bytes asks for first.
	firstPage = 64
	// maxKeys is how many rows one statement looks up.
	maxKeys = 500
)

// Load implements store.Store. Scan.Bytes counts what the server sent of the
// columns outside the key.
func (s *Store) Load(ctx context.Context, scan store.Scan) ([]store.Row, error) {
	rows, err := s.load(ctx, scan)
	if err != nil {
		return nil, fmt.Errorf("load %s rows of partition %d: %w", scan.Table, scan.Part, err)
	}
	return rows, nil
}

func (s *Store) load(ctx context.Context, scan store.Scan) ([]store.Row, error) {
	if err := s.gate.Enter(); err != nil {
		return nil, err
	}
	defer s.gate.Leave()
	t, err := s.catalog.find(scan.Table)
	if err != nil {
		return nil, err
	}
	if scan.Limit < 1 {
		return nil, fmt.Errorf("the limit is %d rows: want at least 1", scan.Limit)
	}
	for _, bound := range []store.Row{scan.From, scan.To} {
		if bound != nil && !t.is(bound) {
			return nil, fmt.Errorf("the scan is bounded by a %s row", bound.Table())
		}
	}
	sh, err := s.locate(ctx, scan.Part)
	if err != nil {
		return nil, err
	}
	var rows []store.Row
	err = sh.retry(ctx, "load", func(ctx context.Context) error {
		rows, err = sh.scan(ctx, sh.db, t, scan)
		return err
	})
	return rows, err
}

// scan reads pages until the scan's bounds are met.
func (s *shard) scan(ctx context.Context, q querier, t *table, scan store.Scan) ([]store.Row, error) {
	var rows []store.Row
	size, after := 0, false
	for {
		page := scan.Limit - len(rows)
		if scan.Bytes > 0 {
			page = min(page, pageFor(scan.Bytes, size, len(rows)))
		}
		got, bytes, full, err := s.page(ctx, q, t, scan, page, after, size)
		if err != nil {
			return nil, err
		}
		rows, size = append(rows, got...), size+bytes
		if full || len(got) < page || len(rows) >= scan.Limit {
			return rows, nil
		}
		scan.From, after = rows[len(rows)-1], true
	}
}

// pageFor guesses how many rows have the bytes that are still wanted.
func pageFor(wanted, size, rows int) int {
	if rows == 0 {
		return firstPage
	}
	const most = 5000
	return min(max((wanted-size)*rows/max(size, 1), firstPage), most)
}

// page reads rows of a scan; full says that they reach its bytes.
func (s *shard) page(ctx context.Context, q querier, t *table, scan store.Scan, limit int, after bool, before int) (rows []store.Row, size int, full bool, err error) {
	text, args := t.scanText(scan, limit, after)
	reader := newRowReader(t, 0)
	err = s.query(ctx, q, func(r *sql.Rows) error {
		if full {
			return nil
		}
		row, bytes, err := reader.read(r)
		if err != nil {
			return err
		}
		rows, size = append(rows, row), size+bytes
		full = scan.Bytes > 0 && before+size >= scan.Bytes
		return nil
	}, "load", text, args...)
	return rows, size, full, err
}

// scanText returns the statement that reads a page.
func (t *table) scanText(scan store.Scan, limit int, after bool) (string, []any) {
	text := "SELECT " + t.texts.list + " FROM " + t.id.String() + " WHERE part = ?"
	args := []any{scan.Part}
	bound := func(r store.Row, than, last string) {
		condition, more := t.compare(r, than, last)
		text += " AND " + condition
		args = append(args, more...)
	}
	if scan.From != nil && after {
		bound(scan.From, ">", ">")
	} else if scan.From != nil {
		bound(scan.From, ">", ">=")
	}
	if scan.To != nil {
		bound(scan.To, "<", "<")
	}
	return text + t.texts.order + " LIMIT ?", append(args, limit)
}

// compare returns a condition on the key: (a > ? OR (a = ? AND b >= ?)), which
// servers answer from the index, where they do not for (a, b) >= (?, ?).
func (t *table) compare(r store.Row, than, last string) (string, []any) {
	var alternatives []string
	var args []any
	for i := range t.key {
		var terms []string
		for _, c := range t.key[:i] {
			terms = append(terms, c.name+" = ?")
			args = append(args, c.bind(r))
		}
		operator := than
		if i == len(t.key)-1 {
			operator = last
		}
		terms = append(terms, t.key[i].name+" "+operator+" ?")
		args = append(args, t.key[i].bind(r))
		alternatives = append(alternatives, strings.Join(terms, " AND "))
	}
	return "(" + strings.Join(alternatives, " OR ") + ")", args
}

// rowReader makes rows of a table out of what a server sends.
type rowReader struct {
	table *table
	raw   []sql.RawBytes
	into  []any
	skip  int // columns before those of the row
}

func newRowReader(t *table, skip int) *rowReader {
	r := &rowReader{table: t, raw: make([]sql.RawBytes, skip+len(t.columns)), skip: skip}
	for i := range r.raw {
		r.into = append(r.into, &r.raw[i])
	}
	return r
}

// read returns the row and the bytes outside its key.
func (r *rowReader) read(rows *sql.Rows) (store.Row, int, error) {
	if err := rows.Scan(r.into...); err != nil {
		return nil, 0, err
	}
	row, size := r.table.make(), 0
	for i, c := range r.table.columns {
		raw := r.raw[r.skip+i]
		if err := c.set(row, raw); err != nil {
			return nil, 0, fmt.Errorf("row of table %s: %w", r.table.id, err)
		}
		if i >= len(r.table.key) {
			size += len(raw)
		}
	}
	return row, size, nil
}

// Get implements store.Store. What it returns was there at one moment.
func (s *Store) Get(ctx context.Context, part int, keys []store.Row) ([]store.Row, error) {
	rows, err := s.get(ctx, part, keys)
	if err != nil {
		return nil, fmt.Errorf("get %d rows of partition %d: %w", len(keys), part, err)
	}
	return rows, nil
}

func (s *Store) get(ctx context.Context, part int, keys []store.Row) ([]store.Row, error) {
	if err := s.gate.Enter(); err != nil {
		return nil, err
	}
	defer s.gate.Leave()
	if err := checkPartition(part); err != nil {
		return nil, err
	}
	sh, err := s.locate(ctx, part)
	if err != nil {
		return nil, err
	}
	return s.fetch(ctx, sh, part, keys)
}

// fetch gets rows from a shard.
func (s *Store) fetch(ctx context.Context, sh *shard, part int, keys []store.Row) ([]store.Row, error) {
	lookups, wanted, err := s.catalog.lookups(part, keys)
	if err != nil || len(lookups) == 0 {
		return make([]store.Row, len(keys)), err
	}
	var found map[string]store.Row
	err = sh.retry(ctx, "get", func(ctx context.Context) error {
		found = map[string]store.Row{}
		if len(lookups) == 1 {
			return sh.lookup(ctx, sh.db, lookups[0], found)
		}
		return sh.snapshot(ctx, func(tx *sql.Tx) error {
			for _, l := range lookups {
				if err := sh.lookup(ctx, tx, l, found); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	rows := make([]store.Row, len(keys))
	for i, key := range wanted {
		rows[i] = found[key]
	}
	return rows, nil
}

// lookup is one statement of a Get.
type lookup struct {
	table *table
	text  string
	args  []any
}

// lookups returns the statements that find rows, and for each of the keys the name
// under which its row will be found.
func (c catalog) lookups(part int, keys []store.Row) ([]lookup, []string, error) {
	p := planner{catalog: c, changes: map[*table][]change{}}
	wanted := make([]string, len(keys))
	for i, r := range keys {
		start := len(p.keys)
		if err := p.row(part, r, false); err != nil {
			return nil, nil, err
		}
		wanted[i] = string(byte(r.Table())) + string(p.keys[start:])
	}
	var list []lookup
	for _, plan := range p.plans() {
		t := plan.table
		for rows := range slices.Chunk(plan.puts, maxKeys) {
			l := lookup{table: t, text: "SELECT " + t.texts.list + " FROM " + t.id.String() + " WHERE " + t.texts.keys + " IN (" + tuples(t.texts.key, len(rows)) + ")"}
			for _, row := range rows {
				l.args = append(l.args, part)
				for _, column := range t.key {
					l.args = append(l.args, column.bind(row.row))
				}
			}
			list = append(list, l)
		}
	}
	return list, wanted, nil
}

// lookup adds what a statement finds.
func (s *shard) lookup(ctx context.Context, q querier, l lookup, found map[string]store.Row) error {
	reader := newRowReader(l.table, 0)
	return s.query(ctx, q, func(r *sql.Rows) error {
		row, _, err := reader.read(r)
		if err != nil {
			return err
		}
		key, err := codec.AppendKey([]byte{byte(l.table.id)}, row)
		if err != nil {
			return err
		}
		found[string(key)] = row
		return nil
	}, "get", l.text, l.args...)
}

// snapshot runs statements that see the state of one moment.
func (s *shard) snapshot(ctx context.Context, f func(*sql.Tx) error) error {
	done := s.measure("begin")
	tx, err := s.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	done()
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	err = f(tx)
	done = s.measure("rollback")
	rollbackErr := tx.Rollback() // Nothing was written.
	done()
	if err == nil && rollbackErr != nil && !errors.Is(rollbackErr, sql.ErrTxDone) {
		return rollbackErr
	}
	return err
}
