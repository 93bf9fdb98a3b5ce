package mysql_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"math/rand/v2"
	"sync"

	driverpkg "github.com/go-sql-driver/mysql"
)

// tap is put around the connections of a store, and sees each statement before it
// is sent and after it was carried out. An error of before keeps it from being
// sent, one of after hides that it was carried out; both break the connection,
// unless they are answers of a server.
type tap struct {
	before, after func(text string) error
}

func (t *tap) observe(c driver.Connector) driver.Connector { return &tapped{c, t} }

type tapped struct {
	driver.Connector

	tap *tap
}

func (c *tapped) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &tappedConn{inner: conn.(inner), tap: c.tap}, nil
}

// inner is what the driver's connections can do.
type inner interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ExecerContext
	driver.QueryerContext
	driver.NamedValueChecker
	driver.SessionResetter
	driver.Validator
}

type tappedConn struct {
	inner

	tap    *tap
	broken bool
}

// pass carries a statement out between the taps.
func (c *tappedConn) pass(text string, run func() error) error {
	if c.broken {
		return driverpkg.ErrInvalidConn
	}
	if c.tap.before != nil {
		if err := c.tap.before(text); err != nil {
			return c.fail(err)
		}
	}
	if err := run(); err != nil {
		return err
	}
	if c.tap.after != nil {
		if err := c.tap.after(text); err != nil {
			return c.fail(err)
		}
	}
	return nil
}

func (c *tappedConn) fail(err error) error {
	if _, answered := errors.AsType[*driverpkg.MySQLError](err); answered {
		return err
	}
	c.broken = true
	return errors.Join(err, c.inner.Close())
}

func (c *tappedConn) IsValid() bool { return !c.broken && c.inner.IsValid() }

func (c *tappedConn) Close() error {
	if c.broken {
		return nil
	}
	return c.inner.Close()
}

func (c *tappedConn) ResetSession(ctx context.Context) error {
	if c.broken {
		return driver.ErrBadConn
	}
	return c.inner.ResetSession(ctx)
}

func (c *tappedConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	var tx driver.Tx
	err := c.pass("BEGIN", func() (err error) {
		tx, err = c.inner.BeginTx(ctx, opts)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &tappedTx{tx, c}, nil
}

func (c *tappedConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	var result driver.Result
	err := c.pass(text, func() (err error) {
		result, err = c.inner.ExecContext(ctx, text, args)
		return err
	})
	return result, err
}

func (c *tappedConn) Prepare(text string) (driver.Stmt, error) {
	var stmt driver.Stmt
	err := c.pass("PREPARE "+text, func() (err error) {
		stmt, err = c.inner.Prepare(text)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &tappedStmt{stmt.(innerStmt), c, text}, nil
}

// innerStmt is what the driver's prepared statements can do.
type innerStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.NamedValueChecker
}

type tappedStmt struct {
	innerStmt

	conn *tappedConn
	text string
}

func (s *tappedStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	var result driver.Result
	err := s.conn.pass("EXECUTE "+s.text, func() (err error) {
		result, err = s.innerStmt.ExecContext(ctx, args)
		return err
	})
	return result, err
}

func (s *tappedStmt) Close() error {
	if s.conn.broken {
		return nil
	}
	return s.innerStmt.Close()
}

func (c *tappedConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	var rows driver.Rows
	err := c.pass(text, func() (err error) {
		rows, err = c.inner.QueryContext(ctx, text, args)
		return err
	})
	return rows, err
}

type tappedTx struct {
	driver.Tx

	conn *tappedConn
}

func (t *tappedTx) Commit() error {
	sent := false
	err := t.conn.pass("COMMIT", func() error {
		sent = true
		return t.Tx.Commit()
	})
	if err != nil && !sent && !t.conn.broken {
		return errors.Join(err, t.Tx.Rollback()) // As the server does that gave this answer.
	}
	return err
}

func (t *tappedTx) Rollback() error {
	if t.conn.broken {
		return driver.ErrBadConn
	}
	return t.Tx.Rollback()
}

// recorder writes down every statement that a store sends.
type recorder struct {
	mu         sync.Mutex
	statements []string
}

func (r *recorder) observe(c driver.Connector) driver.Connector {
	return (&tap{before: func(text string) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.statements = append(r.statements, text)
		return nil
	}}).observe(c)
}

// take returns what was recorded since the last call.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.statements
	r.statements = nil
	return taken
}

// saboteur breaks connections by a seed, before statements are sent, and after
// they were carried out.
type saboteur struct {
	mu   sync.Mutex
	rng  *rand.Rand
	rate float64
	hits map[string]int
}

func newSaboteur(seed uint64, rate float64) *saboteur {
	return &saboteur{rng: rand.New(rand.NewPCG(seed, 31)), rate: rate, hits: map[string]int{}}
}

func (s *saboteur) observe(c driver.Connector) driver.Connector {
	hit := func(when string) func(string) error {
		return func(text string) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			rate := s.rate
			if text == "COMMIT" {
				rate *= 4
			}
			if s.rng.Float64() >= rate {
				return nil
			}
			if text == "COMMIT" {
				s.hits[when+" COMMIT"]++
			} else {
				s.hits[when]++
			}
			if when == "before" && s.rng.IntN(3) == 0 {
				return &driverpkg.MySQLError{Number: 1213, Message: "Deadlock found when trying to get lock"}
			}
			return driverpkg.ErrInvalidConn
		}
	}
	return (&tap{before: hit("before"), after: hit("after")}).observe(c)
}

func (s *saboteur) count(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hits[what]
}
