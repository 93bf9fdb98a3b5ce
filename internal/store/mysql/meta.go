package mysql

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"

	"github.com/fenfa/fenfa/internal/store"
)

// meta is the store's store.Meta, on shard 0. Versions come from one counter, so
// that none is used again after a delete.
type meta struct{ s *Store }

// Get implements store.Meta.
func (m meta) Get(ctx context.Context, name string) ([]byte, uint64, error) {
	var entry store.Entry
	err := m.read(ctx, &entry, func(rows *sql.Rows) error { return scanEntry(rows, &entry) },
		"SELECT "+metaColumns+" FROM meta WHERE name = ?", []byte(name))
	if err != nil {
		return nil, 0, fmt.Errorf("get named value %q: %w", name, err)
	}
	return entry.Value, entry.Version, nil
}

const metaColumns = "name, version, value"

func scanEntry(rows *sql.Rows, e *store.Entry) error {
	var name []byte
	if err := rows.Scan(&name, &e.Version, &e.Value); err != nil {
		return err
	}
	e.Name = string(name)
	return nil
}

// read sends one statement; each attempt begins with an empty result.
func (m meta) read(ctx context.Context, result *store.Entry, each func(*sql.Rows) error, text string, args ...any) error {
	if err := m.s.gate.Enter(); err != nil {
		return err
	}
	defer m.s.gate.Leave()
	home := m.s.shards[0]
	return home.retry(ctx, "read named value", func(ctx context.Context) error {
		*result = store.Entry{}
		return home.query(ctx, home.db, each, "read meta", text, args...)
	})
}

// List implements store.Meta.
func (m meta) List(ctx context.Context, prefix string) ([]store.Entry, error) {
	if err := m.s.gate.Enter(); err != nil {
		return nil, fmt.Errorf("list named values %q: %w", prefix, err)
	}
	defer m.s.gate.Leave()
	home := m.s.shards[0]
	var entries []store.Entry
	text, args := "SELECT "+metaColumns+" FROM meta WHERE name >= ?", []any{[]byte(prefix)}
	if end := prefixEnd(prefix); end != nil {
		text, args = text+" AND name < ?", append(args, end)
	}
	err := home.retry(ctx, "list named values", func(ctx context.Context) error {
		entries = nil
		return home.query(ctx, home.db, func(rows *sql.Rows) error {
			var e store.Entry
			if err := scanEntry(rows, &e); err != nil {
				return err
			}
			entries = append(entries, e)
			return nil
		}, "read meta", text+" ORDER BY name", args...)
	})
	if err != nil {
		return nil, fmt.Errorf("list named values %q: %w", prefix, err)
	}
	return entries, nil
}

// prefixEnd returns the first name behind all that have the prefix; nil: there is
// none.
func prefixEnd(prefix string) []byte {
	end := []byte(prefix)
	for len(end) > 0 {
		if end[len(end)-1] < 0xff {
			end[len(end)-1]++
			return end
		}
		end = end[:len(end)-1]
	}
	return nil
}

// Put implements store.Meta.
func (m meta) Put(ctx context.Context, name string, value []byte, expected uint64) (uint64, error) {
	if err := m.s.gate.Enter(); err != nil {
		return 0, fmt.Errorf("put named value %q: %w", name, err)
	}
	defer m.s.gate.Leave()
	if len(name) > maxMetaName {
		return 0, fmt.Errorf("put named value: its name has %d bytes; at most %d are allowed", len(name), maxMetaName)
	}
	p := &metaPut{shard: m.s.shards[0], name: []byte(name), value: value, expected: expected, token: rand.Text()}
	if err := p.shard.retry(ctx, "put named value", p.once); err != nil {
		return 0, fmt.Errorf("put named value %q: %w", name, err)
	}
	return p.version, nil
}

const maxMetaName = 1024

// metaPut is one Put. Each change leaves a row in a log, so that an attempt after
// one with an unknown outcome knows whether that one happened.
type metaPut struct {
	shard    *shard
	name     []byte
	value    []byte
	expected uint64
	token    string
	tried    uint64 // the version that the last attempt took; 0: none got that far
	version  uint64 // what Put returns
}

func (p *metaPut) once(ctx context.Context) error {
	return p.shard.transact(ctx, p.shard.db, func(tx *sql.Tx) error {
		counter, err := p.count(ctx, tx)
		if err != nil {
			return err
		}
		if done, err := p.happened(ctx, tx); err != nil || done {
			return err
		}
		current, err := p.current(ctx, tx)
		switch {
		case err != nil:
			return err
		case current != p.expected:
			return fmt.Errorf("%w: version %d was expected, %d is there", store.ErrVersion, p.expected, current)
		case p.value == nil && current == 0:
			return nil
		}
		return p.write(ctx, tx, counter)
	})
}

// happened looks for an earlier attempt in the log.
func (p *metaPut) happened(ctx context.Context, tx *sql.Tx) (done bool, err error) {
	if p.tried == 0 {
		return false, nil
	}
	err = p.shard.query(ctx, tx, func(*sql.Rows) error { done = true; return nil },
		"read meta", "SELECT version FROM meta_log WHERE version = ? AND writer = ?", p.tried, p.token)
	return done, err
}

// count takes the next version. The counter's row is locked until the end, so
// changes of named values follow one another.
func (p *metaPut) count(ctx context.Context, tx *sql.Tx) (uint64, error) {
	n, err := p.shard.exec(ctx, tx, "count version", "UPDATE meta_version SET last = last + 1 WHERE id = 1")
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, errors.New("the counter of versions is missing: was the table meta_version emptied?")
	}
	var last uint64
	err = p.shard.query(ctx, tx, func(rows *sql.Rows) error { return rows.Scan(&last) }, "read meta", "SELECT last FROM meta_version WHERE id = 1")
	return last, err
}

// current returns the version of the value, 0 for none.
func (p *metaPut) current(ctx context.Context, tx *sql.Tx) (version uint64, err error) {
	err = p.shard.query(ctx, tx, func(rows *sql.Rows) error { return rows.Scan(&version) },
		"read meta", "SELECT version FROM meta WHERE name = ? FOR UPDATE", p.name)
	return version, err
}

// keptChanges is how many changes the log remembers.
const keptChanges = 1000

func (p *metaPut) write(ctx context.Context, tx *sql.Tx, version uint64) error {
	p.tried, p.version = version, version
	text, args := "INSERT INTO meta (name, version, value) VALUES (?, ?, ?) ON DUPLICATE KEY UPDATE version = VALUES(version), value = VALUES(value)",
		[]any{p.name, version, p.value}
	if p.value == nil {
		text, args = "DELETE FROM meta WHERE name = ?", args[:1]
		p.version = 0
	}
	if _, err := p.shard.exec(ctx, tx, "write meta", text, args...); err != nil {
		return err
	}
	_, err := p.shard.exec(ctx, tx, "write meta",
		"INSERT INTO meta_log (version, name, writer, changed_at) VALUES (?, ?, ?, UTC_TIMESTAMP(6))", version, p.name, p.token)
	if err != nil || version <= keptChanges {
		return err
	}
	_, err = p.shard.exec(ctx, tx, "write meta", "DELETE FROM meta_log WHERE version < ?", version-keptChanges)
	return err
}
