package mysql_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/mysql"
)

// BenchmarkMove moves a partition of 100,000 records to another shard while its owner
// commits, and reports how long nobody could.
func BenchmarkMove(b *testing.B) {
	const records, each = 100_000, 5000
	s := open(b, mysql.Config{Shards: databases(b, 2)})
	fence := claim(b, s, 0)
	for first := 0; first < records; first += each {
		var rows []store.Row
		for i := range each {
			rows = append(rows, &store.Record{Key: fmt.Sprintf("key-%06d", first+i), Name: "stock", Version: 1, Value: make([]byte, 100)})
		}
		batch := after(0, fence, rows...)
		batch.Next.Seq--
		if err := s.Commit(b.Context(), []store.Batch{batch}); err != nil {
			b.Fatal(err)
		}
		fence = batch.Next
	}
	var paused time.Duration
	for n := 0; b.Loop(); n++ {
		c := &counter{s: s, part: 0}
		if err := c.claim(b.Context()); err != nil {
			b.Fatal(err)
		}
		if _, err := s.BeginMove(b.Context(), 0, 1-n%2); err != nil {
			b.Fatal(err)
		}
		fenced := make(chan struct{})
		go func() {
			defer close(fenced)
			for err := error(nil); err == nil; {
				err = c.step(b.Context())
			}
		}()
		var begin time.Time
		err := s.Move(b.Context(), 0, store.MoveHooks{Freeze: func(context.Context) (func(), error) {
			begin = time.Now()
			return func() { paused += time.Since(begin) }, nil
		}})
		if err != nil {
			b.Fatal(err)
		}
		<-fenced
	}
	b.ReportMetric(float64(paused.Milliseconds())/float64(b.N), "pause-ms/op")
}
