package mysql_test

import (
	"database/sql"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/mysql"
	"github.com/fenfa/fenfa/internal/task"
)

const page = "../../../docs/stores/mysql.md"

func read(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestTheQueriesOfThePageFindWhatTheySay runs each block of SQL in the page about
// this store. Each must find something.
func TestTheQueriesOfThePageFindWhatTheySay(t *testing.T) {
	where := databases(t, 1)
	s := open(t, mysql.Config{Shards: where})
	at := task.TimestampAt(time.UnixMicro(1_763_820_000_000_000))
	id, err := task.ParseID("0190a5f2-7b1c-7d3e-8f4a-5b6c7d8e9f01")
	if err != nil {
		t.Fatal(err)
	}
	value := []byte(`{"available":4}`)
	fence := claim(t, s, 3)
	b := after(3, fence,
		&store.Record{Key: "sku-7", Name: "stock", Version: 1, Value: value, UpdatedAt: at, TaskID: id},
		&store.OpLog{Seq: 1, HLC: at, Op: store.OpPut, Key: "sku-7", Name: "stock", After: 1, Value: value, TaskID: id, Worker: "w"},
		&store.OpLog{Seq: 2, HLC: at + 1, Op: store.OpDelete, Key: "sku-7", Name: "old", Before: 1},
		store.Gone("sku-7", "old", 2),
		&store.Dedup{ID: id, State: task.StateDone, Queue: "orders", Key: "sku-7", CreatedAt: at, FinishedAt: at, Result: []byte(`"ok"`)},
		&store.Dead{Queue: "orders", Seq: 1, Reason: "attempts", DiedAt: at, Tries: []store.Try{{At: at, Worker: "w", Error: "no such order"}}},
		&store.Schedule{Due: at.Time(), Seq: 1},
	)
	if err := s.Commit(t.Context(), []store.Batch{b}); err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllStringSubmatch(read(t), -1)
	if len(blocks) < 10 {
		t.Errorf("the page has %d queries", len(blocks))
	}
	db := plain(t, where[0])
	for _, block := range blocks {
		finds(t, db, block[1])
	}
}

// finds runs a query, which must find something, and nothing wrong if it looks for
// that.
func finds(t *testing.T, db *sql.DB, query string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Errorf("%v\n%s", err, query)
		return
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if !rows.Next() || err != nil {
		t.Errorf("it finds nothing: %v, %v\n%s", err, rows.Err(), query)
		return
	}
	if columns[0] == "wrong" {
		var wrong int
		if err := rows.Scan(&wrong); err != nil || wrong != 0 {
			t.Errorf("%d are wrong, %v\n%s", wrong, err, query)
		}
	}
	if err := rows.Err(); err != nil {
		t.Error(err)
	}
}

// TestTimesAreReadableInTheTables compares what the server computes with what was
// stored.
func TestTimesAreReadableInTheTables(t *testing.T) {
	where := databases(t, 1)
	s := open(t, mysql.Config{Shards: where})
	at := time.UnixMicro(1_763_820_000_123_456)
	b := after(1, claim(t, s, 1), &store.Record{Key: "k", UpdatedAt: task.TimestampAt(at) + 5}, &store.Schedule{Due: at, Seq: 1})
	if err := s.Commit(t.Context(), []store.Batch{b}); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"SELECT updated_at FROM record", "SELECT due_at FROM schedule"} {
		var got string
		if err := plain(t, where[0]).QueryRowContext(t.Context(), text).Scan(&got); err != nil || got != "2025-11-22 14:00:00.123456" {
			t.Errorf("%s: got %s, %v", text, got, err)
		}
	}
}

func TestThePageNamesTablesAndMetrics(t *testing.T) {
	text := read(t)
	for _, table := range append(append([]string(nil), tablesOfPartitions...), otherTables...) {
		if !strings.Contains(text, "`"+table+"`") {
			t.Errorf("table %s is not in the page", table)
		}
	}
	registry := prometheus.NewRegistry()
	s := open(t, mysql.Config{Shards: databases(t, 1), Registerer: registry})
	c := &counter{s: s}
	if err := c.claim(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.step(t.Context()); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil || len(families) < 7 {
		t.Fatalf("%d metrics, %v", len(families), err)
	}
	for _, f := range families {
		if !strings.Contains(text, "`"+f.GetName()+"`") {
			t.Errorf("metric %s is not in the page", f.GetName())
		}
	}
}
