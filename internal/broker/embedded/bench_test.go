package embedded_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/broker/embedded"
	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/task"
)

// BenchmarkPublishReadSettle is the whole life of messages in the broker: four
// publishers, a reader for each partition, 256-byte bodies, fsync before every
// confirm. One operation is one message.
func BenchmarkPublishReadSettle(b *testing.B) {
	for _, size := range []int{1, 64, 500} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) { publishReadSettle(b, size) })
	}
}

func publishReadSettle(b *testing.B, batchSize int) {
	const partitions, publishers, bodySize = 16, 4, 256
	db, err := kv.Open(kv.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	br, err := embedded.New(embedded.Config{DB: db})
	if err != nil {
		b.Fatal(err)
	}
	decl := broker.Declaration{Queue: "q", Partitions: partitions, DedupeWindow: 24 * time.Hour}
	if err := br.Declare(b.Context(), decl); err != nil {
		b.Fatal(err)
	}
	body := make([]byte, bodySize)
	for i := range body {
		body[i] = byte(i * 7)
	}
	ctx, cancel := context.WithCancel(b.Context())
	var settled atomic.Int64
	drained := make(chan struct{})
	var readers, writers sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for part := range partitions {
		r, err := br.Open(ctx, "q", part, 1)
		if err != nil {
			b.Fatal(err)
		}
		readers.Go(func() {
			var done []broker.Position
			for {
				ds, err := r.Next(ctx, broker.Limit{Tasks: 1024, Bytes: 1 << 20})
				if err != nil {
					return
				}
				done = done[:0]
				for i := range ds {
					done = append(done, ds[i].Position)
				}
				if err := r.Settle(ctx, done...); err != nil {
					b.Error(err)
				}
				if settled.Add(int64(len(ds))) >= int64(b.N) {
					close(drained)
				}
			}
		})
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	for range publishers {
		writers.Go(func() {
			batch := make([]broker.Message, batchSize)
			for {
				n := min(left.Add(-int64(batchSize))+int64(batchSize), int64(batchSize))
				if n <= 0 {
					return
				}
				for i := range n {
					id := task.NewID(time.Now())
					batch[i] = broker.Message{Queue: "q", Partition: int(id[15]) % partitions, ID: id, Fingerprint: 1, Body: body}
				}
				if err := br.Publish(ctx, batch[:n]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	<-drained
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
	cancel()
	readers.Wait()
	if err := br.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
}
