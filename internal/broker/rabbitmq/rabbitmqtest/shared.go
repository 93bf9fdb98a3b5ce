package rabbitmqtest

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/fenfa/fenfa/internal/rabbitmqserver"
)

// Shared is the server that the tests of a package share: private, or the one that
// the environment names.
type Shared struct {
	// Cluster is nil when the environment names a server.
	Cluster *rabbitmqserver.Cluster
	// Address of the server as the environment gave it, or empty.
	Address string
	// Roots trusts the certificate of the private server.
	Roots *x509.CertPool
	// Missing says why there is no server, when there is none.
	Missing error
}

// Run starts the server, runs the tests, stops it, and returns the exit code; to be
// called by TestMain. Where there can be no server, the tests run all the same:
// those that need one skip, and the end says so.
func (s *Shared) Run(m *testing.M, cfg rabbitmqserver.Config) int {
	if s.Address = os.Getenv(EnvAddress); s.Address == "" {
		dir, err := os.MkdirTemp("", "fenfa-rabbitmq-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		cfg.Dir = dir
		if s.Roots, err = certify(&cfg); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		s.Cluster, s.Missing = Start(context.Background(), cfg)
		if s.Missing != nil && (!errors.Is(s.Missing, ErrMissing) || os.Getenv("CI") == "true") {
			fmt.Fprintln(os.Stderr, s.Missing)
			return 1
		}
	}
	code := m.Run()
	if s.Cluster != nil {
		if err := s.Cluster.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	if s.Missing != nil {
		fmt.Fprintf(os.Stderr, "*** tests against RabbitMQ were SKIPPED: %v ***\n", s.Missing)
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

// NeedPrivate skips a test that would harm a server that is not private.
func (s *Shared) NeedPrivate(tb testing.TB) *rabbitmqserver.Node {
	tb.Helper()
	s.Need(tb)
	if s.Cluster == nil {
		tb.Skip("the server that " + EnvAddress + " names is not ours to harm")
	}
	return s.Cluster.Nodes[0]
}
