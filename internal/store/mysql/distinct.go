package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/fenfa/fenfa/internal/task"
)

// distinct finds one database under two addresses, however these are spelled: each
// shard takes a lock whose name is drawn and hashed with that of its database, and
// what one session of a server has no other session gets.
type distinct struct {
	draw string
	held []*mark
}

// mark is a lock that a shard holds.
type mark struct {
	shard *shard
	conn  *sql.Conn
}

// checkDistinct refuses one database under two addresses. It writes nothing.
func (s *Store) checkDistinct(ctx context.Context) (err error) {
	if len(s.shards) == 1 {
		return nil
	}
	d := &distinct{draw: task.NewID(s.shards[0].clock.Now()).String()}
	defer func() { err = errors.Join(err, d.free(ctx)) }()
	for _, sh := range s.shards {
		if err := sh.retry(ctx, "compare shards", func(ctx context.Context) error { return d.add(ctx, sh) }); err != nil {
			return err
		}
	}
	return nil
}

// add takes the lock of one more shard.
func (d *distinct) add(ctx context.Context, sh *shard) error {
	conn, err := sh.db.Conn(ctx)
	if err != nil {
		return err
	}
	m := &mark{sh, conn}
	got, err := d.take(ctx, m)
	if err == nil && !got {
		err = d.same(ctx, m)
	}
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	d.held = append(d.held, m)
	return nil
}

// same says which of the others is the database of m, whose lock was not to be had.
func (d *distinct) same(ctx context.Context, m *mark) error {
	for _, other := range d.held {
		if err := d.release(ctx, other); err != nil {
			return err
		}
		switch got, err := d.take(ctx, m); {
		case err != nil:
			return err
		case got:
			return errors.Join(d.release(ctx, m), fmt.Errorf("%w: %s (shard %d) and %s (shard %d) are one database: give each shard its own",
				ErrShards, other.shard.address, other.shard.number, m.shard.address, m.shard.number))
		}
	}
	return fmt.Errorf("%w: the lock of %s is held by nobody that is known", errAway, m.shard.address)
}

// lockName is that of the database that a connection is to. Names have 64
// characters at most.
const lockName = "MD5(CONCAT(?, '/', DATABASE()))"

func (d *distinct) take(ctx context.Context, m *mark) (bool, error) {
	var got sql.NullInt64
	err := m.shard.query(ctx, m.conn, func(rows *sql.Rows) error { return rows.Scan(&got) }, "compare shards", "SELECT GET_LOCK("+lockName+", 0)", d.draw)
	return got.Int64 == 1, err
}

func (d *distinct) release(ctx context.Context, m *mark) error {
	_, err := m.shard.exec(ctx, m.conn, "compare shards", "DO RELEASE_LOCK("+lockName+")", d.draw)
	return err
}

// free gives all locks back. A connection that cannot is ended, which does so too.
func (d *distinct) free(ctx context.Context) error {
	var errs []error
	for _, m := range slices.Backward(d.held) {
		if d.release(ctx, m) != nil {
			discard(m.conn)
		}
		if err := m.conn.Close(); err != nil && !errors.Is(err, sql.ErrConnDone) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
