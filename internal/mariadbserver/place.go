package mariadbserver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// PlaceConfig says where a demo or a benchmark has its state.
type PlaceConfig struct {
	// Addresses are of somebody's empty databases, one for each shard; none: a private
	// server is started, with Shards databases on it.
	Addresses []string
	Shards    int    // default 1
	Dir       string // of this run; a private server's data goes below it
	Keep      bool   // leave in somebody's databases what was made there
}

// Place is a private server, or somebody's databases.
type Place struct {
	cfg       PlaceConfig
	server    *Server // nil: somebody's databases
	addresses []string
}

// OpenPlace starts a private server where no address was given, and makes sure
// that somebody's databases are empty.
func OpenPlace(ctx context.Context, cfg PlaceConfig) (*Place, error) {
	p := &Place{cfg: cfg, addresses: cfg.Addresses}
	if len(p.addresses) > 0 {
		return p, p.checkEmpty(ctx)
	}
	dir := filepath.Join(cfg.Dir, "mariadb")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory for MariaDB: %w", err)
	}
	var err error
	p.server, err = Start(ctx, Config{Dir: dir})
	if errors.Is(err, ErrMissing) {
		return nil, fmt.Errorf("%w, or give the address of a database", err)
	}
	if err != nil {
		return nil, err
	}
	for i := range max(1, cfg.Shards) {
		address, err := p.server.Database(ctx, "fenfa"+strconv.Itoa(i))
		if err != nil {
			return nil, errors.Join(err, p.server.Stop())
		}
		p.addresses = append(p.addresses, address)
	}
	return p, nil
}

// Addresses returns those of the shards, with user and password.
func (p *Place) Addresses() []string { return p.addresses }

// Private returns the private server, or nil when the databases are somebody's and
// not ours to harm.
func (p *Place) Private() *Server { return p.server }

// Env is the environment of a node that uses the place.
func (p *Place) Env() []string { return []string{"FENFA_STORE_URL=" + strings.Join(p.addresses, ",")} }

// Close stops a private server, and removes from somebody's databases what the run
// made there. The nodes of the run must have ended.
func (p *Place) Close() error {
	switch {
	case p.server != nil:
		return p.server.Stop()
	case p.cfg.Keep:
		return nil
	default:
		return p.each(context.Background(), func(ctx context.Context, db *sql.DB, tables []string) error {
			for _, table := range tables {
				if _, err := db.ExecContext(ctx, "DROP TABLE `"+table+"`"); err != nil {
					return fmt.Errorf("drop table %s: %w", table, err)
				}
			}
			return nil
		})
	}
}

func (p *Place) checkEmpty(ctx context.Context) error {
	if p.cfg.Keep {
		return nil
	}
	return p.each(ctx, func(_ context.Context, _ *sql.DB, tables []string) error {
		if len(tables) > 0 {
			return fmt.Errorf("there are %d tables in it: give an empty one", len(tables))
		}
		return nil
	})
}

// each calls f for each of somebody's databases, with the tables in it.
func (p *Place) each(ctx context.Context, f func(ctx context.Context, db *sql.DB, tables []string) error) error {
	for i, address := range p.addresses {
		db, err := Open(address)
		if err == nil {
			var tables []string
			if tables, err = tablesOf(ctx, db); err == nil {
				err = f(ctx, db, tables)
			}
			err = errors.Join(err, db.Close())
		}
		if err != nil {
			return fmt.Errorf("database of shard %d: %w", i, err)
		}
	}
	return nil
}

func tablesOf(ctx context.Context, db *sql.DB) (tables []string, err error) {
	rows, err := db.QueryContext(ctx, "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		tables = append(tables, name)
	}
	return tables, rows.Err()
}

// Open returns a pool of plain connections to the first host of
// mysql://user:password@host:port/database. Errors never hold the address.
func Open(address string) (*sql.DB, error) {
	_, rest, ok := strings.Cut(address, "://")
	at, slash := strings.LastIndex(rest, "@"), strings.LastIndex(rest, "/")
	if !ok || at < 0 || slash < at {
		return nil, errors.New("the address is not mysql://user:password@host:port/database")
	}
	user, password, _ := strings.Cut(rest[:at], ":")
	host, _, _ := strings.Cut(rest[at+1:slash], ",")
	cfg := mysql.NewConfig()
	var userErr, passwordErr error
	cfg.User, userErr = url.PathUnescape(user)
	cfg.Passwd, passwordErr = url.PathUnescape(password)
	if userErr != nil || passwordErr != nil {
		return nil, errors.New("user and password must be escaped as in a URL")
	}
	cfg.Net, cfg.Addr, cfg.DBName = "tcp", host, rest[slash+1:]
	cfg.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, errors.New("the address cannot be used")
	}
	return sql.OpenDB(connector), nil
}
