package watch

import (
	"fmt"
	"testing"

	"github.com/fenfa/fenfa/internal/store"
)

// BenchmarkDurable is what a watch costs the commit of a partition: a batch of 100
// changes, without watches, and with some that keep up.
func BenchmarkDurable(b *testing.B) {
	for _, watches := range []int{0, 1, 100} {
		b.Run(fmt.Sprint(watches), func(b *testing.B) {
			r := newRig(b, Config{Partitions: 1})
			for range watches {
				r.open(Request{})
			}
			tail := r.hub.Tail(0)
			batch := store.Batch{Puts: make([]store.Row, 0, 200)}
			for range 100 {
				batch.Puts = append(batch.Puts, &store.OpLog{Key: "k", Name: "n", Value: make([]byte, 64)}, &store.Record{})
			}
			b.ReportAllocs()
			for b.Loop() {
				batch.Prev = batch.Next
				for _, row := range batch.Puts {
					if row, ok := row.(*store.OpLog); ok {
						batch.Next.Seq++
						row.Seq = batch.Next.Seq
					}
				}
				tail.Durable(&batch)
			}
		})
	}
}
