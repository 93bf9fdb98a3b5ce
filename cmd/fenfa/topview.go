package main

import (
	"maps"
	"math"
	"time"

	"github.com/fenfa/fenfa/internal/top"
)

// The types of this file are what `fenfa top --json` writes, with the same promise
// as those of view.go. Rates are a second; latencies and ages are milliseconds.

type topView struct {
	At      string          `json:"at"`
	Error   string          `json:"error,omitempty"` // the node does not answer: nothing else is there
	Node    *topNodeView    `json:"node,omitempty"`
	Total   *topTotalView   `json:"total,omitempty"`
	Queues  []topQueueView  `json:"queues,omitempty"`
	Workers []topWorkerView `json:"workers,omitempty"`
}

type topNodeView struct {
	Node       string   `json:"node"`
	Version    string   `json:"version"`
	Ready      bool     `json:"ready"`
	Problems   []string `json:"problems,omitempty"`
	StartedAt  string   `json:"started_at"`
	Partitions int      `json:"partitions"`
}

type topTotalView struct {
	InRate       float64 `json:"in_rate"`
	OutRate      float64 `json:"out_rate"`
	FailRate     float64 `json:"fail_rate"`
	BacklogTasks int64   `json:"backlog_tasks"`
	Running      int64   `json:"running"`
	Dead         int64   `json:"dead"`
	InFlight     int     `json:"in_flight"`
	Slots        int     `json:"slots"`
}

type topQueueView struct {
	Name         string  `json:"name"`
	Policy       string  `json:"policy"`
	InRate       float64 `json:"in_rate"`
	OutRate      float64 `json:"out_rate"`
	FailRate     float64 `json:"fail_rate"`
	BacklogTasks int64   `json:"backlog_tasks"`
	OldestAgeMS  int64   `json:"oldest_age_ms,omitempty"`
	Running      int64   `json:"running"`
	Scheduled    int64   `json:"scheduled"`
	Parked       int64   `json:"parked"`
	BlockedLanes int64   `json:"blocked_lanes"`
	HaltedLanes  int64   `json:"halted_lanes"`
	Dead         int64   `json:"dead"`
	StartP50MS   float64 `json:"start_p50_ms,omitempty"`
	StartP99MS   float64 `json:"start_p99_ms,omitempty"`
	Workers      int64   `json:"workers"`
	Paused       bool    `json:"paused,omitempty"`
}

type topWorkerView struct {
	ID              string            `json:"id"`
	State           string            `json:"state"` // as `cluster workers` has it, or "ejected"
	Slots           int               `json:"slots"`
	InFlight        int               `json:"in_flight"`
	Weight          float64           `json:"weight"`
	EffectiveWeight float64           `json:"effective_weight"`
	OutRate         float64           `json:"out_rate"`
	FailRate        float64           `json:"fail_rate"`
	LatencyMS       float64           `json:"latency_ms,omitempty"`
	HeartbeatAgeMS  int64             `json:"heartbeat_age_ms"`
	Labels          map[string]string `json:"labels,omitempty"`
	Queues          []string          `json:"queues"`
	Ejected         []topEjectionView `json:"ejected,omitempty"`
}

type topEjectionView struct {
	Queue  string `json:"queue"`
	For    string `json:"for"`
	LeftMS int64  `json:"left_ms"`
}

func viewAway(cause error) topView {
	return topView{At: timeView(time.Now()), Error: cause.Error()}
}

func viewFigures(f *top.Figures) topView {
	n, t := &f.Node, &f.Total
	v := topView{
		At: timeView(f.At),
		Node: &topNodeView{
			Node: n.Name, Version: n.Version, Ready: n.Ready, Problems: n.Problems, StartedAt: timeView(n.StartedAt), Partitions: n.Partitions,
		},
		Total: &topTotalView{
			InRate: tenths(t.In), OutRate: tenths(t.Out), FailRate: tenths(t.Failed),
			BacklogTasks: t.Backlog, Running: t.Running, Dead: t.Dead, InFlight: t.InFlight, Slots: t.Slots,
		},
	}
	for i := range f.Queues {
		v.Queues = append(v.Queues, viewTopQueue(&f.Queues[i]))
	}
	for i := range f.Workers {
		v.Workers = append(v.Workers, viewTopWorker(&f.Workers[i]))
	}
	return v
}

func viewTopQueue(q *top.QueueFigures) topQueueView {
	return topQueueView{
		Name: q.Name, Policy: q.Policy, InRate: tenths(q.In), OutRate: tenths(q.Out), FailRate: tenths(q.Failed),
		BacklogTasks: q.Backlog, OldestAgeMS: q.Age.Milliseconds(), Running: q.Running, Scheduled: q.Scheduled, Parked: q.Parked,
		BlockedLanes: q.Blocked, HaltedLanes: q.Halted, Dead: q.Dead,
		StartP50MS: milliseconds(q.StartP50), StartP99MS: milliseconds(q.StartP99), Workers: q.Workers, Paused: q.Paused,
	}
}

func viewTopWorker(w *top.WorkerFigures) topWorkerView {
	v := topWorkerView{
		ID: w.ID, State: w.StateShown(), Slots: w.Slots, InFlight: w.InFlight, Weight: w.Weight, EffectiveWeight: w.WeightNow(),
		OutRate: tenths(w.Out), FailRate: tenths(w.Failed), LatencyMS: milliseconds(w.Latency), HeartbeatAgeMS: w.HeartbeatAge.Milliseconds(),
		Labels: maps.Clone(w.Labels), Queues: make([]string, len(w.Serving)),
	}
	for i, s := range w.Serving {
		v.Queues[i] = s.Queue
	}
	for _, e := range w.Ejected {
		v.Ejected = append(v.Ejected, topEjectionView{Queue: e.Queue, For: e.For, LeftMS: e.Left.Milliseconds()})
	}
	return v
}

// tenths keeps noise out of what programs read.
func tenths(rate float64) float64 { return math.Round(10*rate) / 10 }

// milliseconds keeps microseconds.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
