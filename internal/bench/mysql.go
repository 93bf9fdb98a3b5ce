package bench

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/child"
	"github.com/fenfa/fenfa/internal/mariadbserver"
)

// openStorePlace starts a private server where no address was given.
func (c *Config) openStorePlace(ctx context.Context) (err error) {
	if len(c.StoreURLs) == 0 {
		fmt.Fprintln(c.Log, "starting MariaDB")
	}
	c.storePlace, err = mariadbserver.OpenPlace(ctx, mariadbserver.PlaceConfig{Addresses: c.StoreURLs, Dir: c.Dir})
	return err
}

// storeEnv is what the node's process is told. Without databases of its own it is
// kept from those that the environment names.
func (c *Config) storeEnv() []string {
	if c.storePlace == nil {
		return []string{"FENFA_STORE_URL="}
	}
	return c.storePlace.Env()
}

// storeCPU is the CPU time of a private server so far; 0 of somebody's.
func (c *Config) storeCPU() (time.Duration, error) {
	if c.storePlace == nil || c.storePlace.Private() == nil {
		return 0, nil
	}
	used, err := child.UsageOf(c.storePlace.Private().PID())
	return used.CPU, err
}

// writeKeys is how many entities the tasks of a drain write to.
const writeKeys = 1_000

// write is a handler that raises a count of its entity by one.
func (r *rig) write(ctx context.Context, t *fenfa.Task) error {
	var count struct {
		Count int `json:"count"`
	}
	if err := t.State().Get(ctx, "count", &count); err != nil && !errors.Is(err, fenfa.ErrNotFound) {
		return err
	}
	count.Count++
	t.State().Put("count", count)
	return r.note(ctx, t)
}

// onStore runs a measured part of a benchmark on databases, and says what was sent
// to them.
func (r *rig) onStore(ctx context.Context, result *Result, part func() error) error {
	if r.cfg.storePlace == nil {
		return part()
	}
	before, err := r.sent(ctx)
	if err != nil {
		return err
	}
	if err := part(); err != nil {
		return err
	}
	after, err := r.sent(ctx)
	if err != nil {
		return err
	}
	per1000 := func(a, b float64) *float64 {
		v := (a - b) / float64(max(result.Tasks, 1)) * 1000
		return &v
	}
	result.StoreStatements, result.StoreCommits = per1000(after.statements, before.statements), per1000(after.commits, before.commits)
	if used := after.cpu - before.cpu; used > 0 {
		result.StoreCPU = per100k(used, result.Tasks)
	}
	return nil
}

// sent is what went to the databases so far.
type sent struct {
	statements, commits float64
	cpu                 time.Duration // of a private server
}

func (r *rig) sent(ctx context.Context) (s sent, err error) {
	if s.cpu, err = r.cfg.storeCPU(); err != nil {
		return s, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.node.HTTPAddr()+"/metrics", http.NoBody)
	if err != nil {
		return s, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return s, fmt.Errorf("read metrics: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		line := lines.Text()
		name, _, _ := strings.Cut(line, "{") // Values of labels have spaces.
		name, _, _ = strings.Cut(name, " ")
		number, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
		if err != nil {
			continue // A comment.
		}
		switch name {
		case "fenfa_store_statements_total":
			s.statements += number
		case "fenfa_store_commits_total":
			s.commits += number
		}
	}
	return s, nil
}

// What the plain transactions of the baseline do.
const (
	sqlClients = 64
	sqlTime    = 5 * time.Second
)

// withSQLBaseline adds to a result what a database does by itself on one hot row: 64
// clients, each with a conditional UPDATE and an INSERT into a log in a
// transaction.
func withSQLBaseline(ctx context.Context, cfg Config, result *Result) (err error) {
	if cfg.Baseline != BaselineSQL {
		return nil
	}
	fmt.Fprintf(cfg.Log, "the same in plain SQL: %d clients for %v\n", sqlClients, sqlTime)
	db, err := mariadbserver.Open(cfg.storePlace.Addresses()[0])
	if err != nil {
		return fmt.Errorf("baseline: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(sqlClients)
	db.SetMaxIdleConns(sqlClients)
	for _, statement := range []string{
		"CREATE TABLE bench_stock (id INT NOT NULL PRIMARY KEY, available BIGINT NOT NULL, version BIGINT NOT NULL) ENGINE = InnoDB",
		"CREATE TABLE bench_log (id CHAR(36) NOT NULL PRIMARY KEY, stock INT NOT NULL, amount BIGINT NOT NULL, at DATETIME(6) NOT NULL) ENGINE = InnoDB",
		"INSERT INTO bench_stock (id, available, version) VALUES (1, 1000000000, 1)",
	} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("baseline: %w", err)
		}
	}
	var done atomic.Int64
	began := time.Now()
	running, stop := context.WithTimeout(ctx, sqlTime)
	defer stop()
	group, groupCtx := errgroup.WithContext(ctx)
	for range sqlClients {
		group.Go(func() error {
			for running.Err() == nil {
				if err := deduct(groupCtx, db); err != nil {
					return err
				}
				done.Add(1)
			}
			return nil
		})
	}
	err = group.Wait()
	perS := float64(done.Load()) / time.Since(began).Seconds()
	for _, table := range []string{"bench_stock", "bench_log"} {
		_, dropErr := db.ExecContext(context.WithoutCancel(ctx), "DROP TABLE "+table)
		err = errors.Join(err, dropErr)
	}
	if err != nil {
		return fmt.Errorf("baseline: %w", err)
	}
	ratio := result.PerS / perS
	result.BaselinePerS, result.BaselineRatio = &perS, &ratio
	return nil
}

// deduct takes one piece, as programs do that have a database and nothing else.
func deduct(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // Of what was not committed.
	result, err := tx.ExecContext(ctx, "UPDATE bench_stock SET available = available - 1, version = version + 1 WHERE id = 1 AND available >= 1")
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		return fmt.Errorf("no piece was left: %w", err)
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO bench_log (id, stock, amount, at) VALUES (UUID(), 1, -1, NOW(6))"); err != nil {
		return err
	}
	return tx.Commit()
}
