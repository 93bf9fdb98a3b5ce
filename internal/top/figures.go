package top

import (
	"slices"
	"strings"
	"time"
)

// Figures are a snapshot with what the one before it adds: rates.
type Figures struct {
	At      time.Time
	Node    Node
	Total   Total
	Queues  []QueueFigures  // by name
	Workers []WorkerFigures // by ID
}

// Rates are events a second. They are not known at a first look.
type Rates struct {
	Known  bool
	In     float64 // tasks that came; of queues only
	Out    float64 // tasks that ended
	Failed float64 // attempts that failed
}

// Total is what all queues and all workers have together.
type Total struct {
	Rates
	Backlog  int64
	Running  int64
	Dead     int64
	InFlight int
	Slots    int
}

// QueueFigures are a queue with its rates.
type QueueFigures struct {
	Queue
	Rates
	Age time.Duration // of the oldest task of the backlog, zero for none
}

// WorkerFigures are a worker with its rates.
type WorkerFigures struct {
	Worker
	Rates
	Latency time.Duration // the longest of its queues
	Ejected []Ejection
}

// Ejection says that a worker gets nothing of a queue for a time.
type Ejection struct {
	Queue string
	For   string
	Left  time.Duration
}

// StateEjected is shown for a worker that is active, and ejected from all that it
// serves.
const StateEjected = "ejected"

// StateShown is the worker's state as it matters to whoever looks.
func (w *WorkerFigures) StateShown() string {
	if w.State == "active" && len(w.Ejected) > 0 && len(w.Ejected) == len(w.Serving) {
		return StateEjected
	}
	return w.State
}

// WeightNow is what the worker's weight counts for now.
func (w *WorkerFigures) WeightNow() float64 {
	if w.EffectiveWeight > 0 {
		return w.EffectiveWeight
	}
	return w.Weight
}

// Compare makes figures of a snapshot and an earlier one of the same node, which
// is nil at the first look. Counters that begin anew, because the node or the
// worker's session did, count from zero.
func Compare(earlier *Snapshot, now *Snapshot) Figures {
	f := Figures{
		At: now.At, Node: now.Node,
		Queues: make([]QueueFigures, len(now.Queues)), Workers: make([]WorkerFigures, len(now.Workers)),
	}
	before := index(earlier)
	f.Total.Known = before.known(now.At)
	for i := range now.Queues {
		q := &now.Queues[i]
		f.Queues[i] = QueueFigures{Queue: *q, Rates: before.ofQueue(q, now)}
		if !q.Oldest.IsZero() {
			f.Queues[i].Age = max(0, now.At.Sub(q.Oldest))
		}
		f.Total.addQueue(&f.Queues[i])
	}
	for i := range now.Workers {
		w := &now.Workers[i]
		f.Workers[i] = WorkerFigures{Worker: *w, Rates: before.ofWorker(w, now), Latency: latencyOf(w), Ejected: ejections(w, now.At)}
		f.Total.InFlight += w.InFlight
		f.Total.Slots += w.Slots
	}
	slices.SortFunc(f.Queues, func(a, b QueueFigures) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(f.Workers, func(a, b WorkerFigures) int { return strings.Compare(a.ID, b.ID) })
	return f
}

func (t *Total) addQueue(q *QueueFigures) {
	t.Backlog += q.Backlog
	t.Running += q.Running
	t.Dead += q.Dead
	t.In += q.In
	t.Out += q.Out
	t.Failed += q.Failed
}

// past is an earlier snapshot by name.
type past struct {
	at      time.Time
	started time.Time
	queues  map[string]*Queue
	workers map[string]*Worker
}

func index(s *Snapshot) *past {
	if s == nil {
		return nil
	}
	p := &past{at: s.At, started: s.Node.StartedAt, queues: make(map[string]*Queue, len(s.Queues)), workers: make(map[string]*Worker, len(s.Workers))}
	for i := range s.Queues {
		p.queues[s.Queues[i].Name] = &s.Queues[i]
	}
	for i := range s.Workers {
		p.workers[s.Workers[i].ID] = &s.Workers[i]
	}
	return p
}

func (p *past) known(now time.Time) bool { return p != nil && now.After(p.at) }

func (p *past) ofQueue(q *Queue, now *Snapshot) Rates {
	if !p.known(now.At) {
		return Rates{}
	}
	var was Queue // a queue that is new begins at zero
	if old := p.queues[q.Name]; old != nil {
		was = *old
	}
	if !p.started.Equal(now.Node.StartedAt) {
		was.DoneTotal, was.FailedTotal, was.DeadTotal, was.CancelledTotal = 0, 0, 0, 0
	}
	seconds := now.At.Sub(p.at).Seconds()
	ended := increase(was.DoneTotal, q.DoneTotal) + increase(was.DeadTotal, q.DeadTotal) + increase(was.CancelledTotal, q.CancelledTotal)
	return Rates{
		Known: true,
		// What came is what ended and what is here more than before.
		In:     float64(max(0, ended+q.held()-was.held())) / seconds,
		Out:    float64(ended) / seconds,
		Failed: float64(increase(was.FailedTotal, q.FailedTotal)) / seconds,
	}
}

func (p *past) ofWorker(w *Worker, now *Snapshot) Rates {
	if !p.known(now.At) {
		return Rates{}
	}
	var was Worker
	if old := p.workers[w.ID]; old != nil && old.ConnectedAt.Equal(w.ConnectedAt) {
		was = *old
	}
	seconds := now.At.Sub(p.at).Seconds()
	return Rates{
		Known:  true,
		Out:    float64(increase(was.DoneTotal, w.DoneTotal)) / seconds,
		Failed: float64(increase(was.FailedTotal, w.FailedTotal)) / seconds,
	}
}

// increase is how much a counter grew; one that shrank began anew.
func increase(was, now int64) int64 {
	if now < was {
		return now
	}
	return now - was
}

// latencyOf is the longest latency of a worker's queues.
func latencyOf(w *Worker) (longest time.Duration) {
	for _, s := range w.Serving {
		longest = max(longest, s.Latency)
	}
	return longest
}

func ejections(w *Worker, now time.Time) (all []Ejection) {
	for _, s := range w.Serving {
		if left := s.EjectedUntil.Sub(now); left > 0 {
			all = append(all, Ejection{Queue: s.Queue, For: s.EjectedFor, Left: left})
		}
	}
	return all
}
