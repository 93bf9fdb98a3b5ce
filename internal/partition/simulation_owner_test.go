package partition

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/ledger"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
	"github.com/fenfa/fenfa/internal/txn"
)

// simOwner is a real ownership without goroutines: the world takes its turns.
type simOwner struct {
	*ownership
	w      *world
	serial int // among everything that the world numbers
	epoch  uint64
	inbox  []event
	outbox []*store.Outbox // waits for its publish
	staged map[string]*stage
	late   [2][]event // what jobs found and did not post yet
	gone   bool
	// changing says that somebody changes dead letters.
	changing bool
	paused   map[string]bool // queues of whose pause it was told
}

// stage is how far a read of the broker is.
type stage struct {
	deliveries []broker.Delivery
	arrivals   []arrival
	looked     bool
}

// claim makes a new owner of a partition; the old one is not told.
func (w *world) claim(part int) {
	fence, err := w.store.Claim(context.Background(), part, 0)
	w.must(err)
	w.model.claimed(part, fence)
	w.serial++
	w.tally.claims++
	o := &simOwner{w: w, serial: w.serial, epoch: fence.Epoch, staged: map[string]*stage{}, paused: w.pausedQueues()}
	o.ownership = (&owner{e: w.engine, part: part, log: slog.New(slog.DiscardHandler)}).newOwnership()
	o.Dispatcher = &simDispatch{w: w, o: o}
	o.limiter = &simLimiter{w.engine.limits, w.serial}
	o.start = func(func(context.Context)) {}
	now := w.Now()
	led := ledger.New(ledger.Config{Part: part, Partitions: simPartitions, Node: fmt.Sprintf("node-%d", w.serial), CacheBytes: w.cache}, fence)
	o.core = newCore(coreConfig{
		Part: part, Partitions: simPartitions, Window: w.window, Repeats: w.broker.repeats, Seed: w.plan.seed,
		Stored: w.stored, Page: w.page, Classes: w.classes, Ahead: w.page,
	}, o, led, now, w.engine.counts)
	w.logf("claim part %d epoch %d", part, fence.Epoch)
	w.owners = append(w.owners, o)
	w.current[part] = o
	w.must(o.restore(context.Background(), now))
}

// Publish implements env: the rows wait until work publishes them.
func (o *simOwner) Publish(rows []*store.Outbox) { o.outbox = append(o.outbox, rows...) }

// Tell implements env: no handler of this world uses records of two partitions.
func (o *simOwner) Tell(m txn.Message) bool {
	o.w.failf("a message to another partition: %+v", m)
	return false
}

// LoadRecords implements env; sometimes an entity has more records than are loaded.
func (o *simOwner) LoadRecords(key, name string) {
	if name != "" || o.w.rows == 0 {
		o.ownership.LoadRecords(key, name)
		return
	}
	o.jobs.add(func(ctx context.Context) error {
		rows, err := o.w.store.Load(ctx, store.Scan{
			Part: o.part, Table: store.TableRecord, From: &store.Record{Key: key}, To: &store.Record{Key: key + "\x00"}, Limit: o.w.rows,
		})
		if err != nil {
			return err
		}
		var found []*store.Record
		for _, row := range rows {
			found = append(found, row.(*store.Record))
		}
		o.mail.post(func(c *core, now time.Time) { c.recordsLoaded(now, key, "", found, len(rows) < o.w.rows) })
		return nil
	})
}

// pump is a turn of the owner's loop; false says that nothing woke it.
func (o *simOwner) pump() bool {
	woken := len(o.inbox) > 0
	select {
	case <-o.mail.wake:
		woken = true
	default:
	}
	if !woken || o.gone {
		return false
	}
	o.inbox = append(o.inbox, o.mail.take(nil)...)
	n := len(o.inbox)
	if !o.w.healed && n > 0 {
		n = 1 + o.w.rng.IntN(n)
	}
	now := o.w.Now()
	events := slices.Clone(o.inbox[:n])
	o.inbox = slices.Clone(o.inbox[n:])
	for _, ev := range events {
		ev(o.core, now)
		if o.failed != nil {
			o.w.logf("owner of part %d epoch %d stops: %v", o.part, o.epoch, o.failed)
			o.stop()
			return true
		}
	}
	switch o.w.plan.mutant { //nolint:exhaustive // The others are elsewhere.
	case mutantSetsNothingAside:
		forgetSince(o.core, now)
	case mutantForgetsExpiries:
		forgetExpiries(o.core)
	}
	o.core.turn(now, func(b store.Batch) { o.commit(b) })
	o.arm(now)
	return true
}

// stop ends the ownership as the loop does after a failure.
func (o *simOwner) stop() {
	o.drop()
	o.core.abandon()
	if i := slices.Index(o.w.owners, o); i >= 0 {
		o.w.owners = slices.Delete(o.w.owners, i, i+1)
	}
	if o.w.current[o.part] == o {
		o.w.current[o.part] = nil
	}
}

// drop ends the ownership without a word, as a crash does.
func (o *simOwner) drop() {
	o.gone = true
	o.w.engine.limits.Forget(o.serial)
	o.mail.close()
	if o.timer != nil {
		o.timer.Stop()
	}
	for _, f := range o.feeders {
		f.close()
	}
}

// commit hands a batch to the store, which may fail, or not know.
func (o *simOwner) commit(b store.Batch) {
	w := o.w
	w.logf("part %d epoch %d commits seq %d to %d: %d puts, %d deletes", o.part, o.epoch, b.Prev.Seq, b.Next.Seq, len(b.Puts), len(b.Deletes))
	answer := func(err error) {
		o.mail.post(func(c *core, now time.Time) {
			if err != nil {
				o.failed = fmt.Errorf("commit: %w", err)
				return
			}
			c.committed(now)
		})
	}
	unsure := false
	if w.has(faultCommit) {
		switch w.rng.IntN(150) {
		case 0:
			w.logf("it fails")
			answer(errInjected)
			return
		case 1:
			w.logf("it does not know")
			unsure = true
		}
	}
	stored := b
	if w.plan.mutant == mutantHalfBatch && w.chance(10) && len(b.Puts) > 1 {
		stored.Puts = b.Puts[:len(b.Puts)/2]
	}
	early := w.plan.mutant == mutantForgetsCommit
	token := w.model.started(o.part, b)
	err := w.store.Start([]store.Batch{stored}, func(err error) {
		if err != nil {
			w.model.refused(o.part, token)
		} else {
			w.model.durable(o.part, token)
		}
		if !unsure && !early {
			answer(err)
		}
	})
	w.must(err)
	switch {
	case unsure:
		answer(errInjected)
	case early:
		answer(nil)
	}
}

// work does one thing that the owner's other goroutines would do.
func (o *simOwner) work() bool {
	if o.gone {
		return false
	}
	var can []func()
	for i, j := range []*jobs{o.jobs, o.rows} {
		if len(o.late[i]) > 0 {
			can = append(can, func() { o.hand(i) })
		} else if len(j.queue) > 0 {
			can = append(can, func() { o.do(i, j) })
		}
	}
	if len(o.outbox) > 0 {
		can = append(can, o.emit)
	}
	for _, name := range simLogs() {
		f, s := o.feeders[name], o.staged[name]
		if f == nil {
			continue
		}
		if s != nil {
			can = append(can, func() { o.advance(f, s) })
		} else if ready(f) && f.reader.(*simReader).waiting() {
			can = append(can, func() { o.read(f) })
		}
	}
	if len(can) == 0 {
		return false
	}
	pick(o.w, can...)()
	return true
}

// do runs a job. What it posts is held back: a goroutine may be slow between
// reading and posting.
func (o *simOwner) do(i int, j *jobs) {
	f := j.queue[0]
	j.queue = j.queue[1:]
	before := len(o.mail.events)
	if err := f(context.Background()); err != nil {
		o.fail(err)
	}
	o.late[i] = slices.Clone(o.mail.events[before:])
	o.mail.events = o.mail.events[:before]
}

// hand posts what a job found.
func (o *simOwner) hand(i int) {
	for _, ev := range o.late[i] {
		o.mail.post(ev)
	}
	o.late[i] = nil
}

// emit publishes some of the outbox.
func (o *simOwner) emit() {
	w := o.w
	n := 1 + w.rng.IntN(len(o.outbox))
	rows := o.outbox[:n]
	o.outbox = o.outbox[n:]
	w.broker.unsure = w.has(faultBroker) && w.chance(10)
	sent, refused, failed := o.publishOnce(context.Background(), rows)
	o.outbox = append(slices.Clone(failed), o.outbox...)
	o.mail.post(func(c *core, now time.Time) {
		c.published(sent)
		for _, r := range refused {
			c.emitRefused(now, r.row, r.task, r.err)
		}
	})
}

func (o *simOwner) read(f *feeder) {
	limit, err := f.wait(context.Background())
	o.w.must(err)
	if !o.w.healed {
		limit.Tasks = 1 + o.w.rng.IntN(limit.Tasks)
	}
	deliveries, err := f.reader.Next(context.Background(), limit)
	if err != nil {
		o.fail(err)
		return
	}
	o.staged[logNameOf(f)] = &stage{deliveries: deliveries}
}

func (o *simOwner) advance(f *feeder, s *stage) {
	if !s.looked {
		var err error
		s.arrivals, err = f.identify(context.Background(), s.deliveries)
		o.w.must(err)
		s.looked = true
		if o.w.plan.mutant == mutantForgetsMarks {
			for i := range s.arrivals {
				s.arrivals[i].known = nil
			}
		}
		return
	}
	delete(o.staged, logNameOf(f))
	f.hand(s.arrivals)
}

func (o *simOwner) describe() string {
	c := o.core
	var b strings.Builder
	fmt.Fprintf(&b, "owner of part %d epoch %d: %d tasks, %d leases, %d loading, sched %+v, next alarm %v, armed %v, now %v",
		o.part, o.epoch, len(c.tasks), len(c.leases), len(c.loading), c.sched, c.nextAlarm(o.w.Now()), o.armed, o.w.Now())
	for _, q := range c.order {
		for _, band := range q.bands {
			fmt.Fprintf(&b, "\n  room %+v", o.feeders[band.log].room)
		}
		fmt.Fprintf(&b, ", %s", leftOf(q))
	}
	return b.String()
}

// checkEmpty holds that nothing is left in memory after every task ended.
func (o *simOwner) checkEmpty() {
	c := o.core
	bad := len(c.tasks)+len(c.leases)+len(c.loading)+len(c.woken) != 0 || c.waitsForCommit()
	for _, q := range c.order {
		bad = bad || leftOf(q) != ""
		for _, b := range q.bands {
			bad = bad || o.feeders[b.log].room != o.w.window
		}
	}
	if bad {
		o.w.failf("something is left in memory: %s", o.describe())
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// submit publishes a few tasks, as Engine.Submit does.
func (w *world) submit() {
	if len(w.unsure) > 0 && (w.healed || w.chance(2)) {
		again := w.unsure
		w.unsure = nil
		w.publish(again)
		return
	}
	n := min(w.left, 1+w.rng.IntN(4))
	if n == 0 {
		return
	}
	w.left -= n
	tasks := make([]task.Task, n)
	for i := range tasks {
		w.serial++
		tasks[i] = w.newTask(task.DeriveID("task", fmt.Sprint(w.plan.seed), fmt.Sprint(w.serial)), 2)
		tasks[i].CreatedAt = w.engine.stamp()
	}
	w.publish(tasks)
}

// newTask draws a task.
func (w *world) newTask(id task.ID, hops byte) task.Task {
	t := task.Task{ID: id, Queue: pick(w, simQueues...), Payload: []byte{hops}}
	if t.Queue != "loose" || w.chance(2) {
		t.Key = pick(w, simKeys[w.rng.IntN(simPartitions)]...)
		if w.chance(2) {
			t.Key = simKeys[0][0] // a hot one
		}
	}
	if id[0]%4 == 0 {
		t.Timeout = 2 * time.Second // another one than the queue has, and its neighbours in a lease
	}
	if w.has(faultPlaces) && w.chance(3) {
		t.Placement.Require = pick[task.Selector](w, "gpu", "gpu", "zone=a", "zone=b", "!gpu", "gpu,zone=a")
		t.Placement.Prefer = pick[task.Selector](w, "", "", "zone=b")
	}
	if w.has(faultPriorities) {
		t.Priority = pick(w, task.PriorityLow, task.PriorityNormal, task.PriorityHigh)
	}
	if w.has(faultWaiting) {
		if w.chance(w.later) {
			soon := time.Duration(1+w.rng.IntN(60)) * time.Millisecond
			t.RunAt = w.Now().Add(pick(w, soon, soon, time.Second, time.Minute)).Truncate(time.Microsecond)
		}
		if w.chance(12) {
			t.ExpiresAt = w.Now().Add(pick(w, 100*time.Millisecond, 2*time.Minute)).Truncate(time.Microsecond)
			if !t.RunAt.IsZero() {
				t.ExpiresAt = t.RunAt.Add(time.Second)
			}
		}
	}
	return t
}

func (w *world) publish(tasks []task.Task) {
	w.broker.unsure = w.has(faultBroker) && w.chance(15)
	messages, queues := make([]broker.Message, len(tasks)), *w.engine.queues.Load()
	for i := range tasks {
		t := &tasks[i]
		w.must(t.Validate())
		body := t.Append(nil)
		messages[i] = broker.Message{
			Queue: queues[t.Queue].logOf(t), Partition: t.Partition(simPartitions), ID: t.ID, Fingerprint: task.Fingerprint(body), Body: body,
		}
	}
	err := w.broker.Publish(context.Background(), messages)
	var partial *broker.PublishError
	switch {
	case err == nil:
	case errors.As(err, &partial):
		for _, e := range partial.Failed {
			if !errors.Is(e, broker.ErrDuplicate) {
				w.failf("submit: %v", e)
			}
		}
	default:
		w.unsure = append(w.unsure, tasks...)
		return
	}
	for i := range tasks {
		w.logf("confirmed %v", tasks[i].ID)
		w.model.confirmed(tasks[i].ID)
	}
}

// direct reads or writes a record past the tasks.
func (w *world) direct() {
	part := w.rng.IntN(simPartitions)
	o := w.current[part]
	if o == nil {
		return
	}
	key, name := pick(w, simKeys[part]...), pick(w, simNames...)
	if w.chance(2) {
		key = simKeys[part][0]
	}
	if w.chance(2) {
		since := w.model.mark(part, key, name)
		o.mail.post(func(c *core, now time.Time) {
			c.getRecord(now, key, name, func(r task.Record, _ error) { w.model.sawRecord(part, key, name, since, r) })
		})
		return
	}
	w.serial++
	now := w.model.record(part, key, name)
	wr := task.Write{Key: key, Name: name, Expected: now.version, Value: fmt.Appendf(nil, "direct-%d", w.serial), Delete: w.chance(4)}
	anyVersion := w.chance(3)
	w.model.direct(wr)
	o.mail.post(func(c *core, at time.Time) {
		c.putRecord(at, &wr, anyVersion, func(version uint64, err error) { w.model.wroteRecord(part, wr, version, err) })
	})
}

// ready reports whether the feeder would read.
func ready(f *feeder) bool {
	_, ok := f.free()
	return ok
}
