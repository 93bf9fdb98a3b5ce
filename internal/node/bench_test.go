package node

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/config"
	"github.com/fenfa/fenfa/internal/task"
)

// BenchmarkDrain submits on two streams and finishes on two others, all in this
// process; one iteration is one task. It is for profiles: fenfa bench measures.
func BenchmarkDrain(b *testing.B) {
	const streams, each, keys = 2, 256, 10_000
	opts := options(b)
	opts.Config.Partitions, opts.Config.Storage = 16, config.Default().Storage
	n, err := Open(b.Context(), opts)
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := n.Close(b.Context()); err != nil {
			b.Error(err)
		}
	}()
	var all sync.WaitGroup
	per := max(1, b.N/streams)
	finished := make(chan int, 1024)
	conn := dial(b, n)
	if _, err := fenfav1.NewQueueServiceClient(conn).Configure(b.Context(), &fenfav1.ConfigureQueueRequest{Queue: &fenfav1.Queue{Name: "orders"}}); err != nil {
		b.Fatal(err)
	}
	for i := range streams {
		stream, err := fenfav1.NewWorkerServiceClient(dial(b, n)).Work(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if err := stream.Send(&fenfav1.WorkRequest{Hello: &fenfav1.Hello{WorkerId: string(rune('a' + i)), Queues: []string{"orders"}, Slots: 4096}}); err != nil {
			b.Fatal(err)
		}
		go work(stream, finished)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range streams {
		stream, err := fenfav1.NewTaskServiceClient(dial(b, n)).SubmitStream(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		ahead := make(chan struct{}, 16)
		all.Go(func() {
			payload, rng := make([]byte, 256), rand.New(rand.NewPCG(uint64(i), 1))
			for sent := 0; sent < per; {
				req := &fenfav1.SubmitStreamRequest{}
				for ; len(req.GetTasks()) < each && sent < per; sent++ {
					id, key := task.NewID(time.Now()).String(), "sku-"+strconv.Itoa(rng.IntN(keys))
					req.Tasks = append(req.Tasks, &fenfav1.Task{Id: id, Queue: "orders", Key: key, Payload: payload})
				}
				ahead <- struct{}{}
				if err := stream.Send(req); err != nil {
					b.Error(err)
					return
				}
			}
			if err := stream.CloseSend(); err != nil {
				b.Error(err)
			}
		})
		all.Go(func() {
			for {
				if _, err := stream.Recv(); err != nil {
					return
				}
				<-ahead
			}
		})
	}
	for left := per * streams; left > 0; {
		left -= <-finished
	}
	all.Wait()
	b.StopTimer()
	b.ReportMetric(float64(per*streams)/b.Elapsed().Seconds(), "tasks/s")
}

func dial(b *testing.B, n *Node) *grpc.ClientConn {
	b.Helper()
	conn, err := grpc.NewClient(n.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithInitialWindowSize(4<<20), grpc.WithInitialConnWindowSize(16<<20))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	return conn
}

// work finishes everything at once, and counts what is committed.
func work(stream fenfav1.WorkerService_WorkClient, finished chan<- int) {
	nothing := &fenfav1.Outcome{}
	for {
		resp, err := stream.Recv()
		if err != nil {
			return
		}
		req := &fenfav1.WorkRequest{}
		for _, l := range resp.GetLeases() {
			answer := &fenfav1.LeaseOutcomes{Lease: l.GetRef()}
			for range l.GetTasks() {
				answer.Outcomes = append(answer.Outcomes, nothing)
			}
			req.Outcomes = append(req.Outcomes, answer)
		}
		if len(req.GetOutcomes()) > 0 && stream.Send(req) != nil {
			return
		}
		committed := 0
		for _, v := range resp.GetVerdicts() {
			committed += int(v.GetCount())
		}
		if committed > 0 {
			finished <- committed
		}
	}
}
