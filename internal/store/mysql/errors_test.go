package mysql_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	driverpkg "github.com/go-sql-driver/mysql"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/mysql"
)

// TestServersThatCannotWriteAreNamedSo lets the server answer inserts with errors,
// for as long as the test wants.
func TestServersThatCannotWriteAreNamedSo(t *testing.T) {
	var number atomic.Uint32
	answers := &tap{before: func(text string) error {
		if n := number.Load(); n != 0 && strings.HasPrefix(text, "INSERT INTO record") {
			return &driverpkg.MySQLError{Number: uint16(n), Message: "Error writing file (Errcode: 28 \"No space left on device\")"}
		}
		return nil
	}}
	waits := &patience{}
	s := open(t, mysql.Config{Shards: databases(t, 1), Timeout: longTimeout, Clock: waits, Observe: answers.observe})
	c := &counter{s: s}
	if err := errors.Join(c.claim(t.Context()), c.step(t.Context())); err != nil {
		t.Fatal(err)
	}
	for n, want := range map[uint32]error{1021: store.ErrFull, 1114: store.ErrFull, 1026: store.ErrFull, 1030: store.ErrFull, 1290: mysql.ErrReadOnly, 1836: mysql.ErrReadOnly} {
		number.Store(n)
		waits.lost.Store(true)
		err := c.step(t.Context())
		waits.lost.Store(false)
		if !errors.Is(err, want) || errors.Is(err, store.ErrFenced) {
			t.Errorf("error %d: got %v, want %v", n, err, want)
		}
		number.Store(0)
		if err := c.step(t.Context()); err != nil {
			t.Fatalf("after error %d: %v", n, err)
		}
	}
	c.check(t)
}

// TestOneBatchThatTheServerRefusesFailsAlone gives one of many batches a value that
// does not fit its column.
func TestOneBatchThatTheServerRefusesFailsAlone(t *testing.T) {
	s := open(t, mysql.Config{Shards: databases(t, 1)})
	const parts, bad = 6, 4
	batches := make([]store.Batch, parts)
	for part := range parts {
		row := &store.Record{Key: "k", Name: "n", Version: 1}
		if part == bad {
			row.Name = strings.Repeat("n", 1000)
		}
		batches[part] = after(part, claim(t, s, part), row)
	}
	err := s.Commit(t.Context(), batches)
	partial, ok := errors.AsType[*store.CommitError](err)
	if !ok || len(partial.Failed) != 1 || partial.Failed[bad] == nil || !strings.Contains(partial.Failed[bad].Error(), "name") {
		t.Fatalf("got %v", err)
	}
	for part := range parts {
		rows, err := s.Load(t.Context(), store.Scan{Part: part, Table: store.TableRecord, Limit: 9})
		if want := 1; err != nil || part != bad && len(rows) != want || part == bad && len(rows) != 0 {
			t.Errorf("partition %d has %d rows, %v", part, len(rows), err)
		}
	}
}

func TestAddressesAreReadAndShownWithoutPasswords(t *testing.T) {
	a, err := mysql.ParseAddress("mysqls://us%40er:pa%2Fss@h1,h2:33,[::1]:44/state")
	if err != nil || a.User != "us@er" || string(a.Password) != "pa/ss" || !a.TLS || a.Database != "state" {
		t.Fatalf("got %+v, %v", a, err)
	}
	if got := a.String(); got != "h1:3306,h2:33,[::1]:44/state" {
		t.Errorf("it shows as %s", got)
	}
	for _, wrong := range []string{"", "h/d", "amqp://u:pa55@h/d", "mysql://u:pa55@h", "mysql://u:pa55@h/", "mysql://u:pa55@/d", "mysql://u:pa55@h,/d", "mysql://u:pa5%5@h/d", "mysql://u:pa55@h/d?x=y"} {
		if _, err := mysql.ParseAddress(wrong); err == nil || strings.Contains(err.Error(), "pa5") {
			t.Errorf("%q: got %v", wrong, err)
		}
	}
}

func TestConfigsThatCannotWorkAreRefused(t *testing.T) {
	one := []mysql.Address{{User: "u", Hosts: []string{"127.0.0.1:1"}, Database: "d"}}
	for name, cfg := range map[string]mysql.Config{
		"no shard":              {},
		"a timeout of nothing":  {Shards: one, Timeout: time.Millisecond},
		"too few connections":   {Shards: one, Connections: 1},
		"a lifetime of nothing": {Shards: one, Lifetime: time.Millisecond},
	} {
		if _, err := mysql.New(t.Context(), cfg); err == nil || mysql.IsAway(err) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestTheHostThatTakesChangesIsFound gives a shard two hosts, of which one is not
// there.
func TestTheHostThatTakesChangesIsFound(t *testing.T) {
	where := databases(t, 1)
	where[0].Hosts = append([]string{"127.0.0.1:1"}, where[0].Hosts...)
	c := &counter{s: open(t, mysql.Config{Shards: where})}
	if err := errors.Join(c.claim(t.Context()), c.step(t.Context())); err != nil {
		t.Fatal(err)
	}
	c.check(t)
}

// TestCommitsThatNobodyWaitsForShareATransaction hands lazy batches in, which are
// held back until one that is not lazy comes.
func TestCommitsThatNobodyWaitsForShareATransaction(t *testing.T) {
	var sent recorder
	s := open(t, mysql.Config{Shards: databases(t, 1), Observe: sent.observe})
	const parts = 4
	batches := make([]store.Batch, parts)
	for part := range parts {
		batches[part] = after(part, claim(t, s, part), &store.Outbox{Seq: 1})
		batches[part].Lazy = part > 0
	}
	sent.take()
	done := make(chan error, parts)
	for part := parts - 1; part >= 0; part-- {
		go func() { done <- s.Commit(t.Context(), batches[part:part+1]) }()
	}
	for range parts {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	s.Hurry() // With nothing to hurry.
	for part := range parts {
		if rows, err := s.Load(t.Context(), store.Scan{Part: part, Table: store.TableOutbox, Limit: 9}); err != nil || len(rows) != 1 {
			t.Errorf("partition %d: %d rows, %v", part, len(rows), err)
		}
	}
}
