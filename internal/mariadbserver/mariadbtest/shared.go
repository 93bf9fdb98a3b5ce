package mariadbtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/fenfa/fenfa/internal/mariadbserver"
)

// Shared is the server that the tests of a package share: private, or the one that
// the environment names.
type Shared struct {
	// Server is nil when the environment names one.
	Server *mariadbserver.Server
	// Address of the server as the environment gave it, or empty.
	Address string
	// Missing says why there is no server, when there is none.
	Missing error
}

// Run starts the server, runs the tests, stops it, and returns the exit code; to be
// called by TestMain. Where there can be no server, the tests run all the same:
// those that need one skip, and the end says so.
func (s *Shared) Run(m *testing.M, cfg mariadbserver.Config) int {
	if s.Address = os.Getenv(EnvAddress); s.Address == "" {
		dir, err := os.MkdirTemp("", "fenfa-mariadb-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		cfg.Dir = dir
		s.Server, s.Missing = Start(context.Background(), cfg)
		if s.Missing != nil && (!errors.Is(s.Missing, ErrMissing) || os.Getenv("CI") == "true") {
			fmt.Fprintln(os.Stderr, s.Missing)
			return 1
		}
	}
	code := m.Run()
	if s.Server != nil {
		if err := s.Server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	if s.Missing != nil {
		fmt.Fprintf(os.Stderr, "*** tests against MariaDB were SKIPPED: %v ***\n", s.Missing)
	}
	return code
}

// Need skips a test when there is no server.
func (s *Shared) Need(tb testing.TB) {
	tb.Helper()
	if s.Missing != nil {
		tb.Skipf("no server: %v", s.Missing)
	}
}

// Databases makes n empty databases for one test and returns their addresses. They
// are dropped with the test.
func (s *Shared) Databases(tb testing.TB, n int) []string {
	tb.Helper()
	s.Need(tb)
	var addresses []string
	for range n {
		name := "fenfa_test_" + strings.ToLower(rand.Text())
		s.exec(tb, "CREATE DATABASE "+name)
		tb.Cleanup(func() { s.exec(tb, "DROP DATABASE "+name) })
		addresses = append(addresses, s.address(name))
	}
	return addresses
}

func (s *Shared) address(database string) string {
	if s.Server != nil {
		return s.Server.Address(database)
	}
	return s.Address[:strings.LastIndex(s.Address, "/")+1] + database
}

// exec runs a statement as an administrator. The test's own context may have ended.
func (s *Shared) exec(tb testing.TB, statement string) {
	tb.Helper()
	ctx := context.WithoutCancel(tb.Context())
	if s.Server != nil {
		if err := s.Server.Exec(ctx, statement); err != nil {
			tb.Fatal(err)
		}
		return
	}
	db, err := mariadbserver.Open(s.Address)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(ctx, statement); err != nil {
		tb.Fatal(err)
	}
}

// Private starts a server for one test, which may harm it; it ends with the test.
func Private(tb testing.TB, cfg mariadbserver.Config) *mariadbserver.Server {
	tb.Helper()
	if cfg.Dir == "" {
		cfg.Dir = tb.TempDir()
	}
	s, err := Start(tb.Context(), cfg)
	if errors.Is(err, ErrMissing) && os.Getenv("CI") != "true" {
		fmt.Fprintf(os.Stderr, "*** %s was SKIPPED: %v ***\n", tb.Name(), err)
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Stop(); err != nil {
			tb.Error(err)
		}
	})
	return s
}
