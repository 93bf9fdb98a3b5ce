package partition

import (
	"math/rand/v2"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/cron"
	"github.com/fenfa/fenfa/internal/ledger"
	"github.com/fenfa/fenfa/internal/lock"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
	"github.com/fenfa/fenfa/internal/txn"
)

// Bounds of what a core does by itself.
const (
	parkAfter     = 2 * time.Second        // a lane that stands still for longer gives its memory back
	longBackoff   = 10 * time.Second       // a task without order that waits longer becomes a schedule row
	leaseGrace    = time.Second            // beyond an attempt's timeout, before the lease is ended here
	tickInterval  = 200 * time.Millisecond // between looks at deadlines and at stuck lanes
	lookInterval  = 20 * time.Millisecond  // between looks at a full window while things happen
	suspectAfter  = 3                      // deliveries after which a task is leased alone
	maxLeaseBytes = 1 << 20                // of the tasks of one lease, unless one is larger
	maxLeaseTasks = 512                    // of a lease without order
	parkedPage    = 256
	schedulePage  = 256
	maxFetches    = 4       // pages of parked rows of one queue that are on their way
	maxBatchBytes = 4 << 20 // of a gathering batch; beyond, no new leases until it is committed
	keptClasses   = 64      // of a queue, before those that nothing belongs to any more go away
)

// tokenBits are those of a token that count the leases of one claim; the epoch
// stands above them, so that tokens grow from owner to owner whatever clocks say.
const tokenBits = 40

// env is what a core does to the world. No method blocks; results come back as
// events.
type env interface {
	gate
	// Hurry tells the store that somebody waits for a lazy batch after all.
	Hurry()
	// Settle tells the broker that tasks of a log are done with.
	Settle(log string, positions []broker.Position)
	// Credit gives room back to the reader of a log.
	Credit(log string, tasks, bytes int)
	// Publish hands outbox rows to the broker; event published follows.
	Publish(rows []*store.Outbox)
	// Tell sends a message to another partition, and reports false if nobody serves
	// that. The message may be lost all the same.
	Tell(m txn.Message) bool
	loader
}

// loader is what a core reads from the store.
type loader interface {
	// LoadRecords reads one record, or with an empty name all of a key; event
	// recordsLoaded follows.
	LoadRecords(key, name string)
	// LoadParked reads up to limit of a lane's parked rows after seq; event parkedLoaded
	// follows.
	LoadParked(at laneName, after uint64, limit int)
	// LoadSchedule reads a page of schedule rows after the given one; event
	// scheduleLoaded follows.
	LoadSchedule(due time.Time, seq uint64)
	// LoadExpiries reads a page of parked tasks that expire after the given one; event
	// expiriesLoaded follows.
	LoadExpiries(at time.Time, seq uint64)
	// LoadMark reads the mark with an ID; event markLoaded follows.
	LoadMark(id task.ID)
	// LoadRows reads rows by their keys; an event follows that calls then with one for
	// each, nil where there is none.
	LoadRows(keys []store.Row, then func(now time.Time, rows []store.Row))
	// LookUp makes the reader of a log look for the mark of every task up to a position,
	// also of those that are new to it, and returns how many batches it has begun to
	// look up before.
	LookUp(log string, upTo broker.Position) (begun uint64)
}

// coreConfig is what a core must know.
type coreConfig struct {
	Part       int
	Partitions int
	Node       string
	Window     broker.Limit // tasks and bytes of one log held in memory
	// Repeats says that the broker may deliver one task under two positions.
	Repeats bool
	Seed    uint64
	// Stored bounds what is held in memory of a queue's tasks that came from schedule
	// and parked rows, of each band; default Window.
	Stored broker.Limit
	// Page is how many parked rows are read at a time, default parkedPage.
	Page int
	// Ahead is how many schedule rows are held in memory before they are due, default
	// aheadTasks.
	Ahead int
	// Classes is how many classes of a queue are kept, default keptClasses.
	Classes int
}

func (cfg coreConfig) withDefaults() coreConfig {
	if cfg.Stored == (broker.Limit{}) {
		cfg.Stored = cfg.Window
	}
	if cfg.Page == 0 {
		cfg.Page = parkedPage
	}
	if cfg.Ahead == 0 {
		cfg.Ahead = aheadTasks
	}
	if cfg.Classes == 0 {
		cfg.Classes = keptClasses
	}
	return cfg
}

// core is the state machine of one owned partition.
type core struct {
	cfg coreConfig
	env env
	led *ledger.Ledger
	rng *rand.Rand

	queues map[string]*queue
	order  []*queue // round in which queues are served
	tasks  map[task.ID]*item
	leases map[uint64]*lease
	token  uint64 // of the latest lease
	first  uint64 // before every row number of this claim
	recent recentIDs
	marked map[task.ID]struct{} // tasks that left marks since the sweeper asked; nil: nobody asked

	gathering afterwards // waits for the batch that gathers
	flying    afterwards // waits for the batch in flight
	woken     []*lane    // to be looked at in the next step
	vetting   []*lane    // lines with tasks that count as running while they are offered
	alarms    alarms
	expiries  expiries
	lastTick  time.Time
	draining  bool // nothing new is leased
	pressing  bool // somebody waits for the batch that gathers
	lazy      bool // nobody waits for the batch in flight

	loading        map[ledger.RecordKey][]func() // by record, name empty for all of a key
	loadedAt       time.Time                     // when the last of them came
	sched          scheduler
	parkedExpiries parkedExpiries
	counts         *counters
	locks          *lock.Table
	sagas          *sagaBook
	crons          cronBook

	txns     map[task.ID]*transaction // of which this partition is home
	asked    map[task.ID]time.Time    // when home was asked about a prepared branch
	question uint64                   // number of the latest that was asked about a branch
	waiters  map[ledger.RecordKey][]*waiter
	commits  map[task.ID][]func(*store.Dedup) // that wait for the mark with their ID
	sought   map[task.ID]*soughtMark          // marks that are being read, of tasks to be cancelled
	claims   map[task.ID]*claiming            // of contents that are to be unique, by what names them
	unread   map[task.ID]*unreadTask          // cancelled ones that may be on their way to here
	ends     map[task.ID][]*endWait           // who waits for tasks to end
	inDoubt  int                              // branches that are counted as prepared
}

func newCore(cfg coreConfig, e env, led *ledger.Ledger, now time.Time, counts *counters) *core {
	cfg = cfg.withDefaults()
	first := uint64(led.Stamp(now))
	c := &core{
		cfg:            cfg,
		env:            e,
		led:            led,
		rng:            rand.New(rand.NewPCG(cfg.Seed, uint64(cfg.Part))),
		queues:         make(map[string]*queue),
		tasks:          make(map[task.ID]*item),
		leases:         make(map[uint64]*lease),
		token:          led.Epoch() << tokenBits,
		first:          first,
		loading:        make(map[ledger.RecordKey][]func()),
		counts:         counts,
		sched:          scheduler{rest: true, most: cfg.Ahead},
		parkedExpiries: parkedExpiries{scheduler: scheduler{rest: true, most: cfg.Ahead}},
		txns:           make(map[task.ID]*transaction),
		asked:          make(map[task.ID]time.Time),
		waiters:        make(map[ledger.RecordKey][]*waiter),
		commits:        make(map[task.ID][]func(*store.Dedup)),
		sought:         make(map[task.ID]*soughtMark),
		unread:         make(map[task.ID]*unreadTask),
		claims:         make(map[task.ID]*claiming),
		ends:           make(map[task.ID][]*endWait),
		recent:         recentIDs{most: recentOf(cfg)},
		sagas:          counts.sagas.book(cfg.Part),
		crons:          cronBook{open: make(map[string]*cron.Schedule), gone: make(map[string]struct{})},
	}
	c.locks = lock.NewTable(lock.Config{Journal: lockJournal{c}, Meter: counts.locks, Claimed: now})
	return c
}

// leastRecent is how many ended tasks are remembered at least: a window does not
// bound those that go into the store as they arrive.
const leastRecent = 4096

// recentOf is how many ended tasks are remembered: what readers may have looked
// up before they ended, and not handed in yet.
func recentOf(cfg coreConfig) int {
	if !cfg.Repeats {
		return 0
	}
	return max(4*cfg.Window.Tasks, leastRecent)
}

// drainCore stops handing out tasks.
func drainCore(c *core, _ time.Time) { c.draining = true }

// delivered takes tasks from one of a queue's logs, in its order.
func (c *core) delivered(now time.Time, name string, r rank, arrivals []arrival) {
	q := c.queues[name]
	b := q.bands[r]
	freed, late := b.freed, false
	for i := range arrivals {
		a := &arrivals[i]
		it := &a.item
		it.rank = r
		b.held.Tasks++
		b.held.Bytes += it.size
		late = late || it.expired(now)
		if len(it.Headers) > 0 && isMarker(&it.Task) {
			c.purgedUpTo(q, it)
			continue
		}
		held := c.tasks[it.ID]
		if mark := c.cancelledMark(a); mark != nil && held == nil && !c.recent.has(it.ID) {
			c.endCancelled(now, q, it, mark)
			continue
		}
		if c.repeats(now, a) || held != nil || c.recent.has(it.ID) {
			c.counts.repeats.Inc()
			// The very message that is held is given again where a reader reconnected: it
			// is settled when its task ends.
			if held == nil || held.origin != inBroker || held.pos != it.pos || held.rank != r {
				c.settle(q, it)
			}
			c.unhold(it, q)
			continue
		}
		if q.purge == nil || !c.purged(now, q, it) {
			c.admit(now, q, it)
		}
	}
	if q.purge != nil || late {
		c.holdRoom(b, freed)
	}
	c.arrived(b)
}

// repeats reports whether a mark says that this very task ended or waits in the
// store. The mark may be that of an earlier task with the same ID, whose window is
// over: then the broker took the new one, and it must run.
func (c *core) repeats(now time.Time, a *arrival) bool {
	mark := a.known
	switch {
	case mark == nil:
		return false
	case mark.CreatedAt == a.item.CreatedAt || !mark.State.Final():
		return true
	case !c.cfg.Repeats:
		return false
	default: // a submit that was repeated before the first one was known
		return mark.Expires.IsZero() || now.Before(mark.Expires)
	}
}

// admit puts a task that is not in memory yet where it belongs.
func (c *core) admit(now time.Time, q *queue, it *item) {
	c.tasks[it.ID] = it
	l := q.laneOf(&it.Task)
	it.lane = l
	l.members++
	if it.expired(now) {
		c.expire(now, it)
		c.wake(now, l) // the lane may have been made for this task only
		return
	}
	if l.wait != nil {
		q.metrics.keyWaits.Inc()
	}
	if it.origin == inBroker && it.attempts == 0 && it.RunAt.After(now) {
		c.reschedule(now, it, it.RunAt)
		c.wake(now, l) // the lane may have been made for this task only
		return
	}
	if !l.ordered && it.notBefore.After(now) {
		c.enqueue(now, it)
		return
	}
	// Tasks of a lane keep their order; those that are due and find no room wait
	// where other queues do not wait for them.
	if c.closed(l) || it.origin == inSchedule && c.over(q.bands[it.rank]) {
		if l.ordered && !l.tail {
			c.parkAll(now, l)
		}
		c.park(now, it)
		c.forget(it)
		c.wake(now, l)
		return
	}
	c.enqueue(now, it)
	if l.status == laneSettling {
		c.press()
		c.goAhead(now, l)
	}
	c.wake(now, l)
}

// enqueue puts a task at the end of its lane, or, where there is no order and its
// next attempt is not due, lets it wait beside it.
func (c *core) enqueue(now time.Time, it *item) {
	c.watchExpiry(it)
	if !it.lane.ordered && it.notBefore.After(now) {
		it.state = task.StateScheduled
		c.alarms.add(alarm{at: it.notBefore, item: it})
		return
	}
	it.state = task.StateReady
	it.lane.pushBack(it)
}

// forget drops a task from memory.
func (c *core) forget(it *item) {
	delete(c.tasks, it.ID)
	c.unwatchExpiry(it)
	it.lane.members--
	if it.from != nil || it.lane.wait != nil {
		c.left(it)
	}
	if it.origin == inBroker {
		c.unhold(it, it.lane.q)
		return
	}
	it.lane.q.unstore(it)
}

// afterDurable calls answer when everything accepted until now is durable.
func (c *core) afterDurable(answer func()) {
	if !c.waitsForCommit() {
		answer()
		return
	}
	c.gathering.answers = append(c.gathering.answers, answer)
	c.press()
}

// press says that somebody waits for what gathers or is in flight. Batches that
// nobody waits for are lazy: they share the cost of a commit with others.
func (c *core) press() {
	c.pressing = true
	if c.lazy {
		c.lazy = false
		c.env.Hurry()
	}
}

// wake looks at a lane whose circumstances changed.
func (c *core) wake(now time.Time, l *lane) {
	if l.status != laneIdle {
		return
	}
	if l.wait != nil {
		c.goOnFor(now, l)
		return
	}
	if l.items.len() == 0 {
		switch {
		case l.tail:
			c.fetch(l)
		case l.settling > 0:
			l.status = laneSettling
		case l.ordered && l.q.lanes[l.key] == l:
			delete(l.q.lanes, l.key)
			l.join(nil)
		}
		return
	}
	if l.ordered {
		l.join(l.q.classOf(&l.items.at(0).Task))
	}
	if c.lacks(l) {
		c.fetch(l)
	}
	if l.ordered {
		if at := l.items.at(0).notBefore; at.After(now) {
			c.block(now, l, at)
			return
		}
		if !c.led.Ready(l.key) {
			l.status = laneLoading
			c.load(ledger.RecordKey{Key: l.key}, func() { c.loaded(l) })
			return
		}
		if l.q.own {
			c.receive(now, l)
			return
		}
		if c.waits(now, l) {
			return
		}
	}
	l.status = laneReady
	l.class.ready.pushBack(l)
	l.q.enlist(l.class)
}

// waits makes a lane wait until its last outcomes are durable, unless it may go
// ahead, and until what others wrote to its key's records is, so that its worker
// sees nothing else. For the latter it waits once: where records are written all the
// time, it goes on without them, and the worker asks.
func (c *core) waits(now time.Time, l *lane) bool {
	if c.mayGoAhead(now, l) {
		return false
	}
	if l.settling > 0 {
		l.status = laneSettling
		c.press()
		return true
	}
	if l.waited || c.led.Clean(l.key) {
		return false
	}
	l.waited = true
	c.settles(l)
	c.press()
	return true
}

func (c *core) loaded(l *lane) {
	l.status = laneIdle
	c.woken = append(c.woken, l)
}

// block makes a lane wait for a time.
func (c *core) block(now time.Time, l *lane, until time.Time) {
	l.status = laneBlocked
	l.until = until
	c.alarms.add(alarm{at: until, lane: l})
	if l.stuck(now) {
		c.evict(now, l, 0)
	}
}

// step carries out what became possible: leases, room for readers, rows to read.
// The runtime calls it after each round of events.
func (c *core) step(now time.Time) {
	c.rouse(now)
	if !c.draining {
		for c.serve(now); len(c.woken) > 0; c.serve(now) {
			c.rouse(now)
		}
		c.relieve(now)
	}
	c.feed()
	if !c.waitsForCommit() {
		ready := c.gathering // waits for nothing: no batch gathers
		c.gathering = afterwards{}
		c.release(now, ready)
	}
	for _, q := range c.order {
		for _, b := range q.bands {
			if b.freed.Tasks > 0 {
				c.env.Credit(b.log, b.freed.Tasks, b.freed.Bytes)
				b.freed = broker.Limit{}
			}
		}
	}
}

// rouse looks at lanes whose circumstances changed.
func (c *core) rouse(now time.Time) {
	for len(c.woken) > 0 {
		woken := c.woken
		c.woken = nil
		for _, l := range woken {
			c.wake(now, l)
		}
	}
}

// turn follows a round of events: it does what became due and possible, and hands
// the next batch to commit.
func (c *core) turn(now time.Time, commit func(store.Batch)) {
	if at := c.nextAlarm(now); !at.IsZero() && !at.After(now) {
		c.tick(now)
	}
	c.step(now)
	if b, ok := c.seal(now); ok {
		commit(b)
	}
	c.step(now)
	if n := len(c.order); n > 1 { // another queue is first next time
		first := c.order[0]
		copy(c.order, c.order[1:])
		c.order[n-1] = first
	}
}

// waitsForCommit reports whether something accepted is not durable yet.
func (c *core) waitsForCommit() bool { return !c.led.Durable(c.led.Pending()) }

// seal returns the next batch to commit, if there is one and none is in flight.
func (c *core) seal(now time.Time) (store.Batch, bool) {
	b, ok := c.led.Seal(now)
	if ok {
		c.flying, c.gathering = c.gathering, afterwards{}
		b.Lazy, c.lazy, c.pressing = !c.pressing, !c.pressing, false
	}
	return b, ok
}

// committed says that the batch in flight is durable.
func (c *core) committed(now time.Time) {
	c.led.Committed()
	c.lazy = false
	done := c.flying
	c.flying = afterwards{}
	c.release(now, done)
}

// nextAlarm is when tick must be called, or zero.
func (c *core) nextAlarm(now time.Time) time.Time {
	at := sooner(c.nextDue(), c.locks.Next())
	if len(c.leases) > 0 || c.crowded() || c.transacting() {
		t := c.lastTick.Add(tickInterval)
		if c.lastTick.After(now) {
			t = now // the clock went back
		}
		if at.IsZero() || t.Before(at) {
			at = t
		}
		if at.Before(now) {
			at = now
		}
	}
	return at
}

// nextDue is when something is due that tasks or schedules wait for, or zero.
func (c *core) nextDue() time.Time {
	at := c.alarms.next()
	for _, next := range [...]time.Time{c.sched.next(), c.nextExpiry(), c.crons.times.next()} {
		at = sooner(at, next)
	}
	return at
}

// tick is called when time passes.
func (c *core) tick(now time.Time) {
	for {
		a, ok := c.alarms.due(now)
		if !ok {
			break
		}
		switch {
		case a.call != nil:
			a.call(now)
		case a.lane != nil && a.lane.status == laneBlocked && a.lane.until.Equal(a.at):
			a.lane.status = laneIdle
			a.lane.freed = a.at
			c.wake(now, a.lane)
		case a.item != nil && c.tasks[a.item.ID] == a.item && a.item.state == task.StateScheduled:
			a.item.state = task.StateReady
			a.item.lane.pushBack(a.item)
			c.wake(now, a.item.lane)
		}
	}
	c.tickCrons(now)
	c.expireLocks(now)
	c.comeDue(now)
	c.expireDue(now)
	if since := now.Sub(c.lastTick); since >= 0 && since < tickInterval {
		return
	}
	c.lastTick = now
	c.endOverdue(now)
	c.recover(now)
	c.countOut()
	if c.crowded() {
		c.makeRoom(now)
	}
}
