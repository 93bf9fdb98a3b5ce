package dispatch

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

// TestConcurrentUseKeepsEverySlot runs partitions, workers that come, go and are
// replaced, and the detector at the same time; at the end every slot of the
// sessions that live is free and every task was handed out.
func TestConcurrentUseKeepsEverySlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const parts, tasks = 4, 300
		e := &loopEngine{wakes: make([]chan struct{}, parts), gone: map[uint64]bool{}}
		for i := range e.wakes {
			e.wakes[i] = make(chan struct{}, 1)
		}
		d, err := New(Config{MaxBuffered: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		e.d = d
		d.Start(e)
		ctx, cancel := context.WithCancel(t.Context())
		var workers, partitions sync.WaitGroup
		for i := range 3 {
			workers.Go(func() { runWorker(ctx, d, fmt.Sprint("w", i), uint64(i)) })
		}
		workers.Go(func() { steerAll(ctx, d) })
		places := []task.Placement{{}, {Require: "zone=1"}, {Prefer: "zone=2"}}
		for part := range parts {
			q := settings([]string{"q", "r"}[part%2])
			partitions.Go(func() {
				for n := 0; n < tasks; {
					q.Balance.Policy = task.BalancePolicies()[n/50%6]
					w, slots, ok := d.Assign(part, q, places[part%3], strconv.Itoa(n), 1)
					if !ok {
						<-e.wakes[part]
						continue
					}
					d.Send(w.Session, &task.Lease{Queue: q.Name, LeaseRef: task.LeaseRef{Partition: part, Token: w.Session}, Tasks: make([]task.Leased, slots)})
					n++
				}
			})
		}
		partitions.Wait()
		cancel()
		workers.Wait()
		for _, s := range *d.live.Load() {
			s.Leave()
		}
		if err := d.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if len(*d.live.Load()) != 0 {
			t.Error("sessions are left")
		}
	})
}

// steerAll changes what is set of workers until the end.
func steerAll(ctx context.Context, d *Dispatcher) {
	rng := rand.New(rand.NewPCG(9, 9))
	ticker := time.NewTicker(37 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		for _, w := range d.Workers() {
			steer := []func() (Worker, error){
				func() (Worker, error) { return d.SetWeight(w.ID, float64(1+rng.IntN(5))) },
				func() (Worker, error) { return d.SetQuiet(w.ID, true) },
				func() (Worker, error) { return d.SetQuiet(w.ID, false) },
				func() (Worker, error) { return d.SetQuiet(w.ID, false) },
				func() (Worker, error) { return d.DrainWorker(w.ID) },
			}[rng.IntN(5)]
			if _, err := steer(); err != nil && task.CodeOf(err) != task.CodeNotFound {
				panic(err)
			}
		}
	}
}

// runWorker serves leases in sessions that end in every way there is.
func runWorker(ctx context.Context, d *Dispatcher, id string, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	for ctx.Err() == nil {
		s, err := d.Register(Hello{WorkerID: id, Queues: []string{"q", "r"}, Slots: 2, Labels: map[string]string{"zone": strconv.FormatUint(seed, 10)}})
		if err != nil {
			return
		}
		var b Batch
		for n := rng.IntN(20); n > 0; n-- {
			if err := s.Next(ctx, &b); err != nil {
				if !errors.Is(err, ErrSilent) && !errors.Is(err, context.Canceled) {
					panic(err)
				}
				break
			}
			s.Heard()
			s.Prefetch(rng.IntN(3))
			if b.Drain {
				break
			}
			<-time.After(time.Duration(rng.IntN(10)) * time.Millisecond) // It works.
			for _, l := range b.Leases {
				s.Outcomes(l.LeaseRef, 0, make([]task.Outcome, len(l.Tasks)))
			}
		}
		switch rng.IntN(3) {
		case 0:
			s.Leave()
		case 1:
			s.Lost()
		}
	}
}

// loopEngine releases the slots of outcomes, as a partition does.
type loopEngine struct {
	d     *Dispatcher
	wakes []chan struct{}
	mu    sync.Mutex
	gone  map[uint64]bool
}

func (e *loopEngine) Outcomes(w partition.WorkerRef, ref task.LeaseRef, _ int, outcomes []task.Outcome) {
	queue := []string{"q", "r"}[ref.Partition%2]
	e.d.Release(w.Session, queue, partition.Use{Slots: len(outcomes), Tasks: len(outcomes), Failed: ref.Partition % 2, Took: time.Millisecond})
}

func (e *loopEngine) Capacity(part int, _ string, _ task.Placement, _ uint64) {
	select {
	case e.wakes[part] <- struct{}{}:
	default:
	}
}

func (e *loopEngine) WorkerGone(session uint64, _ bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.gone[session] {
		panic("a session ended twice")
	}
	e.gone[session] = true
}
