package dispatch

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// State is what a worker may get.
type State string

// The states of a session.
const (
	StateActive   State = "active"
	StateQuiet    State = "quiet"    // wants nothing new, and stays
	StateSuspect  State = "suspect"  // silent or without a stream: nothing new
	StateDraining State = "draining" // finishes what it has
)

// Worker is what is known of a connected worker at one moment.
type Worker struct {
	ID       string
	State    State
	Queues   []string
	Slots    int
	Prefetch int // leases that it may hold beyond its slots
	InFlight int // slots taken
	Weight   float64
	// EffectiveWeight is what the weight counts for now: less after a start.
	EffectiveWeight float64
	WeightIsSet     bool      // by SetWeight, not by the worker
	Serving         []Serving // by queue
	Labels          map[string]string
	Client          string
	Address         string
	ConnectedAt     time.Time
	HeartbeatAge    time.Duration // since any message arrived
	Done            int64         // outcomes of this session
	Failed          int64
}

// Serving is a worker's part in one queue.
type Serving struct {
	Queue    string
	InFlight int
	// Latency is how long a task will probably take, from hand-out to outcome; 0: not
	// measured yet.
	Latency time.Duration
	// EjectedUntil is when the worker gets tasks of the queue again; zero: it is not
	// ejected.
	EjectedUntil time.Time
	EjectedFor   string // EjectedForFailures or EjectedForFlapping
}

// Why a worker is ejected.
const (
	EjectedForFailures = "failures" // more of its attempts fail than those of others
	EjectedForFlapping = "flapping" // its sessions broke again and again
)

// Workers lists the connected workers by ID.
func (d *Dispatcher) Workers() []Worker {
	d.mu.Lock()
	defer d.mu.Unlock()
	workers := make([]Worker, 0, len(d.byWorker))
	for _, s := range d.byWorker {
		workers = append(workers, s.describe())
	}
	slices.SortFunc(workers, func(a, b Worker) int { return strings.Compare(a.ID, b.ID) })
	return workers
}

// describe is under Dispatcher.mu.
func (s *Session) describe() Worker {
	w := Worker{
		ID: s.ref.ID, State: s.state(), Queues: slices.Clone(s.hello.Queues),
		Slots: s.hello.Slots, Prefetch: s.prefetch, InFlight: s.worker.InFlight,
		Weight: s.weight(), EffectiveWeight: s.weight() * s.d.ramp(s.slowUntil, s.d.now()), WeightIsSet: s.record != nil && s.record.weight > 0,
		Labels: maps.Clone(s.hello.Labels), Client: s.hello.Client, Address: s.hello.Address,
		ConnectedAt: s.since, HeartbeatAge: s.d.silence(s),
		Done: s.done.Load(), Failed: s.failed.Load(),
		Serving: make([]Serving, len(s.members)),
	}
	for i, m := range s.members {
		w.Serving[i] = Serving{Queue: m.queue.name, InFlight: m.inFlight, Latency: m.latency()}
		if m.ejection.until > s.d.now() {
			w.Serving[i].EjectedUntil = s.d.started.Add(m.ejection.until)
			w.Serving[i].EjectedFor = m.ejection.reason
		}
	}
	return w
}

// state is under Dispatcher.mu.
func (s *Session) state() State {
	switch {
	case s.suspect.Load():
		return StateSuspect
	case s.draining:
		return StateDraining
	case s.isQuiet():
		return StateQuiet
	default:
		return StateActive
	}
}

// HeartbeatAge is how long ago a connected worker was heard, whatever it said.
func (d *Dispatcher) HeartbeatAge(id string) (age time.Duration, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.byWorker[id]
	if s == nil {
		return 0, false
	}
	return d.silence(s), true
}
