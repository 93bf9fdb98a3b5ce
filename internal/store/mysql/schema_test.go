package mysql_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fenfa/fenfa/internal/store/mysql"
	"github.com/fenfa/fenfa/internal/store/storetest"
)

func TestEveryTableOfThePortIsThereWithPartFirst(t *testing.T) {
	where := databases(t, 1)
	open(t, mysql.Config{Shards: where})
	db := plain(t, where[0])
	for _, table := range storetest.Tables() {
		var first string
		err := db.QueryRowContext(t.Context(), "SELECT column_name FROM information_schema.key_column_usage"+
			" WHERE table_schema = ? AND table_name = ? AND constraint_name = 'PRIMARY' AND ordinal_position = 1", where[0].Database, table.String()).Scan(&first)
		if err != nil || first != "part" {
			t.Errorf("the key of table %s begins with %q, %v", table, first, err)
		}
		var others int
		err = db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = ? AND table_name = ? AND index_name <> 'PRIMARY'",
			where[0].Database, table.String()).Scan(&others)
		if err != nil || others != 0 {
			t.Errorf("table %s has %d more indexes, %v", table, others, err)
		}
	}
}

func TestNodesThatStartAtOnceMigrateOnce(t *testing.T) {
	where := databases(t, 2)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			s, err := mysql.New(t.Context(), mysql.Config{Shards: where})
			if err != nil {
				t.Error(err)
				return
			}
			shut(t, s)
		})
	}
	wg.Wait()
	files, err := os.ReadDir("migrations")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range where {
		var rows int
		if err := plain(t, a).QueryRowContext(t.Context(), "SELECT COUNT(*) FROM schema_version").Scan(&rows); err != nil || rows != len(files) || rows == 0 {
			t.Errorf("%d of %d migrations are written down, %v", rows, len(files), err)
		}
	}
}

func TestAMigrationThatWasInterruptedIsFinished(t *testing.T) {
	where := databases(t, 1)
	shut(t, openUnowned(t, mysql.Config{Shards: where}))
	db := plain(t, where[0])
	for _, statement := range []string{"DELETE FROM schema_version", "DROP TABLE dead"} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, mysql.Config{Shards: where})
	claim(t, s, 1)
}

// openUnowned opens a store that the test closes.
func openUnowned(t *testing.T, cfg mysql.Config) *mysql.Store {
	t.Helper()
	s, err := mysql.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTablesOfANewerVersionAreRefusedAndLeftAlone(t *testing.T) {
	where := databases(t, 1)
	shut(t, openUnowned(t, mysql.Config{Shards: where}))
	if _, err := plain(t, where[0]).ExecContext(t.Context(), "INSERT INTO schema_version VALUES (999, UTC_TIMESTAMP(6))"); err != nil {
		t.Fatal(err)
	}
	_, err := mysql.New(t.Context(), mysql.Config{Shards: where})
	if !errors.Is(err, mysql.ErrNewerSchema) || !strings.Contains(err.Error(), "999") {
		t.Errorf("got %v", err)
	}
}

func TestShardsKeepTheirOrder(t *testing.T) {
	where := databases(t, 4)
	three := where[:3]
	shut(t, openUnowned(t, mysql.Config{Shards: three}))
	for name, wrong := range map[string][]mysql.Address{
		"another order": {three[0], three[2], three[1]},
		"one is gone":   three[:2],
		"one twice":     {three[0], three[1], three[1]},
		"first is new":  {where[3], three[1], three[2]},
		"one is a home": {three[1], where[3]},
	} {
		if s, err := mysql.New(t.Context(), mysql.Config{Shards: wrong}); !errors.Is(err, mysql.ErrShards) {
			t.Errorf("%s: got %v", name, err)
			if err == nil {
				shut(t, s)
			}
		}
	}
	s := open(t, mysql.Config{Shards: slices.Concat(three, where[3:])})
	claim(t, s, 3)
	var shard int
	if err := plain(t, where[0]).QueryRowContext(t.Context(), "SELECT shard FROM shard_map WHERE part = 3").Scan(&shard); err != nil || shard != 0 {
		t.Errorf("a new shard made partition 3 go to shard %d, %v; want 0, as with three", shard, err)
	}
}

// TestNewDatabasesAreNotSpoiledByAMistakeInTheirAddresses gives new databases in ways
// that cannot be, and then as they should be.
func TestNewDatabasesAreNotSpoiledByAMistakeInTheirAddresses(t *testing.T) {
	where := databases(t, 3)
	alias := where[0] // the same server under another name
	alias.Hosts = []string{strings.Replace(alias.Hosts[0], "127.0.0.1", "localhost", 1)}
	shut(t, openUnowned(t, mysql.Config{Shards: where[2:]}))
	for name, c := range map[string]struct {
		shards []mysql.Address
		says   string
	}{
		"one twice":                {[]mysql.Address{where[0], where[0]}, "(shard 0) and"},
		"one under another name":   {[]mysql.Address{where[1], where[0], alias}, "(shard 1) and"},
		"a new one before another": {[]mysql.Address{where[0], where[2]}, "is empty"},
	} {
		s, err := mysql.New(t.Context(), mysql.Config{Shards: c.shards})
		if !errors.Is(err, mysql.ErrShards) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v", name, err)
		}
		if err == nil {
			shut(t, s)
		}
	}
	for _, a := range where[:2] {
		var rows int
		if err := plain(t, a).QueryRowContext(t.Context(), "SELECT COUNT(*) FROM shard").Scan(&rows); err != nil || rows != 0 {
			t.Errorf("a database was told what it is %d times, %v", rows, err)
		}
	}
	claim(t, open(t, mysql.Config{Shards: where[:2]}), 1)
}
