package embedded_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/broker/embedded"
	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/task"
)

// known is what the model remembers of an accepted id.
type known struct {
	fingerprint uint64
	at          time.Time
	settled     bool
}

// TestAnswersAreThoseOfANaiveModel publishes ids of all kinds, new ones, repeated ones and
// changed ones, in calls of any size, settles, restarts, lets time pass and
// sweeps, and compares every single answer with a map.
func TestAnswersAreThoseOfANaiveModel(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { runModel(t, seed) })
	}
}

const modelWindow = time.Hour

type model struct {
	*fixture
	rng     *rand.Rand
	known   map[task.ID]*known
	ids     []task.ID
	reader  broker.Reader
	pending []broker.Delivery
}

func runModel(t *testing.T, seed uint64) {
	t.Helper()
	m := &model{
		fixture: newFixture(t, embedded.Config{RecentIDs: 24, Reservation: 20}),
		rng:     rand.New(rand.NewPCG(seed, 77)),
		known:   map[task.ID]*known{},
	}
	m.declare("q", modelWindow)
	for range 400 {
		switch m.rng.IntN(12) {
		case 0:
			m.clock.advance(time.Duration(m.rng.IntN(20)) * time.Minute)
		case 1:
			m.sweep()
		case 2:
			if m.rng.IntN(3) == 0 {
				m.reopen()
				m.reader, m.pending = nil, nil
			}
		case 3, 4, 5:
			m.settleSome()
		default:
			m.publishSome()
		}
	}
	m.checkBacklog()
}

// id is a new or a known one, of any kind.
func (m *model) id() task.ID {
	now := m.clock.Now()
	switch m.rng.IntN(6) {
	case 0:
		return task.DeriveID(fmt.Sprint(m.rng.Uint64()))
	case 1:
		return task.NewID(now.Add(-time.Duration(m.rng.IntN(10_000)) * time.Second))
	case 2:
		return task.NewID(now.Add(time.Duration(m.rng.IntN(3000)) * time.Second))
	case 3, 4:
		if len(m.ids) > 0 {
			return m.ids[m.rng.IntN(len(m.ids))]
		}
	}
	return task.NewID(now)
}

// want is the model's answer, and what it remembers from now on.
func (m *model) want(id task.ID, fingerprint uint64) error {
	now := m.clock.Now()
	k := m.known[id]
	if k == nil || k.settled && now.Sub(k.at) >= modelWindow {
		if k == nil {
			m.ids = append(m.ids, id)
		}
		m.known[id] = &known{fingerprint: fingerprint, at: now}
		return nil
	}
	if k.fingerprint == fingerprint {
		return broker.ErrDuplicate
	}
	return broker.ErrMismatch
}

func (m *model) publishSome() {
	m.Helper()
	batch := make([]broker.Message, 1+m.rng.IntN(12))
	want := make([]error, len(batch))
	for i := range batch {
		batch[i] = broker.Message{Queue: "q", ID: m.id(), Fingerprint: uint64(m.rng.IntN(10) / 9), Body: make([]byte, m.rng.IntN(300))}
		want[i] = m.want(batch[i].ID, batch[i].Fingerprint)
	}
	err := m.b.Publish(m.Context(), batch)
	failed := &broker.PublishError{}
	if err != nil && !errors.As(err, &failed) {
		m.Fatal(err)
	}
	for i := range batch {
		if got := failed.Failed[i]; !errors.Is(got, want[i]) || (got == nil) != (want[i] == nil) {
			m.Fatalf("task %s: got %v, want %v", batch[i].ID, got, want[i])
		}
	}
}

func (m *model) open() int {
	n := 0
	for _, k := range m.known {
		if !k.settled {
			n++
		}
	}
	return n
}

func (m *model) settleSome() {
	m.Helper()
	if m.open() == 0 {
		return
	}
	if m.reader == nil || m.rng.IntN(10) == 0 {
		m.reader, m.pending = m.read(1)
	} else if len(m.pending) < m.open() {
		ds, err := m.reader.Next(m.Context(), broker.Limit{Tasks: 1 + m.rng.IntN(30)})
		if err != nil {
			m.Fatal(err)
		}
		m.pending = append(m.pending, ds...)
	}
	m.rng.Shuffle(len(m.pending), func(i, j int) { m.pending[i], m.pending[j] = m.pending[j], m.pending[i] })
	n := m.rng.IntN(len(m.pending) + 1)
	m.settle(m.reader, m.pending[:n])
	for _, d := range m.pending[:n] {
		if k := m.known[d.ID]; k.settled {
			m.Fatalf("task %s came again after it was settled", d.ID)
		} else {
			k.settled = true
		}
	}
	m.pending = m.pending[n:]
}

func (m *model) checkBacklog() {
	m.Helper()
	backlog, err := m.b.Backlog(m.Context(), "q")
	if err != nil || int(backlog.Tasks) != m.open() {
		m.Fatalf("the backlog is %+v, %v; want %d tasks", backlog, err, m.open())
	}
	_, ds := m.read(m.open())
	for _, d := range ds {
		if k := m.known[d.ID]; k == nil || k.settled {
			m.Errorf("task %s is there", d.ID)
		}
	}
}

// TestSweepingNeverForgetsWhatIsBeingPublished publishes ids where the sweeper
// deletes, at the same time.
func TestSweepingNeverForgetsWhatIsBeingPublished(t *testing.T) {
	f := newFixture(t, embedded.Config{RecentIDs: 64})
	f.declare("q", time.Minute)
	at := f.clock.Now()
	f.clock.advance(time.Hour)
	var batch []broker.Message
	for i := range 3000 {
		m := broker.Message{Queue: "q", ID: task.NewID(at.Add(time.Duration(i) * time.Millisecond))}
		if i%10 == 0 {
			m.ID = task.DeriveID(fmt.Sprint(i))
		}
		batch = append(batch, m)
	}
	for round := range 4 {
		if err := f.b.Publish(t.Context(), batch[:2500]); err != nil {
			t.Fatal(err)
		}
		r, ds := f.read(2500)
		f.settle(r, ds)
		f.clock.advance(2 * time.Minute)
		// All of these are expired now. Some are published again, with new ones among
		// them, while the sweeper works.
		stop := make(chan struct{})
		var sweeper sync.WaitGroup
		sweeper.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := f.b.Sweep(t.Context()); err != nil {
					t.Errorf("sweep: %v", err)
					return
				}
			}
		})
		rng := rand.New(rand.NewPCG(uint64(round), 1))
		taken := map[task.ID]broker.Message{}
		for range 150 {
			m := batch[rng.IntN(len(batch))]
			want := error(nil)
			if _, again := taken[m.ID]; again {
				want = broker.ErrDuplicate
			}
			if err := f.publish(m); !errors.Is(err, want) {
				t.Fatalf("task %s: got %v, want %v", m.ID, err, want)
			}
			taken[m.ID] = m
		}
		close(stop)
		sweeper.Wait()
		f.sweep()
		for id, m := range taken {
			if err := f.publish(m); !errors.Is(err, broker.ErrDuplicate) {
				t.Fatalf("task %s was forgotten: %v", id, err)
			}
		}
		r, ds = f.read(len(taken))
		f.settle(r, ds)
		f.clock.advance(2 * time.Minute)
		f.sweep()
	}
}

// TestSweepStepsAsideForPublishes publishes exactly between the moment when the
// sweeper has seen that ids are expired and the one when it removes them.
func TestSweepStepsAsideForPublishes(t *testing.T) {
	derived := func(*fixture) broker.Message { return broker.Message{Queue: "q", ID: task.DeriveID("x")} }
	version7 := func(f *fixture) broker.Message { return f.message(0) }
	for name, c := range map[string]struct {
		make    func(f *fixture) broker.Message
		again   bool // the expired id itself, not a new one among its neighbours
		durable bool // the publish ends before the removal
	}{
		"expired, durable":          {version7, true, true},
		"expired, in flight":        {version7, true, false},
		"derived, durable":          {derived, true, true},
		"derived, in flight":        {derived, true, false},
		"new among them, durable":   {version7, false, true},
		"new among them, in flight": {version7, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, embedded.Config{})
			f.declare("q", time.Minute)
			m := c.make(f)
			var neighbours []broker.Message
			for i := range 400 {
				n := f.message(time.Duration(200-i) * time.Millisecond)
				neighbours = append(neighbours, n)
			}
			all := neighbours
			if c.again {
				all = append(all, m)
			}
			if err := f.b.Publish(t.Context(), all); err != nil {
				t.Fatal(err)
			}
			r, ds := f.read(len(all))
			f.settle(r, ds)
			f.clock.advance(time.Hour)
			published := make(chan error, 1)
			release := func() {}
			paused := sync.OnceFunc(func() {
				if c.durable {
					published <- f.publish(m)
					return
				}
				release = f.disk.HoldLog()
				go func() { published <- f.publish(m) }()
				for f.b.Backdated() == 0 {
					runtime.Gosched()
				}
			})
			if err := f.b.SweepPaused(t.Context(), paused); err != nil {
				t.Fatal(err)
			}
			release()
			if err := <-published; err != nil {
				t.Fatal(err)
			}
			f.sweep()
			if err := f.publish(m); !errors.Is(err, broker.ErrDuplicate) {
				t.Errorf("the task was forgotten: %v", err)
			}
			if n := f.rows(kv.SpaceBrokerIndex); n != 1 {
				t.Errorf("%d ids are left", n)
			}
		})
	}
}
