package indexed_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/broker/indexed"
	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/task"
)

// swift is a broker that takes everything at once and keeps nothing.
type swift struct{ *forgetful }

func (swift) Publish(context.Context, []broker.Message) error { return nil }

// BenchmarkPublish measures what the index adds to a publish, for each message.
func BenchmarkPublish(b *testing.B) {
	for _, size := range []int{1, 256} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			db, err := kv.Open(kv.Config{Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			index, err := indexed.New(indexed.Config{Broker: swift{newForgetful()}, DB: db})
			if err != nil {
				b.Fatal(err)
			}
			if err := index.Declare(b.Context(), broker.Declaration{Queue: "q", Partitions: 16, DedupeWindow: time.Hour}); err != nil {
				b.Fatal(err)
			}
			batch := make([]broker.Message, size)
			b.ReportAllocs()
			for b.Loop() {
				for i := range batch {
					batch[i] = broker.Message{Queue: "q", Partition: i % 16, ID: task.NewID(time.Now()), Fingerprint: uint64(i)}
				}
				if err := index.Publish(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/message")
			if err := index.Close(b.Context()); err != nil {
				b.Fatal(err)
			}
			if err := db.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
