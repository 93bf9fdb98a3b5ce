package mysql_test

import (
	"context"
	"database/sql/driver"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/mysql"
	"github.com/fenfa/fenfa/internal/store/storetest"
)

// recorder writes down every statement that a store sends.
type recorder struct {
	mu         sync.Mutex
	statements []string
}

func (r *recorder) add(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.statements = append(r.statements, text)
}

// take returns what was recorded since the last call.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.statements
	r.statements = nil
	return taken
}

func (r *recorder) observe(c driver.Connector) driver.Connector { return &recording{c, r} }

type recording struct {
	driver.Connector
	to *recorder
}

func (c *recording) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &recordingConn{inner: conn.(inner), to: c.to}, nil
}

// inner is what the driver's connections can do.
type inner interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ExecerContext
	driver.QueryerContext
	driver.NamedValueChecker
	driver.SessionResetter
	driver.Validator
}

type recordingConn struct {
	inner

	to *recorder
}

func (c *recordingConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	c.to.add("BEGIN")
	return c.inner.BeginTx(ctx, opts)
}

func (c *recordingConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	c.to.add(text)
	return c.inner.ExecContext(ctx, text, args)
}

func (c *recordingConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	c.to.add(text)
	return c.inner.QueryContext(ctx, text, args)
}

// tablesOfPartitions lead their keys with part. The others are those of the whole
// cluster and of the database itself, which no proxy routes by partition.
var tablesOfPartitions = func() []string {
	names := []string{"fence"}
	for _, t := range storetest.Tables() {
		names = append(names, t.String())
	}
	return names
}()

var otherTables = []string{"meta", "meta_version", "shard", "shard_map", "schema_version"}

var (
	tableOf   = regexp.MustCompile(`(?i)\b(?:FROM|INTO|UPDATE|TABLE IF NOT EXISTS)\s+([a-z_]+)`)
	forbidden = regexp.MustCompile(`(?i)AUTO_INCREMENT|SKIP\s+LOCKED|FOR\s+SHARE|LOCK\s+IN\s+SHARE|INSERT\s+IGNORE|REPLACE\s+INTO|TRIGGER|ROW_COUNT|;`)
	predicate = regexp.MustCompile(`(?i)\bWHERE\s+(\(?part\b|\(part,)`)
	literal   = regexp.MustCompile(`'[^']*'`)
)

// breach says which rule a statement breaks, or nothing.
func breach(text string) string {
	if m := forbidden.FindString(text); m != "" {
		return "it has " + m
	}
	isSchema := strings.HasPrefix(text, "CREATE TABLE") || strings.HasPrefix(text, "ALTER TABLE")
	m := tableOf.FindStringSubmatch(text)
	switch {
	case isSchema:
		return ""
	case m == nil && slices.ContainsFunc([]string{"BEGIN", "SELECT GET_LOCK", "DO RELEASE_LOCK", "SET SESSION TRANSACTION"}, func(s string) bool { return strings.HasPrefix(text, s) }):
		return ""
	case m == nil:
		return "it names no table"
	case slices.Contains(otherTables, m[1]):
		return ""
	case !slices.Contains(tablesOfPartitions, m[1]):
		return "the table " + m[1] + " is not known"
	case strings.HasPrefix(text, "INSERT INTO") && !strings.Contains(text, "(part, "):
		return "it inserts rows without part"
	case !strings.HasPrefix(text, "INSERT INTO") && !predicate.MatchString(text):
		return "its predicate does not begin with part"
	case strings.Contains(text, " OR (") && strings.Count(text, "(part = ? AND epoch") != strings.Count(text, " OR ")+1 && !strings.HasPrefix(text, "SELECT"):
		return "an alternative of its predicate does not name part"
	case strings.Contains(text, "ON DUPLICATE KEY UPDATE") && !strings.Contains(text, "= VALUES("):
		return "its upsert does not take VALUES"
	case literal.MatchString(text):
		return "a value stands in its text"
	}
	return ""
}

func TestStatementsThatBreakARuleAreFound(t *testing.T) {
	for _, text := range []string{
		"SELECT body FROM outbox WHERE seq = ?",
		"DELETE FROM outbox WHERE seq = ? AND part = ?",
		"DELETE FROM outbox",
		"UPDATE fence SET seq = ? WHERE (part = ? AND epoch = ?) OR (epoch = ?)",
		"INSERT IGNORE INTO outbox (part, seq) VALUES (?,?)",
		"INSERT INTO outbox (seq, body) VALUES (?,?)",
		"INSERT INTO outbox (part, seq) VALUES (?,?) ON DUPLICATE KEY UPDATE body = ?",
		"SELECT body FROM outbox WHERE part = ? FOR SHARE",
		"SELECT body FROM outbox WHERE part = ? LOCK IN SHARE MODE",
		"SELECT body FROM outbox WHERE part = ? FOR UPDATE SKIP LOCKED",
		"SELECT body FROM elsewhere WHERE part = ?",
		"SELECT body FROM record WHERE part = ? AND name = 'stock'",
		"DELETE FROM outbox WHERE part = ?; DELETE FROM outbox WHERE part = ?",
		"CREATE TABLE IF NOT EXISTS x (id INT AUTO_INCREMENT)",
		"FLUSH TABLES",
	} {
		if breach(text) == "" {
			t.Errorf("%q was found to be good", text)
		}
	}
}

// TestEveryStatementFollowsTheRules runs the whole suite and looks at all that was
// sent meanwhile.
func TestEveryStatementFollowsTheRules(t *testing.T) {
	var sent recorder
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		t.Helper()
		cfg := mysql.Config{Shards: databases(t, 2), Observe: sent.observe}
		s := open(t, cfg)
		return storetest.Harness{Store: s, Reopen: func(*testing.T) store.Store {
			shut(t, s)
			s = open(t, cfg)
			return s
		}}
	})
	counts := map[string]int{}
	for _, text := range sent.take() {
		counts[shorten(text)]++
		if why := breach(text); why != "" {
			t.Errorf("%s: %.200s", why, text)
		}
	}
	for _, table := range tablesOfPartitions {
		if !slices.ContainsFunc(slices.Collect(keys(counts)), func(text string) bool { return strings.Contains(text, " "+table+" ") }) {
			t.Errorf("nothing was sent to table %s: the recorder misses statements", table)
		}
	}
	for text, n := range counts {
		t.Logf("%6d %s", n, text)
	}
}

func keys(m map[string]int) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

var repeated = regexp.MustCompile(`(\([?,]+\))(?:,\([?,]+\))+|( WHEN \? THEN \?)+|(?: OR \(part = \? AND epoch[^)]*\))+`)

// shorten makes statements equal that differ by their number of rows.
func shorten(text string) string { return repeated.ReplaceAllString(text, "$1...") }

// TestManyPartitionsShareATransaction counts what a commit of many partitions
// sends.
func TestManyPartitionsShareATransaction(t *testing.T) {
	const parts = 32
	var sent recorder
	s := open(t, mysql.Config{Shards: databases(t, 1), Observe: sent.observe})
	batches := make([]store.Batch, parts)
	for part := range parts {
		batches[part] = after(part, claim(t, s, part), &store.Outbox{Seq: 1}, &store.Record{Key: "k", Name: "n", Version: 1}, &store.OpLog{Seq: 1, Op: store.OpPut})
	}
	sent.take()
	if err := s.Commit(t.Context(), batches); err != nil {
		t.Fatal(err)
	}
	// BEGIN, the fences, one insert a table; COMMIT goes past the recorder.
	if got := sent.take(); len(got) != 5 {
		t.Errorf("%d partitions took %d statements: %q", parts, len(got), got)
	}
}
