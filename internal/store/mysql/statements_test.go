package mysql_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/mysql"
	"github.com/fenfa/fenfa/internal/store/storetest"
)

// tablesOfPartitions lead their keys with part. The others are those of the whole
// cluster and of the database itself, which no proxy routes by partition.
var tablesOfPartitions = func() []string {
	names := []string{"fence", "claim"}
	for _, t := range storetest.Tables() {
		names = append(names, t.String())
	}
	return names
}()

var otherTables = []string{"meta", "meta_log", "meta_version", "shard", "shard_map", "schema_version"}

var (
	tableOf   = regexp.MustCompile(`(?i)\b(?:FROM|INTO|UPDATE|TABLE IF NOT EXISTS)\s+([a-z_]+)`)
	forbidden = regexp.MustCompile(`(?i)AUTO_INCREMENT|SKIP\s+LOCKED|FOR\s+SHARE|LOCK\s+IN\s+SHARE|INSERT\s+IGNORE|REPLACE\s+INTO|TRIGGER|ROW_COUNT|;`)
	predicate = regexp.MustCompile(`(?i)\bWHERE\s+(\(?part\b|\(part,)`)
	literal   = regexp.MustCompile(`'[^']*'`)
)

// breach says which rule a statement breaks, or nothing.
func breach(text string) string {
	text = strings.TrimPrefix(strings.TrimPrefix(text, "PREPARE "), "EXECUTE ")
	if m := forbidden.FindString(text); m != "" {
		return "it has " + m
	}
	isSchema := strings.HasPrefix(text, "CREATE TABLE") || strings.HasPrefix(text, "ALTER TABLE")
	m := tableOf.FindStringSubmatch(text)
	switch {
	case isSchema:
		return ""
	case m == nil && slices.ContainsFunc([]string{"BEGIN", "COMMIT", "SELECT GET_LOCK", "DO RELEASE_LOCK", "SET SESSION TRANSACTION"}, func(s string) bool { return strings.HasPrefix(text, s) }):
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
	suite(t, mysql.Config{Shards: databases(t, 1), Observe: sent.observe})
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
	// BEGIN, the fences, one insert a table, COMMIT.
	if got := sent.take(); len(got) != 6 {
		t.Errorf("%d partitions took %d statements: %q", parts, len(got), got)
	}
}
