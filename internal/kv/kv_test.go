package kv

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func openMem(t *testing.T) *DB {
	t.Helper()
	db, err := Open(Config{Dir: "data", FS: vfs.NewMem(), MemTableBytes: 1 << 20, CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func TestCommittedValuesAreReadBack(t *testing.T) {
	db := openMem(t)
	for i := range 100 {
		b := db.NewBatch()
		b.Set(fmt.Appendf(nil, "k%03d", i), fmt.Appendf(nil, "v%d", i))
		if err := db.CommitWait(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	v, ok, err := db.Get([]byte("k042"))
	if err != nil || !ok || string(v) != "v42" {
		t.Fatalf("got %q %v %v", v, ok, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := db.Get([]byte("k042")); err == nil {
		t.Fatal("read after close")
	}
}
