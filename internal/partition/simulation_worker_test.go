package partition

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/fenfa/fenfa/internal/task"
)

// simNames are the names of records.
var simNames = []string{"a", "b", "c"}

// simPool is the worker pool: sessions with slots, and who waits for room.
type simPool struct {
	w        *world
	sessions map[uint64]*simSession
	order    []uint64 // of all sessions ever
	starved  []starving
	refused  []starving     // who was refused by a certain session since all were asked anew
	balance  map[uint64]int // assigned and not released, also of sessions that are gone
}

// starving waits for a worker with room.
type starving struct {
	o     *simOwner
	queue string
	place task.Placement
	own   uint64 // the only session that will do; 0: any
	anew  bool   // keys have other workers than when they were refused
}

// simSession is one worker process, connected once.
type simSession struct {
	w      *world
	id     uint64
	name   string
	labels map[string]string
	slots  int
	used   int
	gone   bool          // the pool gave it up; the process may not know
	dead   bool          // the process ended
	frozen time.Duration // does nothing until then
	leases []*simLease
	inbox  []func()
}

// simLease is a lease in the hands of a worker.
type simLease struct {
	lease   *task.Lease
	o       *simOwner
	next    int
	overlay map[cellName]*cell
	full    bool // what is not in the overlay does not exist under the lease's key
	asked   bool // waits for a record
	age     int  // counts conflicts, so that late records are not used
	heard   int  // counts those that the owner told of
	unsent  []task.Outcome
	first   int // of unsent
	done    bool
	loose   []int // without order: tasks to be run
}

type cellName struct{ key, name string }

// cell is a record as a handler sees it.
type cell struct {
	version uint64
	value   string
	exists  bool
	chained bool
}

// simDispatch is the pool as one owner sees it.
type simDispatch struct {
	w *world
	o *simOwner
}

// simLabels are the labels that workers have.
func simLabels() []map[string]string {
	return []map[string]string{nil, {"zone": "a"}, {"zone": "b"}, {"gpu": "1", "zone": "a"}}
}

// join adds a worker with any labels.
func (p *simPool) join() { p.joinWith(pick(p.w, simLabels()...)) }

func (p *simPool) joinWith(labels map[string]string) {
	p.w.serial++
	s := &simSession{w: p.w, id: uint64(p.w.serial), name: fmt.Sprintf("worker-%d", p.w.serial), labels: labels, slots: pick(p.w, 1, 2, 4, 20)}
	p.w.logf("session %d with %d slots and labels %v", s.id, s.slots, s.labels)
	p.sessions[s.id] = s
	p.order = append(p.order, s.id)
	p.shift()
}

func (p *simPool) alive() (alive []*simSession) {
	for _, id := range p.order {
		if s := p.sessions[id]; !s.gone && !s.dead {
			alive = append(alive, s)
		}
	}
	return alive
}

// shift follows a change of who is there: keys have other workers now, and all
// that was refused is asked anew.
func (p *simPool) shift() {
	p.starved = slices.DeleteFunc(p.starved, func(x starving) bool { return x.own != 0 })
	for _, x := range p.refused {
		x.anew = true
		if !slices.Contains(p.starved, x) {
			p.starved = append(p.starved, x)
		}
	}
	p.refused = nil
	p.feed()
}

// feed tells those who wait that there is room.
func (p *simPool) feed() {
	waiting := p.starved
	p.starved = nil
	for _, x := range waiting {
		found := p.room(x)
		if found == nil {
			p.starved = append(p.starved, x)
			continue
		}
		if p.w.plan.mutant == mutantForgetsToWake && p.w.chance(20) {
			continue
		}
		session := found.id
		if x.anew {
			session = 0
		}
		x.o.mail.post(func(c *core, _ time.Time) { c.capacity(x.queue, x.place, session) })
	}
}

// room returns a session with what somebody waits for, or nil.
func (p *simPool) room(x starving) *simSession {
	for _, s := range p.alive() {
		if s.used < s.slots && (x.own == 0 || x.own == s.id) && x.place.Require.Matches(s.labels) {
			return s
		}
	}
	return nil
}

func (d *simDispatch) HasRoom(q *task.Queue, place task.Placement) bool {
	return d.w.pool.room(starving{queue: q.Name, place: place}) != nil
}

func (d *simDispatch) Stay(session uint64, _ *task.Queue, place task.Placement) bool {
	p := d.w.pool
	s := p.sessions[session]
	if s.gone || s.dead || s.used >= s.slots || !place.Require.Matches(s.labels) || len(p.starved) > 0 {
		return false
	}
	s.used++
	p.count(session, 1)
	return true
}

// Assign draws a worker, or, where each key has its own, takes that one.
func (d *simDispatch) Assign(_ int, q *task.Queue, place task.Placement, key string, want int) (WorkerRef, int, bool) {
	p := d.w.pool
	if want < 1 {
		d.w.failf("%d slots were asked for", want)
	}
	fit := slices.DeleteFunc(p.alive(), func(s *simSession) bool {
		return !place.Require.Matches(s.labels) && d.w.plan.mutant != mutantIgnoresPlacement
	})
	own := uint64(0)
	if q.Balance.Policy == task.BalanceConsistentHash && q.Balance.Overflow == "wait" && len(fit) > 0 && key != "" {
		i := xxhash.Sum64String(key) % uint64(len(fit))
		fit = fit[i : i+1]
		own = fit[0].id
	}
	free := slices.DeleteFunc(fit, func(s *simSession) bool { return s.used >= s.slots })
	if len(free) == 0 {
		if x := (starving{d.o, q.Name, place, own, false}); !slices.Contains(p.starved, x) {
			p.starved = append(p.starved, x)
		}
		if x := (starving{o: d.o, queue: q.Name, place: place}); own != 0 && !slices.Contains(p.refused, x) {
			p.refused = append(p.refused, x)
		}
		return WorkerRef{Session: own}, 0, false
	}
	s := pick(d.w, free...)
	n := 1 + d.w.rng.IntN(min(want, s.slots-s.used))
	s.used += n
	p.count(s.id, n)
	return WorkerRef{Session: s.id, ID: s.name}, n, true
}

func (p *simPool) count(session uint64, n int) {
	if p.balance == nil {
		p.balance = map[uint64]int{}
	}
	if p.balance[session] += n; p.balance[session] < 0 {
		p.w.failf("more slots of session %d were released than assigned", session)
	}
}

func (d *simDispatch) Release(session uint64, _ string, use Use) {
	if d.w.plan.mutant == mutantLosesRelease && d.w.chance(20) {
		return
	}
	p := d.w.pool
	p.count(session, -use.Slots)
	p.sessions[session].used -= use.Slots
	if use.Tasks < use.Failed || use.Took < 0 || use.Tasks == 0 && use.Took != 0 || use.Slots == 0 && use.Tasks == 0 {
		d.w.failf("a release of %+v", use)
	}
	p.feed()
}

func (d *simDispatch) Send(session uint64, lease *task.Lease) {
	d.w.logf("part %d epoch %d lease %d of %s to session %d: %d tasks from %v, attempt %d, delivery %d", lease.Partition, lease.Epoch,
		lease.Token, lease.Queue, session, len(lease.Tasks), lease.Tasks[0].ID, lease.Tasks[0].Attempt, lease.Tasks[0].Delivery)
	if d.w.plan.mutant == mutantMixesClasses {
		lease = d.mixed(lease)
	}
	if over := d.o.core.overKeyLimit(lease); over != "" {
		d.w.failf("%s", over)
	}
	d.w.model.sent(d.o, session, lease)
	d.deliver(session, lease)
	if d.w.plan.mutant == mutantTwoWorkers && d.w.chance(20) {
		if other := pick(d.w, d.w.pool.alive()...); other.id != session {
			d.deliver(other.id, lease)
		}
	}
}

// mixed puts a task of another class in the place of the first one, at times.
func (d *simDispatch) mixed(lease *task.Lease) *task.Lease {
	if !d.w.chance(10) || len(lease.Tasks) < 2 {
		return lease
	}
	wrong := *lease
	wrong.Tasks = slices.Clone(lease.Tasks)
	wrong.Tasks[0].Placement.Prefer = "zone=c"
	return &wrong
}

func (d *simDispatch) deliver(session uint64, lease *task.Lease) {
	s := d.w.pool.sessions[session]
	if s.gone || s.dead {
		return
	}
	s.inbox = append(s.inbox, func() {
		d.w.model.begun(s, lease)
		l := &simLease{lease: lease, o: d.o}
		if lease.Ordered {
			l.reset(lease.Records, lease.Complete)
		} else {
			for i := range lease.Tasks {
				l.loose = append(l.loose, i)
			}
		}
		s.leases = append(s.leases, l)
	})
}

func (d *simDispatch) Cancel(uint64, task.LeaseRef, int) {}

func (d *simDispatch) Answer(session uint64, v task.Verdict) {
	d.w.logf("part %d answers session %d: lease %d, kind %d, first %d, count %d %s", d.o.part, session, v.Token, v.Kind, v.First, v.Count, v.Error)
	d.w.model.answered(v)
	s := d.w.pool.sessions[session]
	if s == nil || s.gone || s.dead {
		return
	}
	s.inbox = append(s.inbox, func() { s.told(v) })
}

// reset makes the overlay what the records are now.
func (l *simLease) reset(records []task.Record, complete bool) {
	l.overlay = map[cellName]*cell{}
	l.full = complete
	for _, r := range records {
		l.overlay[cellName{r.Key, r.Name}] = &cell{version: r.Version, value: string(r.Value), exists: true}
	}
	l.age++
	l.asked = false
}

// told takes a verdict.
func (s *simSession) told(v task.Verdict) {
	i := slices.IndexFunc(s.leases, func(l *simLease) bool { return l.lease.LeaseRef == v.LeaseRef })
	if i < 0 {
		return
	}
	l := s.leases[i]
	switch v.Kind {
	case task.VerdictConflict:
		if l.lease.Ordered {
			l.reset(v.Records, v.Complete)
			l.heard++
			l.next, l.unsent, l.done = v.First, nil, false
			return
		}
		l.loose = append(l.loose, v.First)
	case task.VerdictStale:
		if v.First >= 0 && v.First < len(l.lease.Tasks) && v.Count > 0 {
			l.done, l.unsent, l.loose = true, nil, nil
		}
	case task.VerdictRefused:
		if l.lease.Ordered {
			l.done = true
		}
	case task.VerdictCommitted, task.VerdictLate:
	}
}

// step makes one worker do one thing.
func (p *simPool) step() {
	alive := slices.DeleteFunc(slices.Clone(p.order), func(id uint64) bool { return p.sessions[id].dead })
	if len(alive) == 0 {
		p.join()
		return
	}
	p.sessions[pick(p.w, alive...)].step()
}

// run makes all workers do what they can.
func (p *simPool) run() bool {
	did := false
	for _, id := range slices.Clone(p.order) {
		for n := 0; n < 1000 && p.sessions[id].step(); n++ {
			did = true
		}
	}
	for _, labels := range p.w.needed() {
		if !slices.ContainsFunc(p.alive(), func(s *simSession) bool { return maps.Equal(s.labels, labels) }) {
			p.joinWith(labels)
			did = true
		}
	}
	return did
}

// trouble crashes, freezes, loses or adds a worker.
func (p *simPool) trouble() {
	alive := p.alive()
	if len(alive) == 0 || p.w.chance(3) {
		p.join()
		return
	}
	s := pick(p.w, alive...)
	switch p.w.rng.IntN(3) {
	case 0:
		s.die()
	case 1:
		s.frozen = p.w.ticks + pick(p.w, 100*time.Millisecond, 10*time.Second)
		p.w.logf("session %d freezes until %v", s.id, s.frozen)
	default:
		p.lose(s)
	}
}

// lose makes the pool give a session up.
func (p *simPool) lose(s *simSession) {
	if s.gone {
		return
	}
	p.w.logf("session %d is lost", s.id)
	p.w.tally.lost++
	s.gone = true
	p.shift()
	for _, o := range p.w.owners {
		o.mail.post(func(c *core, now time.Time) { c.workerGone(now, s.id, false) })
	}
}

func (s *simSession) die() {
	s.dead = true
	s.leases, s.inbox = nil, nil
	s.w.pool.lose(s)
}

// crash ends all sessions without anybody to be told; the processes go on.
func (p *simPool) crash() {
	for _, s := range p.alive() {
		s.gone = true
		if p.w.chance(2) {
			s.dead = true
			s.leases, s.inbox = nil, nil
		}
	}
	p.starved, p.refused = nil, nil
	p.balance = nil
	p.join()
}

// heal ends what is wrong with workers, but for a class that stays without them.
func (p *simPool) heal() {
	for _, s := range p.alive() {
		s.frozen = 0
		if p.w.missing && s.labels["gpu"] != "" {
			p.lose(s)
		}
	}
}

// step takes one message, or runs one task, or sends what was not sent.
func (s *simSession) step() bool {
	if s.dead || s.frozen > s.w.ticks {
		return false
	}
	if len(s.inbox) > 0 && (len(s.leases) == 0 || s.w.chance(2)) {
		f := s.inbox[0]
		s.inbox = s.inbox[1:]
		f()
		return true
	}
	s.leases = slices.DeleteFunc(s.leases, func(l *simLease) bool {
		return l.o.gone && s.w.chance(2) || l.done && len(l.unsent) == 0 && s.w.chance(5) && l.lease.Ordered && l.next >= len(l.lease.Tasks)+1
	})
	var can []*simLease
	for _, l := range s.leases {
		if !l.asked && (len(l.unsent) > 0 || !l.done && (l.lease.Ordered || len(l.loose) > 0)) {
			can = append(can, l)
		}
	}
	if len(can) == 0 {
		if len(s.inbox) == 0 {
			return false
		}
		f := s.inbox[0]
		s.inbox = s.inbox[1:]
		f()
		return true
	}
	l := pick(s.w, can...)
	if l.lease.Ordered {
		s.chain(l)
	} else {
		if l.overlay == nil {
			i := s.w.rng.IntN(len(l.loose))
			l.loose[0], l.loose[i] = l.loose[i], l.loose[0]
			l.overlay = map[cellName]*cell{}
		}
		index := l.loose[0]
		if o, ok := s.execute(l, index); ok {
			l.loose = l.loose[1:]
			l.overlay = nil
			s.send(l, index, []task.Outcome{o})
		}
	}
	return true
}

// chain runs the next task of an ordered lease, or sends.
func (s *simSession) chain(l *simLease) {
	if len(l.unsent) > 0 && (l.done || s.w.chance(2)) {
		outs := l.unsent
		l.unsent = nil
		s.send(l, l.first, outs)
		return
	}
	if l.done {
		return
	}
	o, ok := s.execute(l, l.next)
	if !ok {
		return
	}
	if len(l.unsent) == 0 {
		l.first = l.next
	}
	l.unsent = append(l.unsent, o)
	l.next++
	l.done = l.next == len(l.lease.Tasks) || o.Kind != task.OutcomeDone
}

// send tells the owner outcomes, perhaps not only once or not quite rightly.
func (s *simSession) send(l *simLease, first int, outs []task.Outcome) {
	w := s.w
	to := l.o
	if cur := w.current[to.part]; to.gone || cur != nil && w.chance(8) {
		to = cur
	}
	if to == nil {
		return
	}
	if l.lease.Ordered {
		for i := range outs {
			outs[i].Run = uint32(l.heard) + 1
		}
	}
	if w.has(faultAnswers) && w.chance(6) {
		w.tally.wrong++
		s.lie(l, to, first, outs)
	}
	s.post(to, s.id, l.lease.LeaseRef, first, outs)
	if w.has(faultAnswers) && w.chance(10) {
		s.post(to, s.id, l.lease.LeaseRef, first, outs)
	}
}

// lie sends something that must not take effect.
func (s *simSession) lie(l *simLease, to *simOwner, first int, outs []task.Outcome) {
	ref := l.lease.LeaseRef
	outs = slices.Clone(outs)
	for i := range outs {
		outs[i].Result = []byte("a lie")
	}
	switch s.w.rng.IntN(6) {
	case 0:
		ref.Token = ^ref.Token
		s.post(to, s.id, ref, first, outs)
	case 1:
		ref.Epoch--
		s.post(to, s.id, ref, first, outs)
	case 2:
		s.post(to, s.id, ref, -1, outs)
	case 3:
		s.post(to, s.id, ref, len(l.lease.Tasks), outs)
	case 4:
		s.post(to, 1<<40, ref, first, outs)
	case 5:
		if l.lease.Ordered {
			s.post(to, s.id, ref, first+1, outs)
		}
	}
}

func (s *simSession) post(to *simOwner, session uint64, ref task.LeaseRef, first int, outs []task.Outcome) {
	s.w.logf("session %d answers lease %d from %d: %d outcomes", session, ref.Token, first, len(outs))
	outs = slices.Clone(outs)
	for i := range outs {
		outs[i].Emits = slices.Clone(outs[i].Emits) // the core fills in ids
	}
	to.mail.post(func(c *core, now time.Time) {
		c.outcomes(now, WorkerRef{Session: session, ID: s.name}, ref, first, outs)
		if s.w.plan.mutant == mutantCountsReturns {
			s.w.countReturns(c, ref, first, outs)
		}
	})
}
