package mysql_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/fenfa/fenfa/internal/mariadbserver"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/mysql"
)

// addresses parses the addresses of databases.
func addresses(tb testing.TB, list []string) []mysql.Address {
	tb.Helper()
	parsed := make([]mysql.Address, len(list))
	for i, text := range list {
		var err error
		if parsed[i], err = mysql.ParseAddress(text); err != nil {
			tb.Fatal(err)
		}
	}
	return parsed
}

// databases makes n empty ones.
func databases(tb testing.TB, n int) []mysql.Address {
	tb.Helper()
	return addresses(tb, server.Databases(tb, n))
}

// open opens a store that is closed with the test, unless the test closes it.
func open(tb testing.TB, cfg mysql.Config) *mysql.Store {
	tb.Helper()
	s, err := mysql.New(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { shut(tb, s) })
	return s
}

func shut(tb testing.TB, s *mysql.Store) {
	tb.Helper()
	if err := s.Close(context.WithoutCancel(tb.Context())); err != nil {
		tb.Errorf("close: %v", err)
	}
}

// plain looks at a database past the store.
func plain(tb testing.TB, a mysql.Address) *sql.DB {
	tb.Helper()
	db, err := mariadbserver.Open("mysql://" + a.User + ":" + string(a.Password) + "@" + a.String())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	return db
}

func claim(tb testing.TB, s store.Store, part int) store.Fence {
	tb.Helper()
	fence, err := s.Claim(tb.Context(), part, 0)
	if err != nil {
		tb.Fatal(err)
	}
	return fence
}

// after returns a batch that follows the fence.
func after(part int, fence store.Fence, puts ...store.Row) store.Batch {
	next := fence
	next.Seq++
	next.HLC++
	return store.Batch{Part: part, Prev: fence, Next: next, Puts: puts}
}
