package dispatch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

// TestRandomHistoriesNeverLoseOrExceedASlot drives every operation at random
// from a seed and compares with a plain count of what is out, after each step.
func TestRandomHistoriesNeverLoseOrExceedASlot(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			m := newModel(t, seed)
			for range 1500 {
				m.step()
				m.compare()
				if t.Failed() {
					t.FailNow()
				}
			}
		})
	}
}

type model struct {
	*bench
	rng      *rand.Rand
	queues   []*task.Queue
	sessions map[uint64]*Session
	out      map[uint64]int // slots assigned and not released, by session
}

func newModel(t *testing.T, seed uint64) *model {
	t.Helper()
	m := &model{bench: newBench(t), rng: rand.New(rand.NewPCG(seed, 7)), sessions: map[uint64]*Session{}, out: map[uint64]int{}}
	for _, name := range []string{"a", "b", "c"} {
		m.queues = append(m.queues, settings(name))
	}
	return m
}

// any picks a session; the numbers are sorted so that a seed replays.
func (m *model) any() (uint64, *Session) {
	if len(m.sessions) == 0 {
		return 0, nil
	}
	numbers := slices.Sorted(maps.Keys(m.sessions))
	number := numbers[m.rng.IntN(len(numbers))]
	return number, m.sessions[number]
}

func (m *model) step() {
	number, s := m.any()
	switch n := m.rng.IntN(100); {
	case n < 45:
		q := m.queues[m.rng.IntN(len(m.queues))]
		w, slots, ok := m.Assign(m.rng.IntN(16), q, task.Placement{}, fmt.Sprint(m.rng.IntN(20)), 1+m.rng.IntN(5))
		if ok {
			m.out[w.Session] += slots
		}
	case n < 75:
		if out := m.out[number]; out > 0 {
			k := 1 + m.rng.IntN(out)
			m.Release(number, "q", partition.Use{Slots: k})
			m.out[number] -= k
		}
	case n < 80:
		id := fmt.Sprint("w", m.rng.IntN(6))
		fresh := m.worker(id, 1+m.rng.IntN(8), []string{"a", "b", "c"}[m.rng.IntN(3):]...)
		m.sessions[fresh.Ref().Session] = fresh
	case n < 90:
		m.clock.Advance(time.Duration(m.rng.IntN(800)) * time.Millisecond)
	case n < 92:
		q := *m.queues[m.rng.IntN(len(m.queues))]
		q.Balance.Policy = []string{task.BalanceConsistentHash, task.BalanceLeastInflight, task.BalanceRoundRobin}[m.rng.IntN(3)]
		q.Balance.Overflow = []string{"next", "wait"}[m.rng.IntN(2)]
		for i := range m.queues {
			if m.queues[i].Name == q.Name {
				m.queues[i] = &q
			}
		}
	case s == nil:
	case n < 93:
		s.Drain()
	case n < 94:
		s.Lost()
	case n < 95:
		s.Leave()
	default:
		s.Heard()
	}
	for _, c := range m.engine.take() {
		if c.what == "gone" {
			if _, ok := m.sessions[c.session]; !ok {
				m.t.Errorf("session %d ended twice", c.session)
			}
			delete(m.sessions, c.session)
			delete(m.out, c.session)
		}
	}
}

func (m *model) compare() {
	m.t.Helper()
	m.check()
	live := *m.live.Load()
	for number, s := range live {
		if _, ok := m.sessions[number]; !ok {
			m.t.Errorf("session %d is alive and should not be", number)
		}
		if s.worker.InFlight != m.out[number] {
			m.t.Errorf("session %d: %d in flight, the model says %d", number, s.worker.InFlight, m.out[number])
		}
	}
	if len(live) != len(m.sessions) {
		m.t.Errorf("%d sessions, the model says %d", len(live), len(m.sessions))
	}
}

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
		q := settings("q")
		for part := range parts {
			partitions.Go(func() {
				for n := 0; n < tasks; {
					w, slots, ok := d.Assign(part, q, task.Placement{}, "", 1)
					if !ok {
						<-e.wakes[part]
						continue
					}
					d.Send(w.Session, &task.Lease{LeaseRef: task.LeaseRef{Token: w.Session}, Tasks: make([]task.Leased, slots)})
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

// runWorker serves leases in sessions that end in every way there is.
func runWorker(ctx context.Context, d *Dispatcher, id string, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	for ctx.Err() == nil {
		s, err := d.Register(Hello{WorkerID: id, Queues: []string{"q"}, Slots: 2})
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

func (e *loopEngine) Outcomes(w partition.WorkerRef, _ task.LeaseRef, _ int, outcomes []task.Outcome) {
	e.d.Release(w.Session, "q", partition.Use{Slots: len(outcomes)})
}

func (e *loopEngine) Capacity(part int, _ string, _ task.Placement) {
	select {
	case e.wakes[part] <- struct{}{}:
	default:
	}
}

func (e *loopEngine) WorkerGone(session uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.gone[session] {
		panic("a session ended twice")
	}
	e.gone[session] = true
}
