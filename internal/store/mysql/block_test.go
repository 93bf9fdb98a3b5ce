package mysql_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	driverpkg "github.com/go-sql-driver/mysql"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/mysql"
	"github.com/fenfa/fenfa/internal/task"
)

// manyRows are n marks whose values are as odd as they may be.
func manyRows(first, n int) []store.Row {
	rows := make([]store.Row, n)
	for i := range rows {
		d := &store.Dedup{
			ID: task.DeriveID("mark", fmt.Sprint(first+i)), State: task.StateDone, Queue: "q", Key: "k\xff\x00'\\\u00e9", Worker: "w\u00e9",
			CreatedAt: 1, Deliveries: i, Error: "\xfe\xff",
		}
		switch i % 3 {
		case 1:
			d.Result = bytes.Repeat([]byte{0, 0xff, '\'', '\\', 0x80}, 1+i)
		case 2:
			d.Result, d.Fingerprint = []byte("r"), 1<<63+uint64(i)
		}
		if i == n/2 {
			d.Result = bytes.Repeat([]byte("long"), 64<<10)
		}
		rows[i] = d
	}
	return rows
}

// wantRows holds that the store has exactly these rows.
func wantRows(t *testing.T, s *mysql.Store, rows []store.Row) {
	t.Helper()
	found, err := s.Get(t.Context(), 0, rows)
	if err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		if got := found[i].(*store.Dedup); got == nil || fmt.Sprint(*got) != fmt.Sprint(*rows[i].(*store.Dedup)) {
			t.Fatalf("row %d is %.200v, want %.200v", i, got, rows[i])
		}
	}
}

// inserts counts the statements that insert marks, by their number of rows.
func inserts(sent []string) map[int]int {
	counts := map[int]int{}
	for _, text := range sent {
		if strings.HasPrefix(text, "EXECUTE INSERT INTO dedup") || strings.HasPrefix(text, "INSERT INTO dedup") {
			counts[strings.Count(text, "(?")]++
		}
	}
	return counts
}

func TestManyRowsGoOutInPreparedBlocks(t *testing.T) {
	var sent recorder
	s := open(t, mysql.Config{Shards: databases(t, 1), Observe: sent.observe})
	fence := claim(t, s, 0)
	for round := range 2 { // the second time they are there, and change
		sent.take()
		rows := manyRows(0, 600)
		for _, row := range rows {
			row.(*store.Dedup).Attempts = round
		}
		b := after(0, fence, rows...)
		if err := s.Commit(t.Context(), []store.Batch{b}); err != nil {
			t.Fatal(err)
		}
		fence = b.Next
		wantRows(t, s, rows)
		if got := inserts(sent.take()); got[256] != 2 || got[88] != 1 || len(got) != 2 {
			t.Errorf("round %d: inserts by their rows %v, want two of 256 and one of 88", round, got)
		}
	}
}

// TestRowsAreWrittenWithoutPreparedStatements has a server, or a proxy before it, that
// takes none, or forgets them.
func TestRowsAreWrittenWithoutPreparedStatements(t *testing.T) {
	for name, at := range map[string]struct {
		number uint16
		prefix string
	}{
		"too many are there":         {1461, "PREPARE "},
		"it cannot prepare":          {1295, "PREPARE "},
		"it forgot them":             {1243, "EXECUTE "},
		"they must be prepared anew": {1615, "EXECUTE "},
	} {
		t.Run(name, func(t *testing.T) {
			refused := 0
			proxy := &tap{before: func(text string) error {
				if !strings.HasPrefix(text, at.prefix) {
					return nil
				}
				refused++
				return &driverpkg.MySQLError{Number: at.number, Message: "no"}
			}}
			s := open(t, mysql.Config{Shards: databases(t, 1), Observe: proxy.observe})
			fence := claim(t, s, 0)
			for range 2 {
				rows := manyRows(0, 300)
				b := after(0, fence, rows...)
				if err := s.Commit(t.Context(), []store.Batch{b}); err != nil {
					t.Fatal(err)
				}
				fence = b.Next
				wantRows(t, s, rows)
			}
			if refused != 1 {
				t.Errorf("it was tried %d times, want once", refused)
			}
		})
	}
}
