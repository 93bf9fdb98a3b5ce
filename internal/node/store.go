package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/fenfa/fenfa/internal/config"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/embedded"
	"github.com/fenfa/fenfa/internal/store/mysql"
	"github.com/fenfa/fenfa/internal/task"
)

// metaElsewhere is the name under which the embedded store remembers the databases
// that hold state in its place.
const metaElsewhere = "cluster/store"

// openStore opens the store that store.url names.
func (n *Node) openStore(ctx context.Context) error {
	local, err := embedded.New(embedded.Config{DB: n.db})
	if err != nil {
		return err
	}
	n.store = local
	if n.opts.Config.Store.URL == "" {
		err = n.refuseElsewhere(ctx, local.Meta())
	} else {
		err = n.openMySQL(ctx, local)
	}
	if err == nil {
		err = fixPartitions(ctx, n.store.Meta(), n.opts.Config.Partitions)
	}
	if err != nil {
		return errors.Join(err, n.store.Close(ctx))
	}
	return nil
}

// refuseElsewhere refuses the embedded store while the state of the data
// directory's tasks is in databases.
func (n *Node) refuseElsewhere(ctx context.Context, meta store.Meta) error {
	_, version, err := meta.Get(ctx, metaElsewhere)
	if err != nil {
		return fmt.Errorf("read where state lies: %w", err)
	}
	if version != 0 {
		return task.Errorf(task.CodeFailedPrecondition,
			"the state that belongs to the data directory %s is in databases: set store.url again, or choose another directory with --data-dir", n.opts.Config.DataDir).WithField("store.url")
	}
	return nil
}

// openMySQL connects to the databases and ties the data directory to them.
func (n *Node) openMySQL(ctx context.Context, local *embedded.Store) error {
	c := &n.opts.Config.Store
	_, used, err := local.Meta().Get(ctx, metaPartitions)
	if err != nil {
		return fmt.Errorf("read where state lies: %w", err)
	}
	if used != 0 {
		return task.Errorf(task.CodeFailedPrecondition,
			"the data directory %s holds state itself, which a node with store.url does not see: choose another directory with --data-dir", n.opts.Config.DataDir).WithField("store.url")
	}
	cfg, err := mysqlConfig(c)
	if err != nil {
		return err
	}
	cfg.Clock, cfg.Logger, cfg.Registerer, cfg.Away = n.opts.Clock, n.log, n.registry, n.health.shard
	s, err := mysql.New(ctx, cfg)
	if err != nil {
		return storeError(c.URL, err)
	}
	n.store = s
	if err := n.tie(ctx, local.Meta(), s.Cluster()); err != nil {
		return err
	}
	n.log.Info("store connected", "store", c.URL, "cluster", s.Cluster())
	return local.Close(ctx)
}

// tie writes down in the data directory which databases hold its state, and refuses
// others later.
func (n *Node) tie(ctx context.Context, meta store.Meta, cluster string) error {
	value, version, err := meta.Get(ctx, metaElsewhere)
	if err != nil {
		return fmt.Errorf("read where state lies: %w", err)
	}
	if version == 0 {
		if _, err := meta.Put(ctx, metaElsewhere, []byte(cluster), 0); err != nil {
			return fmt.Errorf("write where state lies: %w", err)
		}
		return nil
	}
	if string(value) != cluster {
		return task.Errorf(task.CodeFailedPrecondition,
			"the data directory %s belongs to other databases: they were named %s when they were first used, and those of store.url are named %s",
			n.opts.Config.DataDir, value, cluster).WithField("store.url")
	}
	return nil
}

// mysqlConfig is what the settings say about the databases.
func mysqlConfig(c *config.Store) (mysql.Config, error) {
	cfg := mysql.Config{Timeout: c.Timeout, Connections: c.Connections, Lifetime: c.Lifetime}
	for i, u := range c.URL.List() {
		address, err := mysql.ParseAddress(u.Reveal())
		if err != nil {
			return cfg, task.Errorf(task.CodeFailedPrecondition, "store.url: shard %d: %w", i, err).WithField("store.url")
		}
		cfg.Shards = append(cfg.Shards, address)
	}
	if c.TLS != (config.StoreTLS{}) {
		cfg.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		if err := loadTLS(cfg.TLS, "store.tls", c.TLS.CA, c.TLS.Cert, c.TLS.Key); err != nil {
			return cfg, err
		}
	}
	return cfg, nil
}

// storeError says why the databases cannot be used at the start. Addresses show
// without passwords.
func storeError(url config.URL, err error) error {
	fail := func(format string, args ...any) error {
		return task.Errorf(task.CodeFailedPrecondition, format+" (store.url is %s): %w", append(args, url, err)...).WithField("store.url")
	}
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, mysql.ErrNoDatabase):
		return fail("a database is missing, or this user may not use it: as the server's administrator run %s", createDatabases(url))
	case errors.Is(err, mysql.ErrLogin):
		return fail("a database did not let this node in: check user and password")
	case errors.Is(err, mysql.ErrNewerSchema):
		return fail("the tables were made by a newer version of fenfa, and were not changed: run that version")
	case errors.Is(err, mysql.ErrShards):
		return fail("the databases are not the shards of one cluster, in their order")
	case errors.Is(err, mysql.ErrReadOnly):
		return fail("a database takes no changes: name the host that does, or all of them separated by commas")
	case mysql.IsAway(err):
		return fail("a database cannot be reached: check that it runs, that the hosts and ports are right, and that no firewall is between")
	default:
		return fail("a database cannot be used")
	}
}

// createDatabases returns the statements that an administrator runs.
func createDatabases(url config.URL) string {
	var statements []string
	for _, u := range url.List() {
		if a, err := mysql.ParseAddress(u.Reveal()); err == nil {
			statements = append(statements, fmt.Sprintf("CREATE DATABASE IF NOT EXISTS `%s`; GRANT ALL PRIVILEGES ON `%[1]s`.* TO '%s'@'%%';", a.Database, a.User))
		}
	}
	return strings.Join(statements, " ")
}
