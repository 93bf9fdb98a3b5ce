package partition

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/ledger"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
	"github.com/fenfa/fenfa/internal/txn"
)

// rig is a core with a scripted world around it: it records what the core does
// and lets a test say what happens.
type rig struct {
	limiter // nil: no queue has limits
	t       testing.TB
	c       *core
	now     time.Time
	pos     broker.Position
	batch   *store.Batch // in flight

	slots    int // that the first worker has free
	worker   WorkerRef
	others   []*rigWorker
	asked    int               // calls of Assign
	refuses  map[string]bool   // keys that no worker takes
	homes    map[string]uint64 // the only sessions that take these keys
	uses     []Use
	sent     []*task.Lease
	verdicts []task.Verdict
	holder   map[task.LeaseRef]uint64
	assigned map[uint64]int
	settled  []broker.Position
	credited broker.Limit
	outbox   []*store.Outbox
	loads    []ledger.RecordKey
	marks    []task.ID     // that were asked for
	told     []txn.Message // to other partitions
	deaf     bool          // nobody serves those
	parked   []parkedRead
	schedule []scheduleRead
	expiries []scheduleRead
	cancels  []stopOf
	wanted   []rowRead
	lookUps  []broker.Position
	begun    uint64               // batches that the queue's reader has begun to look up
	rows     map[string]store.Row // durable
	fence    store.Fence
}

type parkedRead struct {
	at    laneName
	after uint64
	limit int
}

// stopOf is one task of a lease whose worker was asked to stop it.
type stopOf struct {
	ref   task.LeaseRef
	index int
}

// rowRead is a read of rows by their keys.
type rowRead struct {
	keys []store.Row
	then func(time.Time, []store.Row)
}

type scheduleRead struct {
	due time.Time
	seq uint64
}

var rigStart = time.Date(2024, 3, 1, 10, 0, 0, 0, time.UTC)

// newRig returns a core with a queue of each order. change may alter its bounds.
func newRig(tb testing.TB, change func(*coreConfig)) *rig {
	tb.Helper()
	r := &rig{
		t: tb, now: rigStart, slots: 100, worker: WorkerRef{Session: 1, ID: "w1"}, assigned: map[uint64]int{}, holder: map[task.LeaseRef]uint64{}, rows: map[string]store.Row{},
		fence: store.Fence{Epoch: 1},
	}
	r.claim(change)
	return r
}

// claim makes a new core over what is durable.
func (r *rig) claim(change func(*coreConfig)) {
	cfg := coreConfig{Partitions: 1, Window: broker.Limit{Tasks: 1000, Bytes: 4 << 20}, Seed: 1}
	if change != nil {
		change(&cfg)
	}
	r.c = newCore(cfg, r, ledger.New(ledger.Config{Partitions: cfg.Partitions, Node: "node"}, r.fence), r.now, newCounters(prometheus.NewRegistry()))
	for _, name := range []string{"keyed", "loose"} {
		q := task.DefaultQueue(name)
		if name == "loose" {
			q.Order = task.OrderNone
		}
		r.c.configure(q)
	}
	r.step()
}

// rigWorker is one more worker, with labels.
type rigWorker struct {
	ref    WorkerRef
	slots  int
	labels map[string]string
}

// join adds a worker with labels.
func (r *rig) join(slots int, labels map[string]string) *rigWorker {
	session := uint64(2 + len(r.others))
	w := &rigWorker{ref: WorkerRef{Session: session, ID: fmt.Sprint("w", session)}, slots: slots, labels: labels}
	r.others = append(r.others, w)
	return w
}

func (r *rig) Assign(_ int, _ *task.Queue, place task.Placement, key string, want int) (WorkerRef, int, bool) {
	r.asked++
	home := r.homes[key]
	if n := min(want, r.slots); n > 0 && home <= r.worker.Session && place.Require.Matches(nil) && !r.refuses[key] {
		r.slots -= n
		r.assigned[r.worker.Session] += n
		return r.worker, n, true
	}
	for _, w := range r.others {
		if n := min(want, w.slots); n > 0 && (home == 0 || home == w.ref.Session) && place.Require.Matches(w.labels) && !r.refuses[key] {
			w.slots -= n
			r.assigned[w.ref.Session] += n
			return w.ref, n, true
		}
	}
	return WorkerRef{Session: home}, 0, false
}

func (r *rig) Stay(session uint64, _ *task.Queue, place task.Placement) bool {
	slots, labels := &r.slots, map[string]string(nil)
	if session != r.worker.Session {
		w := r.others[session-2]
		slots, labels = &w.slots, w.labels
	}
	if *slots == 0 || !place.Require.Matches(labels) {
		return false
	}
	*slots--
	r.assigned[session]++
	return true
}

func (r *rig) HasRoom(_ *task.Queue, place task.Placement) bool {
	return r.slots > 0 && place.Require.Matches(nil) ||
		slices.ContainsFunc(r.others, func(w *rigWorker) bool { return w.slots > 0 && place.Require.Matches(w.labels) })
}

func (r *rig) Release(session uint64, _ string, use Use) {
	r.uses = append(r.uses, use)
	if session == r.worker.Session {
		r.slots += use.Slots
	} else {
		r.others[session-2].slots += use.Slots
	}
	if r.assigned[session] -= use.Slots; r.assigned[session] < 0 {
		r.t.Errorf("session %d: more slots released than assigned", session)
	}
}

func (r *rig) Send(session uint64, l *task.Lease) {
	r.sent = append(r.sent, l)
	r.holder[l.LeaseRef] = session
	if over := r.c.overKeyLimit(l); over != "" {
		r.t.Error(over)
	}
}

func (r *rig) Answer(_ uint64, v task.Verdict) { r.verdicts = append(r.verdicts, v) }
func (r *rig) Cancel(_ uint64, ref task.LeaseRef, index int) {
	r.cancels = append(r.cancels, stopOf{ref, index})
}
func (r *rig) Hurry()                       {}
func (r *rig) Publish(rows []*store.Outbox) { r.outbox = append(r.outbox, rows...) }
func (r *rig) LoadRecords(key, name string) {
	r.loads = append(r.loads, ledger.RecordKey{Key: key, Name: name})
}

func (r *rig) LoadMark(id task.ID) { r.marks = append(r.marks, id) }

func (r *rig) Tell(m txn.Message) bool {
	if !r.deaf {
		r.told = append(r.told, m)
	}
	return !r.deaf
}

func (r *rig) LoadRows(keys []store.Row, then func(time.Time, []store.Row)) {
	r.wanted = append(r.wanted, rowRead{keys, then})
}

func (r *rig) LookUp(_ string, upTo broker.Position) uint64 {
	r.lookUps = append(r.lookUps, upTo)
	return r.begun
}

func (r *rig) LoadSchedule(d time.Time, s uint64) {
	r.schedule = append(r.schedule, scheduleRead{d, s})
}

func (r *rig) LoadExpiries(d time.Time, s uint64) {
	r.expiries = append(r.expiries, scheduleRead{d, s})
}

func (r *rig) Settle(_ string, positions []broker.Position) {
	r.settled = append(r.settled, positions...)
}

func (r *rig) Credit(_ string, tasks, bytes int) {
	r.credited.Tasks += tasks
	r.credited.Bytes += bytes
}

func (r *rig) LoadParked(at laneName, after uint64, limit int) {
	r.parked = append(r.parked, parkedRead{at, after, limit})
}

// newTask makes a task whose ID follows from its name.
func newTask(queue, key, name string) task.Task {
	return task.Task{ID: task.DeriveID(name), Queue: queue, Key: key, Payload: []byte(name), CreatedAt: task.TimestampAt(rigStart)}
}

func arrivalOf(t task.Task) arrival {
	body := t.Append(nil)
	decoded, err := task.Decode(body)
	if err != nil {
		panic(err)
	}
	return arrival{item: newItem(decoded, body)}
}

// deliver hands tasks in as the broker does.
func (r *rig) deliver(tasks ...task.Task) {
	r.t.Helper()
	for _, t := range tasks {
		r.pos++
		a := arrivalOf(t)
		a.item.pos = r.pos
		r.c.delivered(r.now, t.Queue, r.c.queues[t.Queue].memoryRank(&t), []arrival{a})
	}
	r.step()
}

// step ends a round of events.
func (r *rig) step() {
	r.c.turn(r.now, func(b store.Batch) { r.batch = &b })
}

// commit makes everything durable, batch after batch.
func (r *rig) commit() {
	r.t.Helper()
	for n := 0; r.batch != nil; n++ {
		if n > 100 {
			r.t.Fatal("commits without end")
		}
		r.commitOne()
	}
}

// commitOne makes the batch in flight durable.
func (r *rig) commitOne() {
	r.t.Helper()
	r.persist()
	r.c.committed(r.now)
	r.step()
}

// persist makes the batch in flight durable without telling the core.
func (r *rig) persist() {
	r.t.Helper()
	b := r.batch
	r.batch = nil
	if err := r.fence.Admit(b); err != nil {
		r.t.Fatal(err)
	}
	r.fence = b.Next
	for _, row := range b.Puts {
		r.rows[fmt.Sprint(row.Table(), " ", rowName(row))] = row
	}
	for _, row := range b.Deletes {
		delete(r.rows, fmt.Sprint(row.Table(), " ", rowName(row)))
	}
}

// pass lets time pass, with all alarms on the way.
func (r *rig) pass(d time.Duration) {
	end := r.now.Add(d)
	for range 100_000 {
		at := r.c.nextAlarm(r.now)
		if at.IsZero() || at.After(end) {
			break
		}
		if at.After(r.now) {
			r.now = at
		}
		r.step()
		r.commit()
	}
	r.now = end
	r.step()
	r.commit()
}

// take returns the leases that were sent since the last call.
func (r *rig) take() []*task.Lease {
	sent := r.sent
	r.sent = nil
	return sent
}

// one returns the only lease that was sent since the last call.
func (r *rig) one() *task.Lease {
	r.t.Helper()
	sent := r.take()
	if len(sent) != 1 {
		r.t.Fatalf("%d leases were sent, want 1: %s", len(sent), names(sent))
	}
	return sent[0]
}

// names are the tasks of leases: a batch in brackets each.
func names(leases []*task.Lease) string {
	var all []string
	for _, l := range leases {
		var batch []string
		for _, t := range l.Tasks {
			batch = append(batch, string(t.Payload))
		}
		all = append(all, fmt.Sprint(batch))
	}
	slices.Sort(all)
	return fmt.Sprint(all)
}

// answer gives outcomes for tasks of a lease, from the first one given.
func (r *rig) answer(l *task.Lease, first int, outs ...task.Outcome) {
	w := r.worker
	if session := r.holder[l.LeaseRef]; session != w.Session {
		w = r.others[session-2].ref
	}
	r.c.outcomes(r.now, w, l.LeaseRef, first, outs)
	r.step()
}

// finish answers that all tasks of a lease are done, durably.
func (r *rig) finish(l *task.Lease) {
	r.t.Helper()
	r.answer(l, 0, make([]task.Outcome, len(l.Tasks))...)
	r.commit()
}

func retry(after time.Duration) task.Outcome {
	return task.Outcome{Kind: task.OutcomeRetry, Error: "not yet", RetryAfter: after}
}

func reject() task.Outcome { return task.Outcome{Kind: task.OutcomeDead, Error: "never"} }

// mark returns the durable mark of a task.
func (r *rig) mark(name string) *store.Dedup {
	row, _ := r.rows[fmt.Sprint(store.TableDedup, " ", task.DeriveID(name))].(*store.Dedup)
	return row
}

// table returns the durable rows of a table.
func (r *rig) table(t store.Table) (rows []store.Row) {
	for _, row := range r.rows {
		if row.Table() == t && !isIndex(row) {
			rows = append(rows, row)
		}
	}
	return rows
}

// isIndex reports whether a row is of the index, and no record.
func isIndex(row store.Row) bool {
	r, ok := row.(*store.Record)
	return ok && store.IsIndex(r.Key)
}

// state returns the durable state of a task.
func (r *rig) state(name string) task.State {
	if m := r.mark(name); m != nil {
		return m.State
	}
	return task.StateUnknown
}

// wantEmpty holds that nothing is left in memory and nothing is owed.
func (r *rig) wantEmpty() {
	r.t.Helper()
	c := r.c
	if len(c.tasks)+len(c.leases)+len(c.loading) != 0 || c.waitsForCommit() {
		r.t.Errorf("%d tasks, %d leases, %d loads are left", len(c.tasks), len(c.leases), len(c.loading))
	}
	for _, q := range c.order {
		left := leftOf(q)
		for _, b := range q.bands {
			if b.freed != (broker.Limit{}) {
				left += fmt.Sprintf(", freed %+v", b.freed)
			}
		}
		if left != "" {
			r.t.Error(left)
		}
	}
	for session, n := range r.assigned {
		if n != 0 {
			r.t.Errorf("%d slots of session %d are not released", n, session)
		}
	}
	if left := len(r.table(store.TableAttempt)) + len(r.table(store.TableParked)) + len(r.table(store.TableSchedule)); left != 0 {
		r.t.Errorf("%d rows are left", left)
	}
}

// leftOf says what of a queue is in memory, empty: nothing.
func leftOf(q *queue) string {
	busy := len(q.lanes)+len(q.keys)+len(q.waits) != 0
	for _, band := range q.bands {
		busy = busy || band.fetches+band.hungry.len() != 0 || band.held != (broker.Limit{}) || band.stored != (broker.Limit{})
	}
	for _, cl := range q.classes {
		busy = busy || cl.lanes+cl.shared.members+cl.shared.items.len()+cl.ready.len()+cl.refused+cl.aside.len() != 0 ||
			cl.shared.tail || cl.shared.fetching
	}
	if !busy {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "queue %s: %d lanes", q.Name, len(q.lanes))
	for _, band := range q.bands {
		fmt.Fprintf(&b, "\n    log %s: held %+v, stored %+v, %d fetches, %d hungry, %d readers, %d turns",
			band.log, band.held, band.stored, band.fetches, band.hungry.len(), band.readers.len(), band.line.len())
	}
	for _, cl := range q.classes {
		l := cl.shared
		fmt.Fprintf(&b, "\n    class %q asks %+v: %d lanes, %d ready, %d refused, %d aside, starved %v since %v, serving %v, reading %v; without order: %s",
			cl.name, cl.place, cl.lanes, cl.ready.len(), cl.refused, cl.aside.len(), cl.starved, cl.since, cl.serving, cl.reading, l.describe())
	}
	for _, key := range sortedKeys(q.keys) {
		fmt.Fprintf(&b, "\n    key %s: %d run", key, q.keys[key].running)
	}
	for _, w := range q.waits {
		fmt.Fprintf(&b, "\n    waits for key %s: %d in the line, %s", w.key, w.wait.ahead, w.describe())
	}
	for _, key := range sortedKeys(q.lanes) {
		fmt.Fprintf(&b, "\n    lane %s: %s", key, q.lanes[key].describe())
	}
	return b.String()
}

func (l *lane) describe() string {
	class := "?"
	if l.class != nil {
		class = l.class.name
	}
	return fmt.Sprintf("class %q, status %d, %d items, %d members, tail %v, last row %d, fetching %v",
		class, l.status, l.items.len(), l.members, l.tail, l.lastRow, l.fetching)
}

func (r *rig) settings(name string, change func(*task.Queue)) {
	q := r.c.queues[name].Queue
	change(&q)
	r.c.configure(q)
	r.step()
}

// restore tells a new core of the lanes with parked rows.
func (r *rig) restore() {
	heads := map[laneName]*store.Parked{}
	for _, row := range r.table(store.TableParked) {
		p := row.(*store.Parked)
		if n := (laneName{p.Queue, p.Key, p.Class}); heads[n] == nil || p.Seq < heads[n].Seq {
			heads[n] = p
		}
	}
	lanes := slices.SortedFunc(maps.Keys(heads), func(a, b laneName) int {
		return cmp.Or(cmp.Compare(a.queue, b.queue), cmp.Compare(a.key, b.key), cmp.Compare(a.class, b.class))
	})
	for _, n := range lanes {
		r.c.restoreParked(r.now, heads[n])
	}
	r.step()
}

// page answers a read of parked rows from what is durable.
func (r *rig) page(limit int) {
	r.t.Helper()
	if len(r.parked) == 0 {
		r.t.Fatal("no parked rows were asked for")
	}
	read := r.parked[0]
	r.parked = r.parked[1:]
	if _, waits := isKeyWait(read.at.class); waits {
		limit = min(limit, read.limit) // which is not always that of the configuration
	}
	arrivals := r.pageOf(read, limit)
	r.c.parkedLoaded(r.now, read.at, arrivals, len(arrivals) > 0)
	r.step()
}

// pageOf returns what a read of parked rows finds now.
func (r *rig) pageOf(read parkedRead, limit int) []arrival {
	r.t.Helper()
	var found []*store.Parked
	for _, row := range r.table(store.TableParked) {
		if p := row.(*store.Parked); (laneName{p.Queue, p.Key, p.Class}) == read.at && p.Seq > read.after {
			found = append(found, p)
		}
	}
	slices.SortFunc(found, func(a, b *store.Parked) int { return cmp.Compare(a.Seq, b.Seq) })
	found = found[:min(len(found), limit)]
	var arrivals []arrival
	for _, p := range found {
		arrivals = append(arrivals, r.revived(p.Body, time.Time{}, p.Seq))
	}
	return arrivals
}

// rowsDue answers a read of the schedule from what is durable.
func (r *rig) rowsDue() {
	r.t.Helper()
	if len(r.schedule) == 0 {
		r.t.Fatal("the schedule was not asked for")
	}
	read := r.schedule[0]
	r.schedule = r.schedule[1:]
	var found []*store.Schedule
	for _, row := range r.table(store.TableSchedule) {
		if s := row.(*store.Schedule); s.Due.After(read.due) || s.Due.Equal(read.due) && s.Seq > read.seq {
			found = append(found, s)
		}
	}
	slices.SortFunc(found, func(a, b *store.Schedule) int { return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.Seq, b.Seq)) })
	var arrivals []arrival
	for _, s := range found {
		arrivals = append(arrivals, r.revived(s.Body, s.Due, s.Seq))
	}
	r.c.scheduleLoaded(r.now, arrivals, len(found) > 0)
	r.step()
}

func (r *rig) revived(body []byte, due time.Time, seq uint64) arrival {
	t, err := task.Decode(body)
	if err != nil {
		r.t.Fatal(err)
	}
	a := arrival{item: newItem(t, body)}
	a.item.due, a.item.seq = due, seq
	if row, ok := r.rows[fmt.Sprint(store.TableAttempt, " ", t.ID)].(*store.Attempt); ok {
		a.item.attach(row)
	}
	a.known, _ = r.rows[fmt.Sprint(store.TableDedup, " ", t.ID)].(*store.Dedup)
	return a
}
