package simulate

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/fenfa/fenfa/internal/balance"
	"github.com/fenfa/fenfa/internal/task"
)

// Result is what a simulation shows. Times are simulated, in milliseconds.
type Result struct {
	Policy      string  `json:"policy"`
	Seed        uint64  `json:"seed"`
	Tasks       int     `json:"tasks"`
	Outstanding int     `json:"outstanding"` // tasks that wait or run at any moment
	Slots       int     `json:"slots"`       // of each worker
	Lines       int     `json:"lines"`       // of each worker; 0: one for each slot
	Seconds     float64 `json:"seconds"`     // until the last task came
	PerS        float64 `json:"tasks_per_s"` // done in that time
	// PossiblePerS is what the same tasks could make on average if they all ran in
	// the fastest slots or lines there are, and Ratio how much of it was made: a
	// little more than 1 when chance made the tasks short.
	PossiblePerS float64 `json:"possible_tasks_per_s"`
	Ratio        float64 `json:"ratio"`
	// Imbalance is the load of the worker with the most tasks for its weight: 1 is
	// perfect.
	Imbalance float64  `json:"imbalance"`
	WaitP50   float64  `json:"wait_p50_ms"` // from coming to the slot
	WaitP99   float64  `json:"wait_p99_ms"`
	TimeP50   float64  `json:"time_p50_ms"` // from coming to the end
	TimeP99   float64  `json:"time_p99_ms"`
	Movement  *Moved   `json:"movement,omitempty"` // consistent_hash, when a worker leaves or joins
	Workers   []Worker `json:"workers"`
}

// Worker is one worker's part in a simulation.
type Worker struct {
	ID       string  `json:"id"`
	Weight   float64 `json:"weight"`
	Tasks    int     `json:"tasks"`
	Share    float64 `json:"share"`    // of all tasks
	Expected float64 `json:"expected"` // share by weight, while it was there
	Load     float64 `json:"load"`     // share over expected
	Busy     float64 `json:"busy"`     // how much of its slots' time tasks ran, until the last one came
	Most     int     `json:"most"`     // slots taken at once
	WaitP50  float64 `json:"wait_p50_ms"`
	WaitP99  float64 `json:"wait_p99_ms"`
	TimeP50  float64 `json:"time_p50_ms"`
	TimeP99  float64 `json:"time_p99_ms"`
}

// Moved says how many keys got another worker because one left or joined.
type Moved struct {
	Keys  int `json:"keys"`
	Moved int `json:"moved"`
	// Least is how many must move on average, whatever the policy: the share of who
	// left and of who joined, of all together. A policy knows nothing of who was
	// there before, so the one who joins is no heir of the one who left.
	Least int `json:"least"`
}

// phase is a time in which the same workers were there.
type phase struct {
	picks    int
	possible float64 // tasks a second
}

// endPhase counts what was picked since workers last changed.
func (r *run) endPhase() {
	sum := 0.0
	for _, m := range r.members {
		sum += m.weight
	}
	for _, m := range r.members {
		m.expected += float64(r.picked) * m.weight / sum
	}
	r.phases = append(r.phases, phase{picks: r.picked, possible: r.possible()})
	r.picked = 0
}

// possible is what can be made with all outstanding tasks in the fastest slots or
// lines.
func (r *run) possible() float64 {
	fast := slices.SortedFunc(slices.Values(r.members), func(a, b *worker) int { return cmp.Compare(a.factor, b.factor) })
	left, rate, at := r.cfg.Outstanding, 0.0, r.cfg.Slots
	if r.cfg.Lines > 0 {
		at = min(at, r.cfg.Lines)
	}
	for _, m := range fast {
		n := min(left, at)
		rate += float64(n) / (m.factor * r.cfg.Service.Seconds())
		left -= n
	}
	return rate
}

// result looks back on a run.
func (r *run) result() (*Result, error) {
	r.endPhase()
	res := &Result{
		Policy: r.cfg.Balance.Policy, Seed: r.cfg.Seed, Tasks: r.done, Outstanding: r.cfg.Outstanding, Slots: r.cfg.Slots,
		Lines: r.cfg.Lines, Seconds: r.steady.Seconds(),
	}
	ideal, picks := 0.0, 0
	for _, p := range r.phases {
		ideal += float64(p.picks) / p.possible
		picks += p.picks
	}
	res.PossiblePerS = float64(picks) / ideal
	if r.steady > 0 {
		res.PerS = float64(r.doneBy) / r.steady.Seconds()
		res.Ratio = res.PerS / res.PossiblePerS
	}
	var waits, times []time.Duration
	for _, w := range r.workers {
		one := r.worker(w)
		res.Workers = append(res.Workers, one)
		res.Imbalance = max(res.Imbalance, one.Load)
		waits, times = append(waits, w.waits...), append(times, w.times...)
	}
	res.WaitP50, res.WaitP99 = percentiles(waits)
	res.TimeP50, res.TimeP99 = percentiles(times)
	if r.cfg.Balance.Policy == task.BalanceConsistentHash && r.cfg.Leave+r.cfg.Join != "" {
		moved, err := r.moved()
		if err != nil {
			return nil, err
		}
		res.Movement = moved
	}
	return res, nil
}

func (r *run) worker(w *worker) Worker {
	one := Worker{ID: w.id, Weight: w.weight, Tasks: len(w.times), Most: w.most}
	one.Share = float64(one.Tasks) / float64(r.done)
	one.Expected = w.expected / float64(r.done)
	if w.expected > 0 {
		one.Load = float64(one.Tasks) / w.expected
	}
	if there := w.usage.end - w.usage.begin; there > 0 {
		one.Busy = float64(w.usage.taken) / (float64(there) * float64(r.cfg.Slots))
	}
	one.WaitP50, one.WaitP99 = percentiles(w.waits)
	one.TimeP50, one.TimeP99 = percentiles(w.times)
	return one
}

// percentiles sorts the times and returns two of them, in milliseconds.
func percentiles(times []time.Duration) (p50, p99 float64) {
	if len(times) == 0 {
		return 0, 0
	}
	slices.Sort(times)
	at := func(q float64) float64 {
		return float64(times[int(math.Ceil(q*float64(len(times))))-1]) / float64(time.Millisecond)
	}
	return at(0.5), at(0.99)
}

// moved looks up the worker of every key before and after the change, in an idle
// pool.
func (r *run) moved() (*Moved, error) {
	var before, after roster
	for i, w := range r.workers {
		if i < r.cfg.Workers {
			before.add(w)
		}
		if w.at >= 0 {
			after.add(w)
		}
	}
	old, err := balance.New(r.cfg.Balance, r.cfg.Seed)
	if err != nil {
		return nil, err
	}
	fresh, err := balance.New(r.cfg.Balance, r.cfg.Seed)
	if err != nil {
		return nil, err
	}
	m := &Moved{Keys: r.cfg.Keys}
	for k := range uint64(r.cfg.Keys) {
		i, _ := old.Pick(&before.pool, keyName(k))
		j, _ := fresh.Pick(&after.pool, keyName(k))
		if before.workers[i] != after.workers[j] {
			m.Moved++
		}
	}
	// Were all of them there at once, these would be the keys of those who come or go.
	all, change := 0.0, 0.0
	for i, w := range r.workers {
		all += w.weight
		if i >= r.cfg.Workers || w.at < 0 {
			change += w.weight
		}
	}
	m.Least = int(math.Round(change / all * float64(r.cfg.Keys)))
	return m, nil
}

// roster is a pool of idle workers.
type roster struct {
	pool    balance.Pool
	workers []*worker
}

func (o *roster) add(w *worker) {
	o.pool.Add(&balance.Worker{Hash: w.Hash, Free: 1}, w.weight)
	o.workers = append(o.workers, w)
}
