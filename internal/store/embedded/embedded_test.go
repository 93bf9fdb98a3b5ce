package embedded_test

import (
	"context"
	"testing"

	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/embedded"
	"github.com/fenfa/fenfa/internal/store/storetest"
)

func openStore(tb testing.TB, cfg kv.Config) (*kv.DB, *embedded.Store) {
	tb.Helper()
	if cfg.MemTableBytes == 0 {
		cfg.MemTableBytes = 4 << 20
	}
	cfg.CacheBytes = 4 << 20
	db, err := kv.Open(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	s, err := embedded.New(embedded.Config{DB: db})
	if err != nil {
		tb.Fatal(err)
	}
	return db, s
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		t.Helper()
		cfg := kv.Config{Dir: t.TempDir()}
		db, s := openStore(t, cfg)
		t.Cleanup(func() {
			if err := db.Close(); err != nil {
				t.Errorf("close engine: %v", err)
			}
		})
		return storetest.Harness{Store: s, Reopen: func(t *testing.T) store.Store {
			t.Helper()
			if err := s.Close(context.WithoutCancel(t.Context())); err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			db, s = openStore(t, cfg)
			return s
		}}
	})
}
