package dispatch

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

// TestRandomHistoriesKeepEveryInvariant drives every operation at random from a
// seed, and after each step compares with a plain count of what is out and with
// the invariants, reckoned anew.
func TestRandomHistoriesKeepEveryInvariant(t *testing.T) {
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

// model is what is known of sessions from the outside.
type model struct {
	*bench
	rng      *rand.Rand
	queues   []*task.Queue
	sessions map[uint64]*Session
	out      map[uint64]map[string]int   // slots assigned and not released, by session and queue
	most     map[uint64]int              // slots that the session ever allowed at a time
	refused  map[ask]map[uint64][]string // keys that were refused, by the session that they wait for
	wakes    []call                      // that partitions did not hear yet
}

// ask is who asked for slots.
type ask struct {
	part  int
	queue string
	place task.Placement
}

func newModel(t *testing.T, seed uint64) *model {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 7))
	m := &model{
		bench: newBench(t, func(c *Config) {
			c.SlowStart = []time.Duration{-1, 2 * time.Second, 0}[rng.IntN(3)]
			c.NoEjection = rng.IntN(4) == 0
		}),
		rng: rng, sessions: map[uint64]*Session{}, out: map[uint64]map[string]int{}, most: map[uint64]int{}, refused: map[ask]map[uint64][]string{},
	}
	for _, name := range []string{"a", "b", "c"} {
		m.queues = append(m.queues, settings(name))
	}
	return m
}

// any picks a session; the numbers are sorted so that a seed replays.
func (m *model) any() *Session {
	if len(m.sessions) == 0 {
		return nil
	}
	numbers := slices.Sorted(maps.Keys(m.sessions))
	return m.sessions[numbers[m.rng.IntN(len(numbers))]]
}

func one[T any](m *model, of ...T) T { return of[m.rng.IntN(len(of))] }

func (m *model) step() {
	s := m.any()
	switch n := m.rng.IntN(1000); {
	case n < 400:
		m.ask()
	case n < 450:
		m.stay()
	case n < 500:
		m.register()
	case n < 600:
		m.clock.Advance(time.Duration(m.rng.IntN(800)) * time.Millisecond)
	case n < 602:
		m.clock.Jump(time.Duration(m.rng.IntN(20)) * time.Second)
	case n < 620:
		m.configure()
	case s == nil:
	case n < 850:
		m.release(s)
	case n < 870:
		m.steer(s)
	case n < 874:
		s.Drain()
	case n < 882:
		s.Lost()
	case n < 886:
		s.Leave()
	case n < 892:
		s.Quiet(one(m, true, false))
	case n < 900:
		s.Prefetch(m.rng.IntN(6) - 1)
	default:
		s.Heard()
	}
	m.listen()
	for len(m.wakes) > 0 && m.rng.IntN(3) > 0 {
		m.wakeNext()
		m.listen()
	}
}

func (m *model) register() {
	h := Hello{
		WorkerID: fmt.Sprint("w", m.rng.IntN(8)), Slots: 1 + m.rng.IntN(8), Queues: []string{"a", "b", "c"}[m.rng.IntN(3):],
		Weight: one(m, 0, 0.5, 2), Labels: map[string]string{"zone": one(m, "x", "y")},
	}
	s := m.hello(h)
	number := s.Ref().Session
	m.sessions[number], m.out[number] = s, map[string]int{}
	m.most[number] = 2 * h.Slots // its own and as much prefetch
}

func (m *model) ask() {
	q := one(m, m.queues...)
	a := ask{part: m.rng.IntN(16), queue: q.Name, place: one(m, task.Placement{}, task.Placement{}, task.Placement{Require: "zone=x"},
		task.Placement{Prefer: "zone=x"}, task.Placement{Require: "!gpu", Prefer: "zone=y"}, task.Placement{Require: "gpu"})}
	want := 1 + m.rng.IntN(5)
	m.askFor(a, q, one(m, "", fmt.Sprint(m.rng.IntN(20))), want)
}

// askFor asks for slots for a key. Where it is refused, by is whom it waits for.
func (m *model) askFor(a ask, q *task.Queue, key string, want int) (by uint64, ok bool) {
	w, slots, ok := m.Assign(a.part, q, a.place, key, want)
	if !ok {
		m.refuse(a, w.Session, key)
		return w.Session, false
	}
	s := m.sessions[w.Session]
	if slots < 1 || slots > want || s == nil || !a.place.Require.Matches(s.hello.Labels) || !slices.Contains(s.hello.Queues, q.Name) {
		m.t.Errorf("%+v got %d slots of session %d", a, slots, w.Session)
		return 0, true
	}
	m.out[w.Session][q.Name] += slots
	return 0, true
}

// stay asks for one more slot of a session: it may be had only where the worker fits.
func (m *model) stay() {
	s, q := m.any(), one(m, m.queues...)
	place := one(m, task.Placement{}, task.Placement{Require: "zone=x"}, task.Placement{Require: "gpu"})
	if s == nil || !m.Stay(s.Ref().Session, q, place) {
		return
	}
	if !place.Require.Matches(s.hello.Labels) || !slices.Contains(s.hello.Queues, q.Name) {
		m.t.Errorf("session %d, which does not fit %+v, stays with queue %s", s.Ref().Session, place, q.Name)
	}
	m.out[s.Ref().Session][q.Name]++
}

func (m *model) release(s *Session) {
	number := s.Ref().Session
	queue := one(m, s.hello.Queues...)
	use := partition.Use{Slots: m.rng.IntN(m.out[number][queue] + 1)}
	if use.Tasks = m.rng.IntN(20); use.Tasks > 0 {
		use.Took = time.Duration(m.rng.IntN(1e9))
		if s.Ref().ID < "w3" && m.rng.IntN(3) > 0 {
			use.Failed = use.Tasks
		}
	}
	m.Release(number, queue, use)
	m.out[number][queue] -= use.Slots
}

func (m *model) configure() {
	i := m.rng.IntN(len(m.queues))
	q := *m.queues[i]
	q.Balance.Policy = one(m, task.BalancePolicies()...)
	q.Balance.Overflow = one(m, "next", "wait")
	q.Share = one(m, 1, 0.5, 3.0)
	m.queues[i] = &q
	// What waits hears of the change when a partition next asks.
	m.Assign(100, &q, task.Placement{Require: "nobody"}, "", 1)
	for _, a := range m.asks() {
		if a.queue == q.Name {
			m.askAnew(a)
		}
	}
}

func (m *model) steer(s *Session) {
	id := s.Ref().ID
	var err error
	switch m.rng.IntN(5) {
	case 0, 1:
		_, err = m.SetWeight(id, one(m, 0, 0.1, 7))
	case 2, 3:
		_, err = m.SetQuiet(id, one(m, true, false))
	default:
		_, err = m.DrainWorker(id)
	}
	if err != nil {
		m.t.Errorf("steer a worker that is connected: %v", err)
	}
}

// listen takes note of what the engine was told.
func (m *model) listen() {
	for _, c := range m.engine.take() {
		switch c.what {
		case "gone":
			if _, ok := m.sessions[c.session]; !ok {
				m.t.Errorf("session %d ended twice", c.session)
			}
			delete(m.sessions, c.session)
			delete(m.out, c.session)
		case "capacity":
			m.wakes = append(m.wakes, c)
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
		all := 0
		for _, of := range s.members {
			if of.inFlight != m.out[number][of.queue.name] {
				m.t.Errorf("session %d, queue %s: %d in flight, the model says %d", number, of.queue.name, of.inFlight, m.out[number][of.queue.name])
			}
			all += of.inFlight
		}
		if all+s.held > m.most[number] {
			m.t.Errorf("session %d: %d in flight and %d held, of %d", number, all, s.held, m.most[number])
		}
	}
	if len(live) != len(m.sessions) {
		m.t.Errorf("%d sessions, the model says %d", len(live), len(m.sessions))
	}
	m.everybodyIsCaredFor()
}
