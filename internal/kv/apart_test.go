package kv_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/fenfa/fenfa/internal/kv"
)

// spread is rows of one table in no order of keys, with values that do not compress.
type spread struct {
	table byte
	rng   *rand.Rand
	rows  map[string][]byte
}

func newSpread(table byte) *spread {
	return &spread{table: table, rng: rand.New(rand.NewPCG(1, uint64(table))), rows: map[string][]byte{}}
}

// write adds rows, a batch of them at a time.
func (s *spread) write(t *testing.T, db *kv.DB, n int) {
	t.Helper()
	for n > 0 {
		b := db.NewBatch()
		for range min(n, 100) {
			key := binary.BigEndian.AppendUint64([]byte{kv.SpaceStoreTable, s.table}, s.rng.Uint64())
			value := make([]byte, 32+8*s.rng.IntN(50))
			for i := 0; i < len(value); i += 8 {
				binary.LittleEndian.PutUint64(value[i:], s.rng.Uint64())
			}
			s.rows[string(key)] = value
			b.Set(key, value)
		}
		n -= 100
		if err := db.CommitWait(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
}

// want holds that the table has exactly these rows.
func (s *spread) want(t *testing.T, db *kv.DB) {
	t.Helper()
	prefix := []byte{kv.SpaceStoreTable, s.table}
	it, err := db.Iter(prefix, kv.PrefixEnd(prefix))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for ok := it.First(); ok; ok = it.Next() {
		seen++
		if !bytes.Equal(it.Value(), s.rows[string(it.Key())]) {
			t.Fatalf("table %d: row %x has another value", s.table, it.Key())
		}
	}
	if err := it.Close(); err != nil || seen != len(s.rows) {
		t.Fatalf("table %d: %d rows, want %d: %v", s.table, seen, len(s.rows), err)
	}
	for key, value := range s.rows {
		if got, ok, err := db.Get([]byte(key)); err != nil || !ok || !bytes.Equal(got, value) {
			t.Fatalf("table %d: row %x is %x, %v, %v", s.table, key, got, ok, err)
		}
		if seen--; seen < len(s.rows)-100 {
			break
		}
	}
}

// remove deletes all rows but every n-th.
func (s *spread) remove(t *testing.T, db *kv.DB, n int) {
	t.Helper()
	b, i := db.NewBatch(), 0
	for key := range s.rows {
		if i++; i%n != 0 {
			b.Delete([]byte(key))
			delete(s.rows, key)
		}
	}
	if err := db.CommitWait(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

// apartFiles is how many files of values there are, and their size.
func apartFiles(t *testing.T, fs vfs.FS) (files int, size int64) {
	t.Helper()
	names, err := fs.List("data")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".blob") {
			info, err := fs.Stat(fs.PathJoin("data", name))
			if err != nil {
				t.Fatal(err)
			}
			files++
			size += info.Size()
		}
	}
	return files, size
}

// TestValuesOfTheScheduleAreApartAndComeBack writes many times what memory holds of the
// schedule and of another table, removes most of it, and opens it again in between.
func TestValuesOfTheScheduleAreApartAndComeBack(t *testing.T) {
	for _, table := range []byte{4, 5} {
		t.Run(fmt.Sprint("table ", table), func(t *testing.T) {
			fs := vfs.NewMem()
			s, other := newSpread(table), newSpread(2)
			for range 3 {
				db := open(t, small(fs))
				s.write(t, db, 2500)
				other.write(t, db, 500)
				s.want(t, db)
				s.remove(t, db, 3)
				s.want(t, db)
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
			}
			db := open(t, small(fs))
			s.want(t, db)
			other.want(t, db)
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			if n, size := apartFiles(t, fs); (n > 0) != (table == 5) {
				t.Errorf("%d files with %d bytes of values", n, size)
			}
		})
	}
}

// TestACheckpointHasTheValuesThatAreApart opens the copy of a database.
func TestACheckpointHasTheValuesThatAreApart(t *testing.T) {
	fs := vfs.NewMem()
	db := open(t, small(fs))
	s := newSpread(5)
	s.write(t, db, 2500)
	if err := db.Checkpoint("copy"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	cfg := small(fs)
	cfg.Dir = "copy"
	copied := open(t, cfg)
	s.want(t, copied)
	if err := copied.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestADamagedValueIsNoOtherValue flips a byte in each file of values.
func TestADamagedValueIsNoOtherValue(t *testing.T) {
	fs := vfs.NewMem()
	db := open(t, small(fs))
	s := newSpread(5)
	s.write(t, db, 2500)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := fs.List("data")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".blob") {
			damage(t, fs, fs.PathJoin("data", name))
		}
	}
	db = open(t, small(fs))
	it, err := db.Iter([]byte{kv.SpaceStoreTable, 5}, []byte{kv.SpaceStoreTable, 6})
	if err != nil {
		t.Fatal(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		if value := it.Value(); it.Error() == nil && !bytes.Equal(value, s.rows[string(it.Key())]) {
			t.Fatalf("row %x has another value, and no error", it.Key())
		}
	}
	if err := it.Close(); err == nil {
		t.Error("no damage was found")
	}
	if err := db.Close(); err != nil {
		t.Log(err)
	}
}

// damage flips a byte in the middle of a file.
func damage(t *testing.T, fs vfs.FS, path string) {
	t.Helper()
	f, err := fs.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(f)
	if err != nil || f.Close() != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 0x10
	w, err := fs.Create(path, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}
