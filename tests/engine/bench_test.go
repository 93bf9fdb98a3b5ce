package engine

import (
	"fmt"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	brokerembedded "github.com/fenfa/fenfa/internal/broker/embedded"
	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/partition"
	storeembedded "github.com/fenfa/fenfa/internal/store/embedded"
	"github.com/fenfa/fenfa/internal/task"
)

// worker is a dispatcher with one worker in the same process: it answers every
// lease at once.
type worker struct {
	engine *partition.Engine
	free   atomic.Int64
	leases chan *task.Lease
	done   atomic.Int64
	target int64
	ended  chan struct{}

	mu      sync.Mutex
	waiting map[waiting]struct{}
}

// waiting is a partition that found no room.
type waiting struct {
	part  int
	queue string
	place task.Placement
}

func (w *worker) Assign(part int, q *task.Queue, place task.Placement, _ string, want int) (partition.WorkerRef, int, bool) {
	if w.free.Load() <= 0 {
		w.mu.Lock()
		w.waiting[waiting{part, q.Name, place}] = struct{}{}
		w.mu.Unlock()
		return partition.WorkerRef{}, 0, false
	}
	w.free.Add(-int64(want))
	return partition.WorkerRef{Session: 1, ID: "w"}, want, true
}

func (w *worker) Stay(uint64, *task.Queue, task.Placement) bool {
	stays := w.free.Load() > 0
	if stays {
		w.free.Add(-1)
	}
	return stays
}

func (w *worker) HasRoom(*task.Queue, task.Placement) bool { return w.free.Load() > 0 }

func (w *worker) Release(_ uint64, _ string, use partition.Use) {
	w.free.Add(int64(use.Slots))
	w.mu.Lock()
	found := w.waiting
	if len(found) > 0 {
		w.waiting = make(map[waiting]struct{})
	}
	w.mu.Unlock()
	for x := range found {
		w.engine.Capacity(x.part, x.queue, x.place, 1)
	}
}

func (w *worker) Send(_ uint64, l *task.Lease) { w.leases <- l }

func (w *worker) Cancel(uint64, task.LeaseRef, int) {}

func (w *worker) Answer(_ uint64, v task.Verdict) {
	if v.Kind == task.VerdictCommitted && w.done.Add(int64(v.Count)) == w.target {
		close(w.ended)
	}
}

func (w *worker) run() {
	for l := range w.leases {
		w.engine.Outcomes(partition.WorkerRef{Session: 1, ID: "w"}, l.LeaseRef, 0, make([]task.Outcome, len(l.Tasks)))
	}
}

// BenchmarkDrain submits b.N tasks in batches of 500 from four producers, while a
// worker finishes them.
func BenchmarkDrain(b *testing.B) {
	drain(b, task.Queue{}, func(int) task.Task { return task.Task{} })
}

// BenchmarkDrainInClasses does the same with tasks that ask for labels, in turns.
func BenchmarkDrainInClasses(b *testing.B) {
	places := []task.Placement{{}, {Require: "gpu"}, {Require: "gpu,zone=a"}, {Prefer: "zone=b"}}
	drain(b, task.Queue{}, func(i int) task.Task { return task.Task{Placement: places[i%len(places)]} })
}

// BenchmarkDrainOfKeysWithoutOrder does the same with tasks of as many keys, with and
// without a limit for each.
func BenchmarkDrainOfKeysWithoutOrder(b *testing.B) {
	for _, limit := range []int{0, 1} {
		for name, keys := range map[string]int{"each its own": math.MaxInt, "100": 100} {
			b.Run(fmt.Sprintf("keys=%s/limit=%d", name, limit), func(b *testing.B) {
				drain(b, task.Queue{Order: task.OrderNone, KeyConcurrency: limit}, func(i int) task.Task {
					return task.Task{Key: "key-" + strconv.Itoa(i%keys)}
				})
			})
		}
	}
}

// drain drains a queue of tasks that are like those which like returns.
func drain(b *testing.B, settings task.Queue, like func(i int) task.Task) {
	b.Helper()
	db, err := kv.Open(kv.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	}()
	brk, err := brokerembedded.New(brokerembedded.Config{DB: db})
	if err != nil {
		b.Fatal(err)
	}
	st, err := storeembedded.New(storeembedded.Config{DB: db})
	if err != nil {
		b.Fatal(err)
	}
	w := &worker{leases: make(chan *task.Lease, 1<<16), target: int64(b.N), ended: make(chan struct{}), waiting: make(map[waiting]struct{})}
	w.free.Store(4096)
	e, err := partition.New(partition.Config{Broker: brk, Store: st, Dispatch: w, Node: "n"})
	if err != nil {
		b.Fatal(err)
	}
	w.engine = e
	if err := e.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	settings.Name = "orders"
	if _, _, err := e.ConfigureQueue(b.Context(), settings); err != nil {
		b.Fatal(err)
	}
	go w.run()
	b.ReportAllocs()
	b.ResetTimer()
	var group sync.WaitGroup
	var next atomic.Int64
	for range 4 {
		group.Go(func() {
			for {
				first := next.Add(500) - 500
				n := min(500, int64(b.N)-first)
				if n <= 0 {
					return
				}
				tasks := make([]task.Task, n)
				for i := range tasks {
					tasks[i] = like(int(first) + i)
					tasks[i].ID, tasks[i].Queue, tasks[i].Payload = task.NewID(time.Now()), settings.Name, make([]byte, 256)
				}
				for i, r := range e.Submit(b.Context(), tasks) {
					if r.Err != nil {
						panic(fmt.Sprint(i, r.Err))
					}
				}
			}
		})
	}
	group.Wait()
	<-w.ended
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
	if err := e.Drain(b.Context()); err != nil {
		b.Fatal(err)
	}
}
