package top

import (
	"math"
	"testing"
	"time"
)

// at makes a snapshot of one queue and one worker.
func at(second int, started time.Time, q Queue, w Worker) *Snapshot {
	q.Name, w.ID = "q", "w"
	return &Snapshot{At: noon.Add(time.Duration(second) * time.Second), Node: Node{StartedAt: started}, Queues: []Queue{q}, Workers: []Worker{w}}
}

func TestRatesAreDifferencesOfCounters(t *testing.T) {
	restart := noon.Add(time.Second)
	for name, c := range map[string]struct {
		before, after *Snapshot
		queue, worker Rates
	}{
		"first look": {nil, at(0, noon, Queue{DoneTotal: 50}, Worker{DoneTotal: 50}), Rates{}, Rates{}},
		"same moment": {
			at(0, noon, Queue{DoneTotal: 50}, Worker{}), at(0, noon, Queue{DoneTotal: 60}, Worker{}),
			Rates{},
			Rates{},
		},
		"nothing happens": {
			at(0, noon, Queue{Backlog: 5, DoneTotal: 50}, Worker{DoneTotal: 5}), at(10, noon, Queue{Backlog: 5, DoneTotal: 50}, Worker{DoneTotal: 5}),
			Rates{Known: true},
			Rates{Known: true},
		},
		"over two seconds": {
			at(0, noon, Queue{Backlog: 100, DoneTotal: 50, FailedTotal: 4, DeadTotal: 1}, Worker{DoneTotal: 5, FailedTotal: 1}),
			at(2, noon, Queue{Backlog: 80, DoneTotal: 90, FailedTotal: 10, DeadTotal: 3}, Worker{DoneTotal: 25, FailedTotal: 2}),
			Rates{Known: true, In: 11, Out: 21, Failed: 3},
			Rates{Known: true, Out: 10, Failed: 0.5},
		},
		"moving into the schedule is neither in nor out": {
			at(0, noon, Queue{Backlog: 10}, Worker{}), at(1, noon, Queue{Backlog: 4, Scheduled: 5, Parked: 1}, Worker{}),
			Rates{Known: true},
			Rates{Known: true},
		},
		"moving out of the schedule is neither in nor out": {
			at(0, noon, Queue{Scheduled: 7, Parked: 3}, Worker{}), at(1, noon, Queue{Backlog: 10}, Worker{}),
			Rates{Known: true},
			Rates{Known: true},
		},
		"less is here than ended": {
			at(0, noon, Queue{Backlog: 10, DoneTotal: 0}, Worker{}), at(1, noon, Queue{Backlog: 0, DoneTotal: 8}, Worker{}),
			Rates{Known: true, Out: 8},
			Rates{Known: true},
		},
		"counters begin anew": {
			at(0, noon, Queue{DoneTotal: 1000, FailedTotal: 9, DeadTotal: 3}, Worker{DoneTotal: 700, FailedTotal: 70}),
			at(4, noon, Queue{DoneTotal: 40, FailedTotal: 8}, Worker{DoneTotal: 20, FailedTotal: 4}),
			Rates{Known: true, In: 10, Out: 10, Failed: 2},
			Rates{Known: true, Out: 5, Failed: 1},
		},
		"the node restarts and is soon beyond where it was": {
			at(0, noon, Queue{DoneTotal: 10}, Worker{}), at(2, restart, Queue{DoneTotal: 30}, Worker{}),
			Rates{Known: true, In: 15, Out: 15},
			Rates{Known: true},
		},
		"the worker connects anew and is soon beyond where it was": {
			at(0, noon, Queue{}, Worker{DoneTotal: 10, ConnectedAt: noon}), at(2, noon, Queue{}, Worker{DoneTotal: 30, ConnectedAt: restart}),
			Rates{Known: true},
			Rates{Known: true, Out: 15},
		},
		"the queue and the worker are new": {
			&Snapshot{At: noon, Node: Node{StartedAt: noon}}, at(2, noon, Queue{Backlog: 6, DoneTotal: 4}, Worker{DoneTotal: 4}),
			Rates{Known: true, In: 5, Out: 2},
			Rates{Known: true, Out: 2},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := Compare(c.before, c.after)
			if got := f.Queues[0].Rates; got != c.queue {
				t.Errorf("queue: %+v, want %+v", got, c.queue)
			}
			if got := f.Workers[0].Rates; got != c.worker {
				t.Errorf("worker: %+v, want %+v", got, c.worker)
			}
			if f.Total.Rates != f.Queues[0].Rates {
				t.Errorf("the total of one queue is %+v", f.Total.Rates)
			}
		})
	}
}

func TestFiguresAreSortedAndSummed(t *testing.T) {
	before, now := someNode(0), someNode(2)
	f := Compare(&before, &now)
	if f.Queues[0].Name[0] != 'a' || f.Queues[1].Name != "mail" || f.Queues[2].Name != "orders" || f.Workers[0].ID != "web-1" {
		t.Errorf("order: %s, %s, %s", f.Queues[0].Name, f.Queues[1].Name, f.Queues[2].Name)
	}
	total := f.Total
	if total.Backlog != 1_234_567+200+17 || total.Running != 209 || total.Dead != 7 || total.InFlight != 99 || total.Slots != 268 {
		t.Errorf("total %+v", total)
	}
	if math.Abs(total.Out-12_349) > 1e-9 || math.Abs(total.In-12_449) > 1e-9 || math.Abs(total.Failed-3) > 1e-9 {
		t.Errorf("rates of all: %+v", total.Rates)
	}
	if f.Queues[2].Age != 93*time.Second || f.Queues[0].Age != 0 {
		t.Errorf("oldest: %v and %v", f.Queues[2].Age, f.Queues[0].Age)
	}
	if now.Queues[0].Name != "orders" {
		t.Error("the snapshot was sorted")
	}
}

func TestAWorkerIsEjectedWhenAllItsQueuesAre(t *testing.T) {
	now := someNode(0)
	f := Compare(nil, &now)
	for i, want := range []string{"active", StateEjected, "active", "draining", "suspect", "quiet"} {
		if got := f.Workers[i].StateShown(); got != want {
			t.Errorf("%s is %s, want %s", f.Workers[i].ID, got, want)
		}
	}
	if e := f.Workers[2].Ejected; len(e) != 1 || e[0] != (Ejection{Queue: "orders", For: "flapping", Left: 70 * time.Second}) {
		t.Errorf("ejections %+v", e)
	}
	now.At = now.At.Add(12 * time.Second)
	if f = Compare(nil, &now); f.Workers[1].StateShown() != "active" {
		t.Errorf("when the ejection is over the worker is %s", f.Workers[1].StateShown())
	}
}

func TestLatencyIsTheLongestOfTheQueues(t *testing.T) {
	for name, c := range map[string]struct {
		serving []Serving
		want    time.Duration
	}{
		"none":                    {nil, 0},
		"not measured":            {[]Serving{{InFlight: 3}}, 0},
		"one":                     {[]Serving{{InFlight: 3, Latency: 5}, {InFlight: 9}}, 5},
		"of several":              {[]Serving{{InFlight: 3, Latency: 10}, {InFlight: 1, Latency: 1000}, {Latency: 30}}, 1000},
		"idle: all that is known": {[]Serving{{Latency: 10}, {Latency: 30}}, 30},
	} {
		if got := latencyOf(&Worker{Serving: c.serving}); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestWeightWithoutAnEffectiveOneCountsWhole(t *testing.T) {
	w := WorkerFigures{Worker: Worker{Weight: 3}}
	if w.WeightNow() != 3 {
		t.Errorf("%v", w.WeightNow())
	}
	if w.EffectiveWeight = 0.5; w.WeightNow() != 0.5 {
		t.Errorf("%v", w.WeightNow())
	}
}
