package mysql_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fenfa/fenfa/internal/store/mysql"
)

// wire is put around the connections of a store, and can be cut.
type wire struct{ cut atomic.Bool }

func (w *wire) observe(c driver.Connector) driver.Connector { return &wired{c, w} }

type wired struct {
	driver.Connector

	wire *wire
}

func (c *wired) Connect(ctx context.Context) (driver.Conn, error) {
	if c.wire.cut.Load() {
		return nil, io.ErrUnexpectedEOF
	}
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &wiredConn{conn.(inner), c.wire}, nil
}

type wiredConn struct {
	inner

	wire *wire
}

// ResetSession implements driver.SessionResetter: it is asked before each use.
func (c *wiredConn) ResetSession(ctx context.Context) error {
	if c.wire.cut.Load() {
		return driver.ErrBadConn
	}
	return c.inner.ResetSession(ctx)
}

// Ping implements driver.Pinger.
func (c *wiredConn) Ping(ctx context.Context) error {
	if c.wire.cut.Load() {
		return driver.ErrBadConn
	}
	return c.inner.(driver.Pinger).Ping(ctx)
}

// TestAnIdleStoreNoticesThatItsDatabaseGoesAndComesBack sends nothing through the
// store while its wire is cut and mended.
func TestAnIdleStoreNoticesThatItsDatabaseGoesAndComesBack(t *testing.T) {
	var w wire
	told := make(chan error, 10)
	where := databases(t, 1)
	open(t, mysql.Config{Shards: where, Observe: w.observe, Away: func(shard int, problem error) {
		if shard != 0 {
			t.Errorf("shard %d is away", shard)
		}
		told <- problem
	}})
	for range 2 {
		w.cut.Store(true)
		if problem := <-told; problem == nil || !strings.Contains(problem.Error(), "ask on shard 0 ("+where[0].String()+")") {
			t.Errorf("got %v", problem)
		}
		w.cut.Store(false)
		if problem := <-told; problem != nil {
			t.Errorf("got %v", problem)
		}
	}
}

// TestTheFirstFailureIsToldAndNotTheLast fails a claim that goes on trying.
func TestTheFirstFailureIsToldAndNotTheLast(t *testing.T) {
	var w wire
	told := make(chan error, 10)
	s := open(t, mysql.Config{Shards: databases(t, 1), Observe: w.observe, Away: func(_ int, problem error) { told <- problem }})
	w.cut.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := s.Claim(ctx, 1, 0)
		ended <- err
	}()
	problem := <-told
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) || problem == nil {
		t.Errorf("told %v, and the claim ended with %v", problem, err)
	}
	w.cut.Store(false)
	if back := <-told; back != nil {
		t.Errorf("told %v", back)
	}
}
