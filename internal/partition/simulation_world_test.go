package partition

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/clock"
	"github.com/fenfa/fenfa/internal/store/storefake"
	"github.com/fenfa/fenfa/internal/task"
)

// simPartitions is how many partitions a world has: follow-up tasks and refused
// writes cross between them.
const simPartitions = 2

var (
	simQueues = []string{"keyed", "other", "loose"} // the last one has no order
	simKeys   = keysByPartition(6)
)

// keysByPartition returns n keys for each partition.
func keysByPartition(n int) (keys [simPartitions][]string) {
	for i := 0; len(keys[0]) < n || len(keys[1]) < n; i++ {
		key := fmt.Sprintf("key-%d", i)
		if p := task.PartitionOf(key, simPartitions); len(keys[p]) < n {
			keys[p] = append(keys[p], key)
		}
	}
	return keys
}

// violation is a broken promise.
type violation struct{ text string }

func (v violation) Error() string { return v.text }

// world is everything that a run consists of, in one goroutine: the clock, the
// store, the broker, owners, workers and the model that watches them.
type world struct {
	plan    plan
	rng     *rand.Rand
	ticks   time.Duration // of a clock that only goes forward
	offset  time.Duration // of the wall clock, which jumps
	latest  time.Time     // the latest time that the wall clock ever showed
	timers  []*simTimer
	store   *storefake.Store
	broker  *simBroker
	engine  *Engine
	owners  []*simOwner // all that run, also those that were replaced
	current [simPartitions]*simOwner
	pool    *simPool
	model   *model
	left    int // tasks to be submitted
	unsure  []task.Task
	healed  bool
	missing bool // no worker has a gpu
	window  broker.Limit
	later   int // one of so many tasks has a run_at
	rows    int // of an entity that are loaded at once
	cache   int
	stored  broker.Limit
	page    int
	classes int
	serial  int
	trace   strings.Builder
	tally   tally
}

// simulate runs a plan and returns what broke.
func simulate(p plan) (w *world, err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case violation:
			err = r
		default:
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	w = &world{plan: p, rng: rand.New(rand.NewPCG(p.seed, 7)), left: p.tasks}
	w.build()
	for range p.steps {
		w.step()
	}
	w.missing = p.faults&faultPlaces != 0
	w.heal()
	if w.missing {
		w.withoutClass()
	}
	w.drain()
	w.model.finish()
	return w, nil
}

// pick returns one of some values.
func pick[T any](w *world, values ...T) T { return values[w.rng.IntN(len(values))] }

// chance is true once in n times.
func (w *world) chance(n int) bool { return w.rng.IntN(n) == 0 }

func (w *world) has(f fault) bool { return w.plan.faults&f != 0 && !w.healed }

func (w *world) failf(format string, args ...any) {
	panic(violation{fmt.Sprintf(format, args...)})
}

func (w *world) logf(format string, args ...any) {
	fmt.Fprintf(&w.trace, "%v ", w.ticks)
	fmt.Fprintf(&w.trace, format, args...)
	w.trace.WriteByte('\n')
}

func (w *world) traceSum() uint64 {
	return xxhash.Sum64String(w.trace.String())
}

// story is what happened, for a person.
func (w *world) story() string { return w.trace.String() }

// build makes the world of a plan.
func (w *world) build() {
	w.window = broker.Limit{Tasks: 4096, Bytes: 4 << 20}
	if w.has(faultPressure) {
		w.window = broker.Limit{Tasks: pick(w, 2, 4, 8, 16, 4096), Bytes: pick(w, 1000, 5000, 4<<20)}
		w.page, w.rows = pick(w, 1, 2, 5, 0), pick(w, 1, 2, 256)
		w.stored = broker.Limit{Tasks: pick(w, 1, 2, 8, 4096), Bytes: pick(w, 500, 4<<20)}
		w.cache = pick(w, 1, 1500, 0)
		w.classes = pick(w, 1, 4, 0)
	}
	w.later = pick(w, 1, 2, 6, 20)
	w.latest = w.Now()
	w.store = storefake.New(storefake.Config{Seed: w.plan.seed, KeepSome: w.chance(2)})
	w.broker = newSimBroker(w, w.has(faultBroker) && w.chance(2))
	w.model = newModel(w)
	w.pool = &simPool{w: w, sessions: map[uint64]*simSession{}}
	w.engine = &Engine{
		cfg: Config{
			Partitions: simPartitions, Broker: w.broker, Store: w.store, Clock: w, Window: w.window,
			Logger: slog.New(slog.DiscardHandler), Node: "node",
		},
		counts: newCounters(prometheus.NewRegistry()),
		limits: w.newLimiter(),
	}
	all := map[string]*registered{}
	for _, name := range simQueues {
		q := task.DefaultQueue(name)
		if name == "loose" {
			q.Order = task.OrderNone
		}
		w.shuffleSettings(&q)
		w.engine.limits.Configure(&q)
		all[name] = w.engine.register(q, 1)
		for r := range ranks {
			w.must(w.broker.Declare(context.Background(), broker.Declaration{Queue: bandLog(name, r), Partitions: simPartitions}))
		}
	}
	w.engine.queues.Store(&all)
	for range 1 + w.rng.IntN(3) {
		w.pool.join()
	}
}

// shuffleSettings draws the settings that may change while a queue is used.
func (w *world) shuffleSettings(q *task.Queue) {
	q.Retry = task.RetryPolicy{
		Base: pick(w, time.Millisecond, time.Second, 20*time.Second), Factor: 2, Max: time.Minute, MaxAttempts: 2 + w.rng.IntN(4),
	}
	q.Timeout = pick(w, time.Second, 5*time.Second)
	q.Batch = pick(w, 1, 2, 3, 10)
	q.MaxDeliveries = 2 + w.rng.IntN(5)
	q.OnDead = pick(w, task.OnDeadSkip, task.OnDeadHalt)
	q.Placement = task.Placement{}
	if w.has(faultPlaces) {
		q.Placement.Require = pick[task.Selector](w, "", "", "", "zone=a", "!gpu", "gpu")
		q.Placement.Prefer = pick[task.Selector](w, "", "", "gpu")
	}
	q.Balance = task.Balance{Policy: pick(w, task.BalanceLeastInflight, task.BalanceConsistentHash), LoadBound: 1.25, Overflow: pick(w, "next", "wait")}
	w.shuffleLimits(q)
	if w.has(faultPriorities) {
		q.Merge(task.Queue{Priorities: pick(w, task.SwitchOn, task.SwitchOff)})
	}
}

// simLogs are the logs of all queues.
func simLogs() (names []string) {
	for _, name := range simQueues {
		for r := range ranks {
			names = append(names, bandLog(name, r))
		}
	}
	return names
}

func logNameOf(f *feeder) string { return bandLog(f.queue, f.rank) }

func (w *world) must(err error) {
	if err != nil {
		w.failf("unexpected: %v", err)
	}
}

// Now implements clock.Clock.
func (w *world) Now() time.Time {
	return time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).Add(w.ticks + w.offset)
}

type simTimer struct {
	at      time.Duration
	f       func()
	stopped bool
}

// Stop implements clock.Timer.
func (t *simTimer) Stop() bool {
	was := !t.stopped
	t.stopped = true
	return was
}

// AfterFunc implements clock.Clock.
func (w *world) AfterFunc(d time.Duration, f func()) clock.Timer {
	t := &simTimer{at: w.ticks + d, f: f}
	w.timers = append(w.timers, t)
	return t
}

// pass lets time pass and fires timers.
func (w *world) pass(d time.Duration) {
	w.ticks += d
	if now := w.Now(); now.After(w.latest) {
		w.latest = now
	}
	timers := w.timers
	w.timers = nil
	for _, t := range timers {
		switch {
		case t.stopped:
		case t.at <= w.ticks:
			t.stopped = true
			t.f()
		default:
			w.timers = append(w.timers, t)
		}
	}
}

// step does one thing.
func (w *world) step() {
	w.pass(time.Duration(w.rng.IntN(20)) * time.Millisecond)
	if w.chance(40) {
		w.fault()
		return
	}
	if w.has(faultLetters) && w.chance(60) {
		w.letters()
		return
	}
	switch n := w.rng.IntN(100); {
	case n < 8:
		w.submit()
	case n < 33:
		if len(w.owners) > 0 {
			pick(w, w.owners...).pump()
		}
	case n < 50:
		if len(w.owners) > 0 {
			pick(w, w.owners...).work()
		}
	case n < 62:
		if w.plan.mutant == mutantHalfBatch && w.chance(10) {
			return
		}
		w.store.SyncOldest(1 + w.rng.IntN(3))
	case n < 95:
		w.pool.step()
	case n < 96:
		w.broker.flush()
	case n < 98:
		w.claimMissing()
	default:
		w.skip()
	}
}

// skip lets time pass until something is due.
func (w *world) skip() bool {
	next := time.Duration(-1)
	for _, t := range w.timers {
		if !t.stopped && (next < 0 || t.at < next) {
			next = t.at
		}
	}
	if next < 0 {
		return false
	}
	w.pass(max(next-w.ticks, 0))
	return true
}

// fault does one of the bad things that the plan allows.
func (w *world) fault() {
	kind := fault(1) << w.rng.IntN(len(faultNames))
	if !w.has(kind) {
		return
	}
	switch kind {
	case faultCrash:
		if w.chance(4) {
			w.crash()
		}
	case faultClaim:
		w.claim(w.rng.IntN(simPartitions))
	case faultWorkers:
		w.pool.trouble()
	case faultClock:
		jump := pick(w, time.Second, 10*time.Second, time.Hour)
		w.offset += pick(w, jump, -jump)
		w.logf("clock jumps, offset %v", w.offset)
	case faultSettings:
		w.configure(func(q *task.Queue) { w.shuffleSettings(q) })
	case faultDirect:
		w.direct()
	case faultBroker:
		w.reconnect()
	case faultPauses:
		w.pause()
	default: // the other kinds happen where they belong
	}
}

// crash ends the node and everything in memory.
func (w *world) crash() {
	w.logf("crash")
	w.tally.crashes++
	for _, o := range w.owners {
		o.drop()
	}
	w.owners = nil
	w.current = [simPartitions]*simOwner{}
	w.pool.crash()
	w.store.Crash()
	w.broker.crash()
}

// claimMissing claims partitions that nobody owns.
func (w *world) claimMissing() {
	for part, o := range w.current {
		if o == nil {
			w.claim(part)
		}
	}
}

// configure changes the settings of one queue.
func (w *world) configure(change func(*task.Queue)) {
	w.configureQueue(pick(w, simQueues...), change)
}

func (w *world) configureQueue(name string, change func(*task.Queue)) {
	all := *w.engine.queues.Load()
	q := all[name].settings
	change(&q)
	next := maps.Clone(all)
	next[name] = w.engine.register(q, 1)
	w.engine.queues.Store(&next)
	w.engine.limits.Configure(&q)
	for _, o := range w.current {
		if o != nil {
			o.mail.post(func(*core, time.Time) { w.tell(o, q) })
		}
	}
}

// reconnect makes a reader begin again with what is not settled.
func (w *world) reconnect() {
	if !w.broker.repeats {
		return
	}
	if l := w.broker.logs[pick(w, w.broker.names...)]; l.reader != nil {
		w.logf("reader begins again")
		l.reader.again()
	}
}

// heal ends all faults.
func (w *world) heal() {
	w.logf("healed")
	w.healed = true
	w.offset += w.latest.Sub(w.Now()) // a clock that went back is set right
	w.broker.unsure = false
	for _, name := range simQueues {
		w.configureQueue(name, func(q *task.Queue) { q.OnDead, q.Placement, q.Paused = task.OnDeadSkip, task.Placement{}, false })
	}
	w.pool.heal()
}

// needed are the labels of workers without which not everything can end.
func (w *world) needed() []map[string]string {
	if w.missing {
		return simLabels()[1:3]
	}
	return simLabels()[2:]
}

// withoutClass carries on while no worker has a gpu: what does not need one, and
// is not behind what does, must end.
func (w *world) withoutClass() {
	for range 20_000 {
		if w.active() {
			continue
		}
		w.model.expireInTime()
		if len(w.model.others()) == 0 {
			w.missing = false
			return
		}
		if !w.skip() {
			break
		}
	}
	w.failf("tasks that no worker takes hold up %v\n%s", w.model.others(), w.remains())
}

// drain carries on until nothing is left to do, and finds out whether anything
// still waits then.
func (w *world) drain() {
	for round := range 20_000 {
		if w.active() {
			continue
		}
		w.model.expireInTime()
		if w.finished() {
			w.logf("drained after %d rounds", round)
			return
		}
		if !w.skip() {
			w.failf("stuck: nothing happens any more, yet %s", w.remains())
		}
	}
	w.failf("no end in sight: %s", w.remains())
}

// active does everything that can be done now and reports whether there was
// anything.
func (w *world) active() bool {
	did := false
	w.claimMissing()
	for w.left > 0 || len(w.unsure) > 0 {
		w.submit()
		did = true
	}
	for _, o := range slices.Clone(w.owners) {
		for n := 0; o.pump() || o.work(); n++ {
			did = true
			if n > 10_000 {
				w.failf("an owner is busy without end: %s", w.remains())
			}
		}
	}
	if w.store.Sync() > 0 {
		did = true
	}
	if w.pool.run() {
		did = true
	}
	return did
}

// finished reports whether every task ended.
func (w *world) finished() bool { return len(w.model.open()) == 0 && w.broker.unsettled() == 0 }

func (w *world) remains() string {
	text := fmt.Sprintf("%d messages are not settled", w.broker.unsettled())
	for _, id := range w.model.open() {
		text += "\n  open: " + w.model.describe(id)
	}
	for _, o := range w.owners {
		text += "\n" + o.describe()
	}
	return text
}

var errInjected = errors.New("injected")
