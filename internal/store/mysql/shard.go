package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/fenfa/fenfa/internal/clock"
)

// Delays between attempts. The mean doubles from one to the next; each is drawn
// between half of it and all of it.
const (
	conflictDelay    = 2 * time.Millisecond
	maxConflictDelay = 200 * time.Millisecond
	awayDelay        = 50 * time.Millisecond
	maxAwayDelay     = time.Second
)

// shard is one database.
type shard struct {
	number    int
	address   Address
	label     string // in metrics
	connector driver.Connector
	db        *sql.DB
	timeout   time.Duration
	clock     clock.Clock
	log       *slog.Logger
	metrics   *metrics
	group     *group
	blocks    blocks
	health    health
	away      func(shard int, problem error)
}

// newShard connects to nothing yet.
func newShard(cfg *Config, number int, m *metrics) (*shard, error) {
	address := cfg.Shards[number]
	made, err := newConnector(address, cfg.TLS)
	if err != nil {
		return nil, fmt.Errorf("shard %d: %w", number, err)
	}
	s := &shard{
		number: number, address: address, label: strconv.Itoa(number), connector: made, timeout: cfg.Timeout,
		away: cfg.Away, clock: cfg.Clock, log: cfg.Logger.With("shard", number, "database", address.String()), metrics: m,
	}
	if cfg.Observe != nil {
		s.connector = cfg.Observe(made)
	}
	s.db = s.pool(cfg.Connections)
	s.db.SetConnMaxLifetime(cfg.Lifetime)
	return s, nil
}

func (s *shard) pool(connections int) *sql.DB {
	db := sql.OpenDB(s.connector)
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db
}

// on says which operation failed, and where.
func (s *shard) on(operation string, err error) error {
	return fmt.Errorf("%s on shard %d (%s): %w", operation, s.number, s.address, translate(err))
}

// retry runs once until it succeeds, fails for good, or the timeout is over.
func (s *shard) retry(ctx context.Context, operation string, once func(context.Context) error) error {
	var delay time.Duration
	begin := s.clock.Now()
	for {
		err := s.bounded(ctx, once)
		if err == nil {
			s.answered()
			return nil
		}
		reason, least, most := "conflict", conflictDelay, maxConflictDelay
		switch kindOf(err) {
		case kindConflict:
		case kindAway:
			reason, least, most = "away", awayDelay, maxAwayDelay
			s.failed(ctx, operation, err)
		case kindOther:
			return s.on(operation, err)
		}
		if ctx.Err() != nil {
			return s.on(operation, errors.Join(context.Cause(ctx), err))
		}
		waited := s.clock.Now().Sub(begin)
		if waited >= s.timeout {
			return s.on(operation, fmt.Errorf("given up after %v: %w", waited.Round(time.Millisecond), err))
		}
		s.metrics.retries.WithLabelValues(reason).Inc()
		s.log.Debug("transaction is tried again", "operation", operation, "reason", reason, "error", err)
		delay = min(max(2*delay, least), most)
		if err := s.wait(ctx, delay/2+rand.N(delay/2)); err != nil {
			return s.on(operation, err)
		}
	}
}

// bounded gives one attempt its own time.
func (s *shard) bounded(ctx context.Context, once func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return once(ctx)
}

func (s *shard) wait(ctx context.Context, d time.Duration) error {
	over := make(chan struct{})
	timer := s.clock.AfterFunc(d, func() { close(over) })
	defer timer.Stop()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// querier is a pool, or a transaction.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// exec sends a statement and returns how many rows it found.
func (s *shard) exec(ctx context.Context, q querier, operation, text string, args ...any) (int64, error) {
	defer s.measure(operation)()
	result, err := q.ExecContext(ctx, text, args...)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", operation, err)
	}
	return result.RowsAffected()
}

// query sends a statement and calls each for every row of the answer.
func (s *shard) query(ctx context.Context, q querier, each func(*sql.Rows) error, operation, text string, args ...any) (err error) {
	defer s.measure(operation)()
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := each(rows); err != nil {
			return fmt.Errorf("%s: %w", operation, err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	return nil
}

// measure counts a statement; what it returns runs when the answer is there.
func (s *shard) measure(operation string) func() {
	begin := s.clock.Now()
	s.metrics.statements.WithLabelValues(operation).Inc()
	s.metrics.connections.WithLabelValues(s.label).Set(float64(s.db.Stats().InUse))
	return func() { s.metrics.roundTrip.WithLabelValues(s.label).Observe(s.clock.Now().Sub(begin).Seconds()) }
}

// transact runs f in a transaction. An *unknownError says that it is not known
// whether it happened; with any other one it did not.
func (s *shard) transact(ctx context.Context, db *sql.DB, f func(*sql.Tx) error) (err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() {
		if closeErr := conn.Close(); err == nil && closeErr != nil && !errors.Is(closeErr, sql.ErrConnDone) {
			s.log.Debug("connection did not go back to its pool", "error", closeErr)
		}
	}()
	done := s.measure("begin")
	tx, err := conn.BeginTx(ctx, nil)
	done()
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := f(tx); err != nil {
		done := s.measure("rollback")
		if tx.Rollback() != nil {
			discard(conn)
		}
		done()
		return err
	}
	done = s.measure("commit")
	err = tx.Commit()
	done()
	if err == nil {
		return nil
	}
	// Whatever is still open there must not be continued, or committed by the next
	// transaction's BEGIN.
	discard(conn)
	err = fmt.Errorf("commit: %w", err)
	if kindOf(err) == kindConflict {
		return err // The server says that it was rolled back.
	}
	return &unknownError{err}
}

// discard ends a connection instead of giving it back to its pool.
func discard(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // Its error is the one that it is given.
}

func (s *shard) close() error { return s.db.Close() }
