package simulate

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/fenfa/fenfa/internal/balance"
)

// tick is how often pools learn how late it is.
const tick = 100 * time.Millisecond

// Run simulates, and stops early with the context's error when that ends. A
// setting that is wrong is a *ConfigError.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	r, err := newRun(&cfg)
	if err != nil {
		return nil, err
	}
	for range min(cfg.Outstanding, cfg.Tasks) {
		r.arrive()
	}
	for r.done < cfg.Tasks {
		if r.done%1024 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		r.step()
	}
	return r.result()
}

// worker is a simulated one.
type worker struct {
	balance.Worker
	id       string
	weight   float64
	factor   float64
	at       int // index in the pool, -1 after it left
	waiting  []pending
	serving  int    // tasks, at most as many as there are lines
	line     []held // the others in its slots, the oldest first
	usage    usage
	most     int     // slots taken at once
	expected float64 // tasks by weight
	waits    []time.Duration
	times    []time.Duration // from coming to done
}

// usage is how much of a worker's slots was taken from its coming to its end,
// which is when it leaves or the last task comes.
type usage struct {
	begin, end time.Duration // end 0: it goes on
	until      time.Duration // up to when taken is right
	taken      time.Duration // of all slots together
}

// count adds the time in which so many slots were taken.
func (u *usage) count(now time.Duration, slots int) {
	if u.end == 0 {
		u.taken += time.Duration(slots) * (now - u.until)
		u.until = now
	}
}

// finish ends it, once.
func (u *usage) finish(now time.Duration, slots int) {
	u.count(now, slots)
	if u.end == 0 {
		u.end = now
	}
}

// pending is a task that came.
type pending struct {
	seq  int
	key  string
	born time.Duration
	work float64 // as a multiple of the average
}

// held is a task in a slot.
type held struct {
	pending
	since time.Duration
}

// run is a simulation under way.
type run struct {
	cfg    *Config
	pool   balance.Pool
	picker balance.Picker
	rng    *rand.Rand
	zipf   *rand.Zipf

	workers []*worker // all that were ever there
	members []*worker // by index in the pool
	waiting []pending // for any worker, the oldest first
	events  events

	now     time.Duration
	ticked  time.Duration
	came    int
	picked  int // in this phase
	done    int
	changed bool          // workers left or joined
	steady  time.Duration // when the last task came, and how many were done by then
	doneBy  int
	phases  []phase
}

func newRun(cfg *Config) (*run, error) {
	picker, err := balance.New(cfg.Balance, cfg.Seed)
	if err != nil {
		return nil, err
	}
	r := &run{cfg: cfg, picker: picker, rng: rand.New(rand.NewPCG(cfg.Seed, 1))}
	if cfg.Zipf > 0 {
		r.zipf = rand.NewZipf(r.rng, cfg.Zipf, 1, uint64(cfg.Keys-1))
	}
	for i := range cfg.Workers {
		r.join(name(i), cfg.weight(i), cfg.factor(i))
	}
	r.pool.Tick(0)
	return r, nil
}

// join brings a worker.
func (r *run) join(id string, weight, factor float64) {
	w := &worker{id: id, weight: weight, factor: factor, at: len(r.members), usage: usage{begin: r.now, until: r.now}}
	w.Hash, w.Free = balance.HashID(id), r.cfg.Slots
	r.workers = append(r.workers, w)
	r.members = append(r.members, w)
	r.pool.Add(&w.Worker, weight)
}

// leave lets a worker finish what it has and get nothing more.
func (r *run) leave(w *worker) {
	r.pool.Remove(w.at)
	r.members = slices.Delete(r.members, w.at, w.at+1)
	for i, m := range r.members {
		m.at = i
	}
	w.at = -1
	w.usage.finish(r.now, w.InFlight)
}

// arrive lets the next task come.
func (r *run) arrive() {
	key := r.rng.Uint64N(uint64(r.cfg.Keys))
	if r.zipf != nil {
		key = r.zipf.Uint64()
	}
	t := pending{seq: r.came, key: keyName(key), born: r.now, work: r.rng.ExpFloat64()}
	r.came++
	if r.came == r.cfg.Tasks {
		r.steady, r.doneBy = r.now, r.done
		for _, w := range r.workers {
			w.usage.finish(r.now, w.InFlight)
		}
	}
	r.assign(t)
}

func keyName(k uint64) string { return "key-" + strconv.FormatUint(k, 10) }

// assign starts the task, or lets it wait.
func (r *run) assign(t pending) {
	i, ok := r.picker.Pick(&r.pool, t.key)
	switch {
	case ok:
		r.start(r.members[i], t)
	case i >= 0:
		r.members[i].waiting = append(r.members[i].waiting, t)
	default:
		r.waiting = append(r.waiting, t)
	}
}

// start gives the task a slot.
func (r *run) start(w *worker, t pending) {
	w.usage.count(r.now, w.InFlight)
	w.InFlight++
	w.Free--
	r.pool.Adjust(1)
	w.most = max(w.most, w.InFlight)
	w.waits = append(w.waits, r.now-t.born)
	r.picked++
	w.line = append(w.line, held{pending: t, since: r.now})
	r.advance(w)
}

// advance serves the next task of a worker's line, if there is one and it may.
func (r *run) advance(w *worker) {
	if len(w.line) == 0 || r.cfg.Lines > 0 && w.serving == r.cfg.Lines {
		return
	}
	t := w.line[0]
	w.line = w.line[1:]
	w.serving++
	end := r.now + max(1, time.Duration(t.work*w.factor*float64(r.cfg.Service)))
	r.events.push(event{at: end, seq: t.seq, worker: w, took: end - t.since, born: t.born})
}

// step is what happens next: a task is done, and another comes.
func (r *run) step() {
	e := r.events.pop()
	r.now = e.at
	for r.now-r.ticked >= tick {
		r.ticked += tick
		r.pool.Tick(r.ticked)
	}
	w := e.worker
	w.usage.count(r.now, w.InFlight)
	w.InFlight--
	w.Free++
	w.serving--
	r.advance(w)
	w.times = append(w.times, r.now-e.born)
	r.done++
	if w.at >= 0 {
		r.pool.Adjust(-1)
		r.pool.Observe(w.at, e.took)
		r.serve(w)
	}
	if !r.changed && r.done >= r.cfg.Tasks/2 {
		r.change()
	}
	if r.came < r.cfg.Tasks {
		r.arrive()
	}
}

// serve gives the slot that came free to the oldest task that waits for it. Tasks
// of one policy wait all for certain workers, or all for any.
func (r *run) serve(w *worker) {
	from := &r.waiting
	if len(w.waiting) > 0 {
		from = &w.waiting
	}
	if len(*from) > 0 {
		t := (*from)[0]
		*from = (*from)[1:]
		r.assign(t)
	}
}

// change lets workers leave and join, and those that wait look again.
func (r *run) change() {
	r.changed = true
	if r.cfg.Leave == "" && r.cfg.Join == "" {
		return
	}
	r.endPhase()
	if r.cfg.Join != "" {
		r.join(r.cfg.Join, 1, 1)
	}
	all := r.waiting
	r.waiting = nil
	if i := r.cfg.number(r.cfg.Leave); i >= 0 {
		r.leave(r.workers[i])
	}
	for _, w := range r.workers {
		all = append(all, w.waiting...)
		w.waiting = nil
	}
	slices.SortFunc(all, func(a, b pending) int { return cmp.Compare(a.seq, b.seq) })
	for _, t := range all {
		r.assign(t)
	}
}
