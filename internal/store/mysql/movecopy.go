package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/fenfa/fenfa/internal/store"
)

const (
	// movePage is how many rows of a table a move reads, or deletes, at a time.
	movePage = 500
	// movePageBytes ends a page early.
	movePageBytes = 2 << 20
	// moveBehind is how many changed rows may wait until a pass goes on.
	moveBehind = 1000
	// moveLast is how many changed rows the last copy, which the partition waits for,
	// is to have at most; moveRounds is how often that is tried.
	moveLast   = 200
	moveRounds = 20
	// moveCounted is up to how many rows a partition may have for them to be counted
	// once more while it is frozen: larger ones would wait too long for that.
	moveCounted = 500_000
)

// errDiffers says that the sides differ where they should not.
var errDiffers = errors.New("the copy differs from the source")

// pass makes the target equal to the source, table by table, while the partition
// goes on. With verify, every difference has to come from a change meanwhile.
func (m *mover) pass(ctx context.Context, verify bool) error {
	for _, t := range tables() {
		if err := m.table(ctx, m.s.catalog[t.id], verify); err != nil {
			return fmt.Errorf("table %s: %w", t.id, err)
		}
	}
	return nil
}

func (m *mover) table(ctx context.Context, t *table, verify bool) error {
	for after, done := store.Row(nil), false; !done; {
		begin := m.s.cfg.Clock.Now()
		if err := m.keepUp(ctx, moveBehind); err != nil {
			return err
		}
		src, err := m.page(ctx, m.from, t, after)
		if err != nil {
			return err
		}
		dst, err := m.page(ctx, m.to, t, after)
		if err != nil {
			return err
		}
		last := trim(&src, &dst)
		b, err := m.compare(src, dst, verify)
		if err != nil {
			return err
		}
		if err := m.write(ctx, b); err != nil {
			return err
		}
		m.told(len(src.rows), len(b.Puts)+len(b.Deletes))
		done, after = last == nil, last
		// The partition's own work comes first: a move takes half of the time.
		if err := m.from.wait(ctx, min(m.s.cfg.Clock.Now().Sub(begin), time.Second)); err != nil {
			return err
		}
	}
	return nil
}

// keyed is rows of one table in order of their keys.
type keyed struct {
	rows  []store.Row
	names []string
	ended bool // there are no rows after these
}

// page reads rows of one side.
func (m *mover) page(ctx context.Context, sh *shard, t *table, after store.Row) (k keyed, err error) {
	err = sh.retry(ctx, "load", func(ctx context.Context) error {
		scan := store.Scan{Part: m.part, Table: t.id, From: after, Limit: movePage, Bytes: movePageBytes}
		rows, _, full, err := sh.page(ctx, sh.db, t, scan, movePage, after != nil, 0)
		k = keyed{rows: rows, ended: len(rows) < movePage && !full}
		return err
	})
	for _, r := range k.rows {
		name, nameErr := rowName(r)
		k.names, err = append(k.names, name), errors.Join(err, nameErr)
	}
	return k, err
}

// trim leaves what both pages reach, and returns the row after which the next pages
// begin; nil: there are none.
func trim(a, b *keyed) store.Row {
	var bound string
	var last store.Row
	for _, k := range []*keyed{a, b} {
		if k.ended || len(k.rows) == 0 {
			continue
		}
		if end := len(k.rows) - 1; last == nil || k.names[end] < bound {
			bound, last = k.names[end], k.rows[end]
		}
	}
	if last != nil {
		for _, k := range []*keyed{a, b} {
			n, found := slices.BinarySearch(k.names, bound)
			if found {
				n++
			}
			k.rows, k.names = k.rows[:n], k.names[:n]
		}
	}
	return last
}

// compare returns what makes the second side equal to the first.
func (m *mover) compare(src, dst keyed, verify bool) (*store.Batch, error) {
	b := &store.Batch{Part: m.part}
	i, j := 0, 0
	for i < len(src.rows) || j < len(dst.rows) {
		name := ""
		switch {
		case j == len(dst.rows) || i < len(src.rows) && src.names[i] < dst.names[j]:
			b.Puts, name = append(b.Puts, src.rows[i]), src.names[i]
			i++
		case i == len(src.rows) || dst.names[j] < src.names[i]:
			b.Deletes, name = append(b.Deletes, dst.rows[j]), dst.names[j]
			j++
		default:
			if !reflect.DeepEqual(src.rows[i], dst.rows[j]) {
				b.Puts, name = append(b.Puts, src.rows[i]), src.names[i]
			}
			i, j = i+1, j+1
		}
		if verify && name != "" && !m.s.flights.explains(m.part, name) {
			return nil, fmt.Errorf("%w: at key %x", errDiffers, name)
		}
	}
	return b, nil
}

// keepUp copies what changed, if that is more than so many rows.
func (m *mover) keepUp(ctx context.Context, most int) error {
	if m.s.flights.changed(m.part) <= most {
		return nil
	}
	_, err := m.copyChanged(ctx)
	return err
}

// copyChanged copies all that changed since it was called last, and returns the keys.
func (m *mover) copyChanged(ctx context.Context) ([]store.Row, error) {
	changed, err := m.s.flights.take(m.part)
	if err != nil {
		return nil, err
	}
	keys := slices.Collect(maps.Values(changed))
	for chunk := range slices.Chunk(keys, maxKeys) {
		rows, err := m.s.fetch(ctx, m.from, m.part, chunk)
		if err != nil {
			return nil, err
		}
		b := &store.Batch{Part: m.part}
		for i, r := range rows {
			if r != nil {
				b.Puts = append(b.Puts, r)
			} else {
				b.Deletes = append(b.Deletes, chunk[i])
			}
		}
		if err := m.write(ctx, b); err != nil {
			return nil, err
		}
		m.told(0, len(chunk))
	}
	return keys, nil
}

// settle copies the last changes, and compares them.
func (m *mover) settle(ctx context.Context) error {
	keys, err := m.copyChanged(ctx)
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(keys, maxKeys) {
		src, err := m.s.fetch(ctx, m.from, m.part, chunk)
		if err != nil {
			return err
		}
		dst, err := m.s.fetch(ctx, m.to, m.part, chunk)
		if err != nil {
			return err
		}
		if !reflect.DeepEqual(src, dst) {
			return fmt.Errorf("%w: in a row that changed last", errDiffers)
		}
	}
	if m.compared > moveCounted {
		return nil
	}
	return m.count(ctx)
}

// count compares how many rows each table has on both sides.
func (m *mover) count(ctx context.Context) error {
	var sides [2][]int64
	for i, sh := range []*shard{m.from, m.to} {
		err := sh.retry(ctx, "count rows", func(ctx context.Context) error {
			sides[i] = nil
			for _, t := range tables() {
				err := sh.query(ctx, sh.db, func(rows *sql.Rows) error {
					var n int64
					err := rows.Scan(&n)
					sides[i] = append(sides[i], n)
					return err
				}, "count rows", "SELECT COUNT(*) FROM "+t.id.String()+" WHERE part = ?", m.part)
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if !slices.Equal(sides[0], sides[1]) {
		return fmt.Errorf("%w: the tables have %d rows, and %d", errDiffers, sides[0], sides[1])
	}
	return nil
}

// write changes rows of the target, while the move is ours.
func (m *mover) write(ctx context.Context, b *store.Batch) error {
	if len(b.Puts)+len(b.Deletes) == 0 {
		return nil
	}
	p := planner{catalog: m.s.catalog, changes: map[*table][]change{}}
	if err := p.add(b); err != nil {
		return err
	}
	return m.to.fenced(ctx, "copy rows", m.part, func(ctx context.Context, tx *sql.Tx, h head, _ bool) error {
		if h.status != statusMoving || h.claim != m.token {
			return errTaken
		}
		for _, plan := range p.plans() {
			for _, st := range plan.statements() {
				if _, err := m.to.exec(ctx, tx, "write rows", st.text, st.args...); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// clear deletes all rows of the partition on a shard where its fence has the status,
// while the move is ours.
func (m *mover) clear(ctx context.Context, sh *shard, status string) error {
	for _, described := range tables() {
		t := m.s.catalog[described.id]
		text := strings.Join([]string{"DELETE FROM", t.id.String(), "WHERE part = ?"}, " ") + t.texts.order + " LIMIT ?"
		for n := int64(movePage); n == movePage; {
			begin := m.s.cfg.Clock.Now()
			err := sh.fenced(ctx, "clear rows", m.part, func(ctx context.Context, tx *sql.Tx, h head, _ bool) (err error) {
				if h.status != status || h.claim != m.token {
					return errTaken
				}
				n, err = sh.exec(ctx, tx, "clear rows", text, m.part, movePage)
				return err
			})
			if err != nil {
				return err
			}
			if err := sh.wait(ctx, min(m.s.cfg.Clock.Now().Sub(begin), time.Second)); err != nil {
				return err
			}
		}
	}
	return nil
}
