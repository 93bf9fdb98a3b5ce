package embedded_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/broker/embedded"
	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/task"
)

const benchPartitions, benchPublishers = 16, 4

var benchBacklog = flag.Int("bench.backlog", 200_000, "messages of BenchmarkBacklog")

// bench is a broker on a real disk.
type bench struct {
	*testing.B
	dir    string
	db     *kv.DB
	broker *embedded.Broker
}

func newBench(b *testing.B) *bench {
	b.Helper()
	be := &bench{B: b, dir: b.TempDir()}
	be.open()
	decl := broker.Declaration{Queue: "q", Partitions: benchPartitions, DedupeWindow: 24 * time.Hour}
	if err := be.broker.Declare(b.Context(), decl); err != nil {
		b.Fatal(err)
	}
	return be
}

func (b *bench) open() {
	var err error
	if b.db, err = kv.Open(kv.Config{Dir: b.dir}); err != nil {
		b.Fatal(err)
	}
	if b.broker, err = embedded.New(embedded.Config{DB: b.db}); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) close() {
	if err := b.broker.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
	if err := b.db.Close(); err != nil {
		b.Fatal(err)
	}
}

// publish publishes n messages of 256 bytes from all publishers.
func (b *bench) publish(n, batchSize int) {
	body := make([]byte, 256)
	for i := range body {
		body[i] = byte(i * i >> 2)
	}
	var left atomic.Int64
	left.Store(int64(n))
	var publishers sync.WaitGroup
	for range benchPublishers {
		publishers.Go(func() {
			batch := make([]broker.Message, batchSize)
			for {
				size := min(left.Add(-int64(batchSize))+int64(batchSize), int64(batchSize))
				if size <= 0 {
					return
				}
				for i := range size {
					id := task.NewID(time.Now())
					batch[i] = broker.Message{Queue: "q", Partition: int(id[15]) % benchPartitions, ID: id, Fingerprint: 1, Body: body}
				}
				if err := b.broker.Publish(b.Context(), batch[:size]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	publishers.Wait()
}

// drain starts a reader for each partition that settles everything; the returned
// function waits until n messages are settled.
func (b *bench) drain(n int) (wait func()) {
	ctx, cancel := context.WithCancel(b.Context())
	var settled atomic.Int64
	drained := make(chan struct{})
	var readers sync.WaitGroup
	for part := range benchPartitions {
		r, err := b.broker.Open(ctx, "q", part, 1)
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
				if settled.Add(int64(len(ds))) == int64(n) {
					close(drained)
				}
			}
		})
	}
	return func() {
		<-drained
		cancel()
		readers.Wait()
	}
}

func residentMiB() float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(text), "VmRSS:")
	var kib float64
	_, _ = fmt.Sscan(after, &kib)
	return kib / 1024
}

// BenchmarkPublishReadSettle is the whole life of messages in the broker: four
// publishers, a reader for each partition, 256-byte bodies, fsync before every
// confirm. One operation is one message.
func BenchmarkPublishReadSettle(b *testing.B) {
	for _, size := range []int{1, 64, 500} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			be := newBench(b)
			defer be.close()
			b.ReportAllocs()
			b.ResetTimer()
			wait := be.drain(b.N)
			be.publish(b.N, size)
			wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
			b.StopTimer()
		})
	}
}

// BenchmarkBacklog fills a backlog without readers, opens the broker again with
// all of it there, and drains it.
func BenchmarkBacklog(b *testing.B) {
	n := *benchBacklog
	for range b.N {
		be := newBench(b)
		at := time.Now()
		rate := func(name string) {
			b.ReportMetric(float64(n)/time.Since(at).Seconds(), name)
			at = time.Now()
		}
		be.publish(n, 500)
		rate("fill/s")
		b.ReportMetric(residentMiB(), "full-MiB")
		be.close()
		at = time.Now()
		be.open()
		b.ReportMetric(time.Since(at).Seconds(), "restart-s")
		at = time.Now()
		be.drain(n)()
		rate("drain/s")
		b.ReportMetric(residentMiB(), "drained-MiB")
		be.close()
	}
}
