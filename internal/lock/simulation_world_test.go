package lock

import (
	"container/heap"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// mutant is a defect that the simulation must notice.
type mutant string

const (
	noMutant        mutant = ""
	noFreshTTL      mutant = "a new owner takes deadlines as over"
	answersEarly    mutant = "answers come before they are durable"
	tokensReused    mutant = "a new owner counts tokens from where it likes"
	renewsUnproven  mutant = "an owner that was replaced renews"
	countsFromReply mutant = "holders count from the answer and not from the request"
	lastComeFirst   mutant = "the last in line is served first"
	ignoresRenewals mutant = "renewals do not move the deadline"
)

// world is owners, callers and a network, driven by a seed. Time passes from event
// to event.
type world struct {
	mutant mutant
	rng    *rand.Rand
	now    time.Time
	events happenings
	number int // of events, so that equal times keep their order

	records map[string]record // durable
	seq     uint64            // durable
	owner   *owner
	zombie  *owner // was replaced and does not know it yet
	callers []*caller
	calm    bool // nothing goes wrong any more

	believers map[string][]*caller // who believes to hold a lock
	tokens    map[string]uint64    // highest ever granted
	failures  []string
	grants    int
}

type record struct {
	token uint64
	value []byte
	since time.Time
}

type happening struct {
	at     time.Time
	number int
	do     func()
}

type happenings []happening

func (h happenings) Len() int { return len(h) }
func (h happenings) Less(i, j int) bool {
	return h[i].at.Before(h[j].at) || h[i].at.Equal(h[j].at) && h[i].number < h[j].number
}
func (h happenings) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *happenings) Push(x any)   { *h = append(*h, x.(happening)) }
func (h *happenings) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

func newWorld(seed uint64, m mutant) *world {
	w := &world{
		mutant: m, rng: rand.New(rand.NewPCG(seed, 1)), now: start, records: map[string]record{},
		believers: map[string][]*caller{}, tokens: map[string]uint64{},
	}
	w.takeOver()
	for i := range 2 + w.rng.IntN(5) {
		c := &caller{w: w, id: i, pace: 0.95 + 0.1*w.rng.Float64()}
		w.callers = append(w.callers, c)
		w.after(w.upTo(5*time.Second), c.begin)
	}
	w.after(w.upTo(20*time.Second), w.trouble)
	return w
}

func (w *world) after(d time.Duration, do func()) {
	w.number++
	heap.Push(&w.events, happening{w.now.Add(d), w.number, do})
}

func (w *world) upTo(d time.Duration) time.Duration { return time.Duration(w.rng.Int64N(int64(d))) }

func (w *world) failf(format string, args ...any) {
	w.failures = append(w.failures, fmt.Sprintf("%v: ", w.now.Sub(start))+fmt.Sprintf(format, args...))
}

// run lets time pass.
func (w *world) run(d time.Duration) {
	for end := w.now.Add(d); len(w.events) > 0 && !w.events[0].at.After(end) && len(w.failures) == 0; {
		h := heap.Pop(&w.events).(happening)
		w.now = h.at
		h.do()
	}
}

// trouble replaces the owner: it crashes, or another takes over and it goes on for a
// while without knowing.
func (w *world) trouble() {
	if w.calm {
		return
	}
	old := w.owner
	old.fenced = true
	if w.rng.IntN(2) == 0 {
		w.zombie = old
		w.after(w.upTo(15*time.Second), func() { w.zombie = nil })
	} else {
		old.dead = true
	}
	w.takeOver()
	w.after(time.Second+w.upTo(25*time.Second), w.trouble)
}

func (w *world) takeOver() {
	w.owner = &owner{w: w, pending: maps.Clone(w.records), seq: w.seq, line: map[string][]*Ticket{}}
	claimed := w.now
	if w.mutant == noFreshTTL {
		claimed = claimed.Add(-time.Hour)
	}
	if w.mutant == tokensReused {
		w.owner.seq = w.rng.Uint64N(w.seq + 1)
	}
	w.owner.table = NewTable(Config{Journal: w.owner, Meter: w.owner, Claimed: claimed})
}

// send carries a message to an owner and lets it act, or loses it.
func (w *world) send(act func(o *owner)) {
	if !w.calm && w.rng.IntN(12) == 0 {
		return
	}
	w.after(w.delay(), func() {
		o := w.owner
		if w.zombie != nil && w.rng.IntN(2) == 0 {
			o = w.zombie
		}
		o.event(func() { act(o) })
	})
}

// delay is what the network takes: mostly little, at times seconds.
func (w *world) delay() time.Duration {
	if !w.calm && w.rng.IntN(10) == 0 {
		return w.upTo(4 * time.Second)
	}
	return w.upTo(20 * time.Millisecond)
}

// owner is a partition's owner: a table, and commits that take their time.
type owner struct {
	w       *world
	table   *Table
	pending map[string]record // what will be durable
	seq     uint64
	batch   batch // gathers
	busy    bool  // a commit is in flight
	fenced  bool  // its commits fail
	dead    bool
	wakes   time.Time
	line    map[string][]*Ticket // who waits, as the requests came
}

// batch is what a commit makes durable, and what may happen then.
type batch struct {
	grants  map[string]uint64
	answers []func()
}

func (o *owner) Put(now time.Time, name string, value []byte) uint64 {
	o.seq++
	o.pending[name] = record{o.seq, value, now}
	if o.batch.grants == nil {
		o.batch.grants = map[string]uint64{}
	}
	o.batch.grants[name] = o.seq
	return o.seq
}

func (o *owner) Delete(_ time.Time, name string) {
	o.seq++
	delete(o.pending, name)
}

func (*owner) Held(int)             {}
func (*owner) Waiting(int)          {}
func (*owner) Waited(time.Duration) {}
func (*owner) Expired()             {}
func (*owner) Stolen()              {}

// event lets the owner act and begins a commit.
func (o *owner) event(act func()) {
	if o.dead {
		return
	}
	act()
	if at := o.table.Next(); !at.IsZero() && (o.wakes.IsZero() || at.Before(o.wakes)) {
		o.wakes = at
		o.w.after(max(0, at.Sub(o.w.now)), func() { o.event(o.tick) })
	}
	o.commit()
}

func (o *owner) tick() {
	o.wakes = time.Time{}
	for _, name := range o.table.Due(o.w.now) {
		o.known(name)
		o.table.Expire(o.w.now, name)
	}
}

func (o *owner) known(name string) {
	r := o.pending[name]
	o.table.Known(name, r.token, r.value, r.since)
}

// reply answers a caller once everything until now is durable.
func (o *owner) reply(answer func()) {
	deliver := func() { o.w.after(o.w.delay(), answer) }
	if o.w.mutant == answersEarly {
		deliver()
		return
	}
	o.batch.answers = append(o.batch.answers, deliver)
}

// commit makes what gathers durable, one batch after another.
func (o *owner) commit() {
	if o.busy || len(o.batch.answers)+len(o.batch.grants) == 0 {
		return
	}
	b, records, seq := o.batch, maps.Clone(o.pending), o.seq
	o.batch, o.busy = batch{}, true
	took := o.w.upTo(30 * time.Millisecond)
	if !o.w.calm && o.w.rng.IntN(20) == 0 {
		took = o.w.upTo(5 * time.Second)
	}
	o.w.after(took, func() {
		if o.fenced { // What it decided never happened.
			o.dead = true
			return
		}
		o.busy = false
		o.w.records, o.w.seq = records, seq
		for _, answer := range b.answers {
			answer()
		}
		o.event(func() {
			for _, name := range slices.Sorted(maps.Keys(b.grants)) {
				o.table.Settled(o.w.now, name, b.grants[name])
			}
		})
	})
}

// acquire takes a request and watches that the line is fair.
func (o *owner) acquire(r Request, answer func(Held, error)) {
	k := &Ticket{Request: r}
	answered := false
	k.Answer = func(h Held, err error) {
		answered = true
		line := o.line[r.Name]
		if i := slices.Index(line, k); i >= 0 {
			if err == nil && i > 0 {
				o.w.failf("%s was given to %s, whose request came after %d others", r.Name, r.Claim, i)
			}
			o.line[r.Name] = slices.Delete(line, i, i+1)
		}
		o.reply(func() { answer(h, err) })
	}
	// A repeat has the place of the call before.
	place := slices.IndexFunc(o.line[r.Name], func(w *Ticket) bool { return w.Claim == r.Claim })
	o.known(r.Name)
	o.table.Acquire(o.w.now, k)
	if answered {
		return
	}
	if e := o.table.locks[r.Name]; o.w.mutant == lastComeFirst && place < 0 {
		e.waiters = append([]*Ticket{k}, e.waiters[:len(e.waiters)-1]...)
	}
	if place < 0 {
		place = len(o.line[r.Name])
	}
	o.line[r.Name] = slices.Insert(o.line[r.Name], place, k)
}

func (o *owner) renew(name string, token uint64, answer func(Held, error)) {
	o.known(name)
	var before time.Time
	if e := o.table.locks[name]; e != nil {
		before = e.deadline
	}
	h, err := o.table.Renew(o.w.now, name, token)
	if e := o.table.locks[name]; err == nil && o.w.mutant == ignoresRenewals && !before.IsZero() {
		o.table.expireAt(e, before)
	}
	if err == nil && o.fenced && o.w.mutant == renewsUnproven {
		o.w.after(o.w.delay(), func() { answer(h, err) })
		return
	}
	o.reply(func() { answer(h, err) })
}
