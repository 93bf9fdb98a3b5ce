package mysql_test

import (
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/mysql"
	"github.com/fenfa/fenfa/internal/store/storetest"
)

// suite runs storetest on databases that are emptied for each of its tests, which
// is faster than to make new ones.
func suite(t *testing.T, cfg mysql.Config) {
	t.Helper()
	shut(t, openUnowned(t, cfg))
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		t.Helper()
		for _, a := range cfg.Shards {
			empty(t, a)
		}
		s := open(t, cfg)
		return storetest.Harness{Store: s, Reopen: func(*testing.T) store.Store {
			shut(t, s)
			s = open(t, cfg)
			return s
		}}
	})
}

// empty deletes all rows of a database but those that say which tables there are.
func empty(t *testing.T, a mysql.Address) {
	t.Helper()
	db := plain(t, a)
	for _, table := range append(append([]string(nil), tablesOfPartitions...), otherTables...) {
		text := "DELETE FROM " + table
		switch table {
		case "schema_version":
			continue
		case "meta_version":
			text = "UPDATE meta_version SET last = 0"
		}
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
}

func TestThreeShards(t *testing.T) { suite(t, mysql.Config{Shards: databases(t, 3)}) }

// TestConnectionsThatBreakAreNotNoticed runs the suite while connections break and
// deadlocks are reported at random. Retries and reading back hide all of it.
func TestConnectionsThatBreakAreNotNoticed(t *testing.T) {
	sabotage := newSaboteur(1, 0.01)
	suite(t, mysql.Config{Shards: databases(t, 2), Timeout: time.Minute, Observe: sabotage.observe})
	for _, what := range []string{"before", "after", "before COMMIT", "after COMMIT"} {
		if sabotage.count(what) == 0 {
			t.Errorf("nothing broke %s", what)
		}
	}
}
