package embedded_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// marks makes n dedup rows as finished tasks leave them, with growing IDs.
func marks(first uint64, n int) []store.Row {
	created := task.TimestampAt(time.UnixMicro(1_700_000_000_000_000))
	rows := make([]store.Row, n)
	for i := range rows {
		r := &store.Dedup{
			State: task.StateDone, Fingerprint: 0x0123456789abcdef ^ first, Queue: "orders", Key: "sku-000042",
			CreatedAt: created, FinishedAt: created + 5_000<<12, Deliveries: 1, Worker: "worker-1", Result: []byte(`"accepted"`),
			Expires: created.Time().Add(24 * time.Hour),
		}
		binary.BigEndian.PutUint64(r.ID[:], first+uint64(i))
		rows[i] = r
	}
	return rows
}

// BenchmarkCommit commits 100 partitions with 20 marks each in one call, on the
// real disk, and reports rows per second.
func BenchmarkCommit(b *testing.B) {
	const parts, rowsPerBatch = 100, 20
	db, s := openStore(b, kv.Config{Dir: b.TempDir(), MemTableBytes: kv.DefaultMemTableBytes})
	batches := make([]store.Batch, parts)
	for part := range batches {
		fence, err := s.Claim(b.Context(), part, 0)
		if err != nil {
			b.Fatal(err)
		}
		batches[part] = store.Batch{Part: part, Next: fence, Puts: marks(0, rowsPerBatch)}
	}
	id := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		for i := range batches {
			batch := &batches[i]
			batch.Prev = batch.Next
			batch.Next.HLC++
			for _, r := range batch.Puts {
				id++
				binary.BigEndian.PutUint64(r.(*store.Dedup).ID[:], id)
			}
		}
		if err := s.Commit(b.Context(), batches); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*parts*rowsPerBatch/b.Elapsed().Seconds(), "rows/s")
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkGet looks up 5,000 neighbouring marks, half of which exist, as
// recovery does.
func BenchmarkGet(b *testing.B) {
	const keys = 5000
	db, s := openStore(b, kv.Config{Dir: b.TempDir(), MemTableBytes: kv.DefaultMemTableBytes})
	fence, err := s.Claim(b.Context(), 1, 0)
	if err != nil {
		b.Fatal(err)
	}
	for i := range 40 {
		next := fence
		next.HLC++
		rows := marks(uint64(i*2*keys), keys)
		for j, r := range rows {
			binary.BigEndian.PutUint64(r.(*store.Dedup).ID[:], uint64(i*2*keys+2*j))
		}
		if err := s.Commit(b.Context(), []store.Batch{{Part: 1, Prev: fence, Next: next, Puts: rows}}); err != nil {
			b.Fatal(err)
		}
		fence = next
	}
	wanted := marks(100_000, keys)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Get(b.Context(), 1, wanted); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*keys/b.Elapsed().Seconds(), "keys/s")
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
}
