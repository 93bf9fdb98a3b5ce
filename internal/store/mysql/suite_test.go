package mysql_test

import (
	"testing"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/mysql"
	"github.com/fenfa/fenfa/internal/store/storetest"
)

// harness is an empty store on new databases.
func harness(t *testing.T, shards int) storetest.Harness {
	t.Helper()
	cfg := mysql.Config{Shards: databases(t, shards)}
	s := open(t, cfg)
	return storetest.Harness{Store: s, Reopen: func(*testing.T) store.Store {
		shut(t, s)
		s = open(t, cfg)
		return s
	}}
}

func TestOneShard(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Harness { t.Helper(); return harness(t, 1) })
}

func TestThreeShards(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Harness { t.Helper(); return harness(t, 3) })
}
