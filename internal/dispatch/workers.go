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
	StateSuspect  State = "suspect"  // silent or without a stream: nothing new
	StateDraining State = "draining" // finishes what it has
)

// Worker is what is known of a connected worker at one moment.
type Worker struct {
	ID           string
	State        State
	Queues       []string
	Slots        int
	InFlight     int // slots taken
	Weight       float64
	Labels       map[string]string
	Client       string
	Address      string
	ConnectedAt  time.Time
	HeartbeatAge time.Duration // since any message arrived
	Done         int64         // outcomes of this session
	Failed       int64
}

// Workers lists the connected workers by ID.
func (d *Dispatcher) Workers() []Worker {
	now := d.cfg.Clock.Now().Sub(d.started)
	d.mu.Lock()
	defer d.mu.Unlock()
	workers := make([]Worker, 0, len(d.byWorker))
	for _, s := range d.byWorker {
		workers = append(workers, Worker{
			ID: s.ref.ID, State: s.state(), Queues: slices.Clone(s.hello.Queues),
			Slots: s.hello.Slots, InFlight: s.worker.InFlight, Weight: s.hello.Weight,
			Labels: maps.Clone(s.hello.Labels), Client: s.hello.Client, Address: s.hello.Address,
			ConnectedAt: s.since, HeartbeatAge: max(0, now-time.Duration(s.heard.Load())),
			Done: s.done.Load(), Failed: s.failed.Load(),
		})
	}
	slices.SortFunc(workers, func(a, b Worker) int { return strings.Compare(a.ID, b.ID) })
	return workers
}

// Serving is how many workers may get tasks of the queue.
func (d *Dispatcher) Serving(name string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if q := d.queues[name]; q != nil {
		return len(q.members)
	}
	return 0
}

// state is under Dispatcher.mu.
func (s *Session) state() State {
	switch {
	case s.suspect.Load():
		return StateSuspect
	case s.draining:
		return StateDraining
	default:
		return StateActive
	}
}
