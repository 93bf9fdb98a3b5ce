package history

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/fenfa/fenfa/internal/task"
)

// mutant is a defect of the fake.
type mutant string

const (
	healthy         mutant = ""
	skipFsync       mutant = "skip an fsync"
	reuseToken      mutant = "reuse a token"
	ackBeforeCommit mutant = "ack before commit"
	dropAck         mutant = "drop one ack"
	twoWorkers      mutant = "deliver a key to two workers"
	forgetMark      mutant = "forget a dedup mark"
	halfTransaction mutant = "apply half of a transaction"
)

// Sizes of a run of the fake.
const (
	fakeClients  = 3
	fakeTasks    = 14 // a client
	fakeCrashes  = 3
	fakeLease    = 60 // ticks until a lease ends
	fakeAttempts = 3  // failures until a task is dead
	fakeTotal    = 100
)

// fake is a task system in one thread: a log with fsyncs, a store with marks,
// lanes with leases, workers that fail, freeze and die, and a server that
// crashes. A seed decides everything.
type fake struct {
	rng    *rand.Rand
	mutant mutant
	log    *Log

	now    int64
	events eventHeap
	order  int

	// Durable, or known to the world outside.
	entries  []*entry // the broker's log
	states   map[task.ID]task.State
	marks    map[task.ID]bool
	records  map[string]Access // the last write of each key
	accounts [2]int64
	seq      uint64

	// Lost by a crash.
	epoch, token uint64
	durable      int // entries with a durable place
	syncing      bool
	settling     bool
	waiting      []func()
	lanes        map[lane]*fakeLane
	laneOrder    []lane
}

type entry struct {
	id          task.ID
	at          lane
	settled     bool // in memory
	settledDisk bool
	attempts    int
	deliveries  int
}

type fakeLane struct {
	queue  []*entry
	leases []Fence
}

type event struct {
	at    int64
	order int
	run   func()
}

type eventHeap []event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].order < h[j].order
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(event)) }
func (h *eventHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// runFake returns the history of one run.
func runFake(seed uint64, m mutant) History {
	f := &fake{
		rng: rand.New(rand.NewPCG(seed, 0x68697374)), mutant: m, log: NewRecorder(RecorderConfig{}).Log(),
		states: map[task.ID]task.State{}, marks: map[task.ID]bool{}, records: map[string]Access{},
		lanes: map[lane]*fakeLane{}, epoch: 1, accounts: [2]int64{fakeTotal, 0},
	}
	f.log.Group(Group{Name: "accounts", Records: []Ref{{"a", "balance"}, {"b", "balance"}}, Total: fakeTotal})
	for client := range fakeClients {
		f.after(1, 20, func() { f.client(fmt.Sprintf("client-%d", client), 1) })
	}
	for range fakeCrashes {
		f.after(50, 900, f.crash)
	}
	for range 30 {
		f.after(1, 1000, f.transfer)
		f.after(1, 1000, f.snapshot)
		f.after(1, 1000, f.read)
	}
	for steps := 0; len(f.events) > 0; steps++ {
		if steps > 200_000 {
			panic("the fake does not come to rest")
		}
		e := heap.Pop(&f.events).(event)
		f.now = e.at
		e.run()
	}
	f.finish()
	return f.log.take()
}

// after runs the function in least to most ticks.
func (f *fake) after(least, most int64, run func()) {
	f.order++
	heap.Push(&f.events, event{f.now + least + f.rng.Int64N(most-least+1), f.order, run})
}

// alive runs the function later unless the server crashed meanwhile.
func (f *fake) alive(least, most int64, run func()) {
	epoch := f.epoch
	f.after(least, most, func() {
		if f.epoch == epoch {
			run()
		}
	})
}

func (f *fake) chance(share float64) bool { return f.rng.Float64() < share }

// is reports whether the fake has the defect, which shows this often.
func (f *fake) is(m mutant, share float64) bool { return f.mutant == m && f.chance(share) }

// victim picks the same tasks each time they come by.
func (f *fake) victim(m mutant, id task.ID) bool { return f.mutant == m && id[9]%4 == 0 }

// client submits its tasks one after another, and repeats what it has no
// answer for.
func (f *fake) client(name string, pos int64) {
	if pos > fakeTasks {
		return
	}
	at := lane{"orders", []string{"k1", "k2", "k3", ""}[f.rng.IntN(4)]}
	f.submit(Submit{Client: name, Task: task.DeriveID(name, fmt.Sprint(pos)), Queue: at.queue, Key: at.key, Pos: pos}, 1)
}

func (f *fake) submit(s Submit, try int) {
	s.Start = f.now
	answered := false
	answer := func(r Result) {
		if answered {
			return
		}
		answered = true
		s.Result, s.End = r, f.now
		f.log.Submit(s)
		if r == Unknown && try < 4 {
			f.after(1, 10, func() { f.submit(s, try+1) })
			return
		}
		f.after(1, 30, func() { f.client(s.Client, s.Pos+1) })
	}
	ok := func() { f.after(1, 3, func() { answer(OK) }) }
	f.after(100, 120, func() { answer(Unknown) })
	f.alive(1, 4, func() {
		if f.chance(0.03) {
			f.after(1, 3, func() { answer(Fail) })
			return
		}
		f.accept(s, ok)
	})
}

// accept puts a task into the log; ok confirms it.
func (f *fake) accept(s Submit, ok func()) {
	i := slices.IndexFunc(f.entries, func(e *entry) bool { return e.id == s.Task })
	if i < 0 {
		i = len(f.entries)
		f.entries = append(f.entries, &entry{id: s.Task, at: lane{s.Queue, s.Key}})
	}
	if i < f.durable || f.mutant == skipFsync {
		ok()
	}
	if i < f.durable {
		return
	}
	f.waiting = append(f.waiting, ok)
	if !f.syncing {
		f.syncing = true
		f.alive(5, 15, f.sync)
	}
}

// sync makes the log durable, confirms, and lets the tasks into their lanes.
func (f *fake) sync() {
	f.syncing = false
	fresh := f.entries[f.durable:]
	f.durable = len(f.entries)
	for _, ok := range f.waiting {
		ok()
	}
	f.waiting = nil
	f.enqueue(fresh)
}

func (f *fake) enqueue(entries []*entry) {
	for _, e := range entries {
		l := f.lanes[e.at]
		if l == nil {
			l = &fakeLane{}
			f.lanes[e.at] = l
			f.laneOrder = append(f.laneOrder, e.at)
		}
		l.queue = append(l.queue, e)
	}
	f.dispatch()
}

// dispatch hands out the head of each free lane.
func (f *fake) dispatch() {
	for _, at := range f.laneOrder {
		l := f.lanes[at]
		for len(l.queue) > 0 && (len(l.leases) == 0 || at.key == "" || f.is(twoWorkers, 0.5)) {
			e := l.queue[0]
			l.queue = l.queue[1:]
			f.lend(l, e)
		}
	}
}

// lend gives the task to a worker.
func (f *fake) lend(l *fakeLane, e *entry) {
	if !f.is(reuseToken, 0.3) || f.token == 0 {
		f.token++
	}
	fence := Fence{f.epoch, f.token}
	l.leases = append(l.leases, fence)
	e.deliveries++
	d := Delivery{
		Worker: fmt.Sprintf("worker-%d", f.rng.IntN(3)), Fence: fence, Task: e.id, Queue: e.at.queue, Key: e.at.key,
		Attempt: e.attempts + 1, Delivery: e.deliveries,
	}
	expected := f.records[e.at.key].Version
	f.after(1, 5, func() { f.execute(d, l, e, expected) })
	f.alive(fakeLease, fakeLease+10, func() {
		if f.endLease(l, fence) {
			l.queue = slices.Insert(l.queue, 0, e)
			f.dispatch()
		}
	})
}

// endLease reports whether the lease was still there.
func (f *fake) endLease(l *fakeLane, fence Fence) bool {
	i := slices.Index(l.leases, fence)
	if i < 0 {
		return false
	}
	l.leases = slices.Delete(l.leases, i, i+1)
	return true
}

// execute is the worker: it may die, freeze or fail.
func (f *fake) execute(d Delivery, l *fakeLane, e *entry, expected uint64) {
	d.Start = f.now
	if f.chance(0.05) {
		f.log.Delivery(d)
		return
	}
	least, most := int64(2), int64(20)
	if f.chance(0.05) {
		least, most = 80, 150
	}
	failed := f.chance(0.25)
	f.after(least, most, func() {
		d.End = f.now
		if failed {
			d.Error = "no"
		}
		f.log.Delivery(d)
		f.after(1, 5, func() { f.outcome(d, l, e, expected) })
	})
}

// outcome is the server's end of an execution.
func (f *fake) outcome(d Delivery, l *fakeLane, e *entry, expected uint64) {
	if d.Fence.Epoch != f.epoch || !slices.Contains(l.leases, d.Fence) {
		return // stale
	}
	if d.Error != "" {
		f.failed(d, l, e)
		return
	}
	// The lease cannot end under a commit: it is renamed to nothing else's.
	f.endLease(l, d.Fence)
	l.leases = append(l.leases, Fence{})
	if f.mutant == ackBeforeCommit {
		e.settled, e.settledDisk = true, true
	}
	f.alive(3, 10, func() { f.commit(d, l, e, expected) })
}

func (f *fake) failed(d Delivery, l *fakeLane, e *entry) {
	f.endLease(l, d.Fence)
	if e.attempts++; e.attempts >= fakeAttempts {
		f.states[e.id], f.marks[e.id] = task.StateDead, true
		f.settle(e)
		f.dispatch()
		return
	}
	l.leases = append(l.leases, Fence{}) // holds the lane back
	f.alive(5, 30, func() {
		f.endLease(l, Fence{})
		l.queue = slices.Insert(l.queue, 0, e)
		f.dispatch()
	})
}

// commit makes the task's effect durable.
func (f *fake) commit(d Delivery, l *fakeLane, e *entry, expected uint64) {
	f.endLease(l, Fence{})
	f.seq++
	f.states[e.id] = task.StateDone
	if !f.victim(forgetMark, e.id) {
		f.marks[e.id] = true
	}
	f.log.Effect(Effect{Task: e.id, Queue: e.at.queue, Key: e.at.key, Seq: f.seq, Fence: d.Fence})
	if e.at.key != "" {
		w := Access{
			Client: d.Worker, Start: d.Start, End: f.now + 2, Kind: Write, Key: e.at.key, Name: "last",
			Expected: expected, Version: f.seq, Value: e.id.String(), Result: OK,
		}
		f.records[e.at.key] = w
		f.log.Access(w)
	}
	f.settle(e)
	f.dispatch()
}

// settle tells the broker; the disk learns it much later.
func (f *fake) settle(e *entry) {
	if f.victim(dropAck, e.id) {
		return
	}
	e.settled = true
	if !f.settling {
		f.settling = true
		f.alive(100, 300, func() {
			f.settling = false
			for _, e := range f.entries {
				e.settledDisk = e.settled
			}
		})
	}
}

// crash loses what is in memory, and recovers.
func (f *fake) crash() {
	f.epoch++
	f.token = 0
	f.entries = f.entries[:f.durable:f.durable]
	f.syncing, f.settling, f.waiting = false, false, nil
	f.lanes, f.laneOrder = map[lane]*fakeLane{}, nil
	var again []*entry
	for i, e := range f.entries {
		recovered := &entry{id: e.id, at: e.at, settled: e.settledDisk, settledDisk: e.settledDisk, attempts: e.attempts}
		f.entries[i] = recovered
		switch {
		case recovered.settled:
		case f.marks[e.id]:
			f.settle(recovered)
		default:
			again = append(again, recovered)
		}
	}
	f.enqueue(again)
}

func (f *fake) transfer() {
	amount := f.rng.Int64N(20) - 10
	f.accounts[0] -= amount
	if !f.is(halfTransaction, 0.2) {
		f.accounts[1] += amount
	}
}

func (f *fake) snapshot() {
	s := Snapshot{Client: "auditor", Start: f.now, End: f.now + 3, Group: "accounts", Values: []int64{f.accounts[0], f.accounts[1]}}
	f.log.Snapshot(s)
}

func (f *fake) read() {
	key := []string{"k1", "k2", "k3"}[f.rng.IntN(3)]
	start := f.now
	f.after(1, 5, func() {
		w := f.records[key]
		a := Access{Client: "reader", Start: start, Kind: Read, Key: key, Name: "last", Version: w.Version, Value: w.Value, Result: OK}
		f.after(1, 5, func() {
			a.End = f.now
			f.log.Access(a)
		})
	})
}

// finish looks where every task is.
func (f *fake) finish() {
	ids := make([]task.ID, 0, len(f.states))
	for id := range f.states {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, task.ID.Compare)
	for _, id := range ids {
		f.log.Final(Final{id, f.states[id]})
	}
	for _, e := range f.entries {
		if !e.settled {
			f.log.Final(Final{e.id, task.StateQueued})
		}
	}
}
