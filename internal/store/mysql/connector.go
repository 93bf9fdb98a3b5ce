package mysql

import (
	"context"
	"crypto/tls"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"
)

// dialTimeout bounds one attempt to connect to one host.
const dialTimeout = 5 * time.Second

// lockWait is how long a statement waits for a row that another transaction holds.
const lockWait = "5"

// connector makes the connections to a shard: to the first of its hosts that
// answers and takes changes, beginning with the last good one.
type connector struct {
	hosts []driver.Connector
	names []string
	good  atomic.Int64
}

func newConnector(a Address, tlsConfig *tls.Config) (*connector, error) {
	c := &connector{names: a.Hosts}
	for _, host := range a.Hosts {
		cfg := mysql.NewConfig()
		cfg.User, cfg.Passwd, cfg.Net, cfg.Addr, cfg.DBName = a.User, a.Password.Reveal(), "tcp", host, a.Database
		cfg.Timeout = dialTimeout
		cfg.ClientFoundRows = true    // A condition that holds counts, also where nothing changes.
		cfg.InterpolateParams = true  // One round trip a statement, where preparing takes three.
		cfg.Collation = "utf8mb4_bin" // For the names in the login; what follows is bytes, or ASCII.
		cfg.Logger = &mysql.NopLogger{}
		// Values outside their column's range are errors, and not cut.
		cfg.Params = map[string]string{
			"sql_mode": "'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'", "time_zone": "'+00:00'", "innodb_lock_wait_timeout": lockWait,
			// As the columns have it: the server converts nothing.
			"character_set_client": "ascii", "character_set_results": "ascii", "collation_connection": "ascii_bin",
		}
		if a.TLS {
			cfg.TLS = tlsFor(tlsConfig)
		}
		one, err := mysql.NewConnector(cfg)
		if err != nil {
			return nil, err
		}
		c.hosts = append(c.hosts, one)
	}
	return c, nil
}

func tlsFor(cfg *tls.Config) *tls.Config {
	if cfg == nil {
		return &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return cfg.Clone()
}

// Connect implements driver.Connector.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	var errs []error
	first := int(c.good.Load())
	for i := range c.hosts {
		at := (first + i) % len(c.hosts)
		conn, err := c.connect(ctx, at)
		if err == nil {
			c.good.Store(int64(at))
			return conn, nil
		}
		errs = append(errs, fmt.Errorf("connect to %s: %w", c.names[at], err))
	}
	if len(errs) == 1 {
		return nil, errs[0]
	}
	return nil, errors.Join(errs...)
}

// connect opens a connection and sets what no parameter of the handshake can.
func (c *connector) connect(ctx context.Context, at int) (driver.Conn, error) {
	conn, err := c.hosts[at].Connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.begin(ctx, conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

func (c *connector) begin(ctx context.Context, conn driver.Conn) error {
	execer, isExecer := conn.(driver.ExecerContext)
	queryer, isQueryer := conn.(driver.QueryerContext)
	if !isExecer || !isQueryer {
		return errors.New("the driver's connection cannot run statements")
	}
	if _, err := execer.ExecContext(ctx, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", nil); err != nil {
		return err
	}
	if len(c.hosts) == 1 {
		return nil
	}
	// Of several hosts only one takes changes; the others follow it.
	rows, err := queryer.QueryContext(ctx, "SELECT @@global.read_only", nil)
	if err != nil {
		return err
	}
	values := make([]driver.Value, 1)
	if err := errors.Join(rows.Next(values), rows.Close()); err != nil {
		return err
	}
	if fmt.Sprintf("%s", values[0]) == "1" || fmt.Sprint(values[0]) == "1" {
		return fmt.Errorf("%w: %w", errAway, ErrReadOnly)
	}
	return nil
}

// Driver implements driver.Connector.
func (c *connector) Driver() driver.Driver { return &mysql.MySQLDriver{} }
