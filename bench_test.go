package fenfa

import (
	"context"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// yesNode confirms everything at once, and hands out the same tasks for ever: what
// a benchmark over it measures is the client and gRPC.
type yesNode struct {
	fenfav1.UnimplementedTaskServiceServer
	fenfav1.UnimplementedWorkerServiceServer
	ordered  bool
	batch    int
	leases   int
	left     atomic.Int64
	requests atomic.Int64
	finished chan struct{}
}

func (n *yesNode) serve(b *testing.B) (addr string) {
	b.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := grpc.NewServer(grpc.WriteBufferSize(ioBuffer), grpc.ReadBufferSize(ioBuffer), grpc.InitialWindowSize(streamWindow), grpc.InitialConnWindowSize(connWindow))
	fenfav1.RegisterTaskServiceServer(server, n)
	fenfav1.RegisterWorkerServiceServer(server, n)
	serving := make(chan struct{})
	go func() {
		defer close(serving)
		_ = server.Serve(listener)
	}()
	b.Cleanup(func() {
		server.Stop()
		<-serving
	})
	return listener.Addr().String()
}

// SubmitStream implements TaskService.
func (n *yesNode) SubmitStream(stream grpc.BidiStreamingServer[fenfav1.SubmitStreamRequest, fenfav1.SubmitStreamResponse]) error {
	for {
		req, err := stream.Recv()
		if err != nil {
			return err
		}
		n.requests.Add(1)
		if err := stream.Send(&fenfav1.SubmitStreamResponse{Sequence: req.GetSequence()}); err != nil {
			return err
		}
	}
}

// Work implements WorkerService.
func (n *yesNode) Work(stream grpc.BidiStreamingServer[fenfav1.WorkRequest, fenfav1.WorkResponse]) error {
	if _, err := stream.Recv(); err != nil {
		return err
	}
	out := &fenfav1.WorkResponse{Welcome: &fenfav1.Welcome{HeartbeatInterval: durationpb.New(time.Second)}}
	open := make(map[uint64]int)
	token, prefetched := uint64(0), 0 // What is granted is not taken back: benchmarks only ask for more.
	grant := func() {
		token++
		open[token] = n.batch
		lease := &fenfav1.Lease{
			Ref: &fenfav1.LeaseRef{Partition: 1, Epoch: 1, Token: token}, Queue: "q", Ordered: n.ordered, RecordsComplete: n.ordered, Timeout: durationpb.New(time.Minute),
		}
		for range n.batch {
			lease.Tasks = append(lease.Tasks, &fenfav1.Task{Id: "0190a5f2-7b1c-7d3e-8f4a-5b6c7d8e9f01", Queue: "q", Key: "k" + strconv.FormatUint(token, 10), Payload: make([]byte, 200)})
		}
		out.Leases = append(out.Leases, lease)
	}
	for range n.leases {
		grant()
	}
	for {
		if err := stream.Send(out); err != nil {
			return err
		}
		out = &fenfav1.WorkResponse{}
		req, err := stream.Recv()
		if err != nil {
			return err
		}
		n.requests.Add(1)
		if req.Prefetch != nil {
			for ; prefetched < int(req.GetPrefetch()); prefetched++ {
				grant()
			}
		}
		for _, o := range req.GetOutcomes() {
			count := len(o.GetOutcomes())
			out.Verdicts = append(out.Verdicts, &fenfav1.Verdict{Lease: o.GetLease(), First: o.GetFirst(), Count: uint32(count)})
			if open[o.GetLease().GetToken()] -= count; open[o.GetLease().GetToken()] == 0 {
				delete(open, o.GetLease().GetToken())
				grant()
			}
			if n.left.Add(-int64(count)) <= 0 {
				select {
				case n.finished <- struct{}{}:
				default:
				}
			}
		}
	}
}

func closeClient(b *testing.B, c *Client) {
	b.Helper()
	if err := c.Close(); err != nil {
		b.Error(err)
	}
}

func BenchmarkSubmit64(b *testing.B) {
	n := &yesNode{}
	c, err := Dial(n.serve(b))
	if err != nil {
		b.Fatal(err)
	}
	defer closeClient(b, c)
	payload := make([]byte, 200)
	b.ReportAllocs()
	var next atomic.Int64
	b.ResetTimer()
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for next.Add(1) <= int64(b.N) {
				if _, err := c.Submit(b.Context(), NewTask("q", payload, Key("some key"))); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
	b.ReportMetric(float64(b.N)/float64(n.requests.Load()), "tasks/batch")
}

func BenchmarkWorkerNoOp(b *testing.B) {
	for _, bench := range []struct {
		name          string
		ordered       bool
		batch, leases int
	}{
		{"ordered", true, 64, 16},
		{"single", true, 1, 256},
		{"unordered", false, 64, 8},
	} {
		b.Run(bench.name, func(b *testing.B) {
			n := &yesNode{ordered: bench.ordered, batch: bench.batch, leases: bench.leases, finished: make(chan struct{}, 1)}
			n.left.Store(int64(b.N))
			c, err := Dial(n.serve(b))
			if err != nil {
				b.Fatal(err)
			}
			w := c.Worker(Concurrency(512), DrainTimeout(0))
			w.Handle("q", func(context.Context, *Task) error { return nil })
			ctx, cancel := context.WithCancel(b.Context())
			done := make(chan error, 1)
			b.ReportAllocs()
			b.ResetTimer()
			go func() { done <- w.Run(ctx) }()
			<-n.finished
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
			b.ReportMetric(float64(b.N)/float64(n.requests.Load()), "outcomes/message")
			cancel()
			<-done //nolint:errcheck // Something is always leased.
			closeClient(b, c)
		})
	}
}

// BenchmarkWorkerShort is a worker of 50 slots with handlers of a millisecond. How busy
// its slots are is what prefetching is for.
func BenchmarkWorkerShort(b *testing.B) {
	const slots, service = 50, time.Millisecond
	for _, bench := range []struct {
		name string
		most int
	}{{"prefetch", slots}, {"none", 0}} {
		b.Run(bench.name, func(b *testing.B) {
			n := &yesNode{batch: 1, leases: slots, finished: make(chan struct{}, 1)}
			n.left.Store(int64(b.N))
			c, err := Dial(n.serve(b))
			if err != nil {
				b.Fatal(err)
			}
			var busy atomic.Int64
			w := c.Worker(Concurrency(slots), MaxPrefetch(bench.most), DrainTimeout(0))
			w.Handle("q", func(context.Context, *Task) error {
				began := time.Now()
				<-time.After(service)
				busy.Add(int64(time.Since(began)))
				return nil
			})
			ctx, cancel := context.WithCancel(b.Context())
			done := make(chan error, 1)
			b.ResetTimer()
			go func() { done <- w.Run(ctx) }()
			<-n.finished
			b.StopTimer()
			b.ReportMetric(float64(busy.Load())/float64(b.Elapsed().Nanoseconds())/slots, "busy")
			b.ReportMetric(float64(b.N)/float64(n.requests.Load()), "outcomes/message")
			cancel()
			<-done //nolint:errcheck // Something is always leased.
			closeClient(b, c)
		})
	}
}

// BenchmarkLeaseNoOp is the part between a lease that came and its outcomes that
// leave, without a wire.
func BenchmarkLeaseNoOp(b *testing.B) {
	for _, ordered := range []bool{true, false} {
		b.Run(map[bool]string{true: "ordered", false: "unordered"}[ordered], func(b *testing.B) {
			const batch = 64
			s := bareSession(b, 64, func(context.Context, *Task) error { return nil })
			wire := wireLease(1, ordered, batch)
			b.ReportAllocs()
			for b.Loop() {
				s.take([]*fenfav1.Lease{wire})
				for count := 0; count < batch; {
					<-s.wake
					for req := s.collect(); req != nil; req = s.collect() {
						for _, o := range req.GetOutcomes() {
							count += len(o.GetOutcomes())
						}
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/task")
		})
	}
}
