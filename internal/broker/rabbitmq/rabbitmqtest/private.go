package rabbitmqtest

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/fenfa/fenfa/internal/rabbitmqserver"
)

// Private starts servers for one test, which may harm them; they end with it. A
// test that cannot have a server skips, and fails when CI is "true".
func Private(tb testing.TB, cfg rabbitmqserver.Config) *rabbitmqserver.Cluster {
	tb.Helper()
	if cfg.Dir == "" {
		cfg.Dir = tb.TempDir()
	}
	c, err := Start(tb.Context(), cfg)
	if errors.Is(err, ErrMissing) && os.Getenv("CI") != "true" {
		fmt.Fprintf(os.Stderr, "*** %s was SKIPPED: %v ***\n", tb.Name(), err)
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Stop(); err != nil {
			tb.Error(err)
		}
	})
	return c
}

// PrivateTLS is Private for servers that also listen with TLS. It returns the file
// of the authority to trust.
func PrivateTLS(tb testing.TB, cfg rabbitmqserver.Config) (c *rabbitmqserver.Cluster, authority string) {
	tb.Helper()
	cfg.Dir = tb.TempDir()
	if _, err := certify(&cfg); err != nil {
		tb.Fatal(err)
	}
	return Private(tb, cfg), cfg.CA
}
