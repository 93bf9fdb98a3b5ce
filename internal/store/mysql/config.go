package mysql

import (
	"crypto/tls"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenfa/fenfa/internal/clock"
)

// Defaults.
const (
	DefaultTimeout     = 15 * time.Second
	DefaultConnections = 16
	DefaultLifetime    = 30 * time.Minute
)

// leastConnections are needed by a shard: two transactions, their read-backs, and
// some for reads.
const leastConnections = 4

// Config says where the shards are and how they are used.
type Config struct {
	// Shards are the databases, one for each shard, in an order that never changes;
	// new ones come at the end. At least one.
	Shards []Address
	// TLS is used for addresses that ask for it; nil: the authorities that the machine
	// trusts.
	TLS *tls.Config
	// Timeout is how long a call waits for a database that is away, and how long one
	// statement may take. At least 1 s; default DefaultTimeout.
	Timeout time.Duration
	// Connections bounds those to one shard. At least 4; default DefaultConnections.
	Connections int
	// Lifetime is how long a connection is used at most, so that connections spread
	// again after a failover. Default DefaultLifetime.
	Lifetime   time.Duration
	Clock      clock.Clock           // default clock.System
	Logger     *slog.Logger          // default: none
	Registerer prometheus.Registerer // default: none
	// Away is told at once when a database stops answering, with a problem that names
	// it and the operation, and with nil when it answers again. It must not block.
	// Default: nobody is told.
	Away func(shard int, problem error)
	// Observe, for tests, is put around what makes the connections.
	Observe func(driver.Connector) driver.Connector
}

func (c *Config) complete() error {
	if len(c.Shards) == 0 {
		return errors.New("no shard was given: name at least one database")
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Connections == 0 {
		c.Connections = DefaultConnections
	}
	if c.Lifetime == 0 {
		c.Lifetime = DefaultLifetime
	}
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case c.Timeout < time.Second:
		return fmt.Errorf("the timeout is %v: want at least 1s", c.Timeout)
	case c.Connections < leastConnections:
		return fmt.Errorf("%d connections to a shard are too few: want at least %d", c.Connections, leastConnections)
	case c.Lifetime < time.Second:
		return fmt.Errorf("connections live for %v: want at least 1s", c.Lifetime)
	}
	return nil
}
