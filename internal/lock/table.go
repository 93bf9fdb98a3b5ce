package lock

import (
	"slices"
	"strings"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// Journal keeps the records of held locks. The record that an event is about is
// known to it when the event comes.
type Journal interface {
	// Put writes the record of a lock and returns its version, which is greater than
	// every earlier one.
	Put(now time.Time, name string, value []byte) (token uint64)
	// Delete removes the record of a lock.
	Delete(now time.Time, name string)
}

// Meter counts what happens to locks.
type Meter interface {
	Held(change int)
	Waiting(change int)
	Waited(d time.Duration)
	Expired()
	Stolen()
}

// Config is what a Table must know.
type Config struct {
	Journal Journal
	Meter   Meter
	// Claimed is when the partition was claimed: the earliest moment from which
	// locks that were held before have their whole TTL.
	Claimed time.Time
	// Waiters, Line and Held bound the table; default MaxWaiters, MaxLine, MaxHeld.
	Waiters, Line, Held int
}

// Table is the locks of one partition.
type Table struct {
	cfg    Config
	locks  map[string]*entry // those that are held
	line   int               // tickets that wait
	alarms alarms
}

// entry is a lock that is held.
type entry struct {
	holding
	name      string
	token     uint64
	since     time.Time
	deadline  time.Time // zero: the grant is not durable yet
	confirmed bool      // the holder has renewed it
	granted   *Ticket   // whose call it is that confirms it; nil: nobody's of this owner
	waiters   []*Ticket // first come, first served
	alarm     alarm
}

// Ticket is one call that asks for a lock. Its Answer is called once at most, when
// the lock is granted or will not be.
type Ticket struct {
	Request
	Answer func(Held, error)

	since time.Time
	entry *entry // in whose line it stands; nil: in none
	alarm alarm
}

// NewTable returns a table without locks.
func NewTable(cfg Config) *Table {
	if cfg.Waiters == 0 {
		cfg.Waiters = MaxWaiters
	}
	if cfg.Line == 0 {
		cfg.Line = MaxLine
	}
	if cfg.Held == 0 {
		cfg.Held = MaxHeld
	}
	return &Table{cfg: cfg, locks: make(map[string]*entry)}
}

// Known tells what the journal's record of a lock is; a token of 0 says that it
// has none. It comes before every event about a lock. What the table knows already
// stays: it is the same.
func (t *Table) Known(name string, token uint64, value []byte, since time.Time) {
	if token == 0 || t.locks[name] != nil {
		return
	}
	e := &entry{holding: decode(value), name: name, token: token, since: since, confirmed: true}
	t.add(e)
	t.expireAt(e, t.cfg.Claimed.Add(e.ttl()))
}

// Acquire grants the lock of a valid request, refuses it, or lets the ticket wait.
// A repeat of a request whose claim holds the lock gets the same token; one whose
// claim waits takes the place in line.
func (t *Table) Acquire(now time.Time, k *Ticket) {
	k.since = now
	e := t.locks[k.Name]
	switch {
	case e == nil && len(t.locks) >= t.cfg.Held:
		k.Answer(Held{}, task.Errorf(task.CodeResourceExhausted,
			"%d locks of this lock's partition are held, more are not allowed: release some", t.cfg.Held).WithRetryAfter(time.Second))
	case e == nil:
		t.grant(now, &entry{name: k.Name}, k)
	case k.Claim != "" && e.Claim == k.Claim:
		if !e.confirmed {
			e.granted = k
		}
		k.Answer(e.held(), nil)
	case k.Claim != "" && t.takeOver(now, e, k):
	case k.Wait <= 0:
		k.Answer(Held{}, e.refusal())
	case len(e.waiters) >= t.cfg.Waiters:
		k.Answer(Held{}, task.Errorf(task.CodeResourceExhausted,
			"%d callers wait for lock %q, more are not allowed: try again later", len(e.waiters), e.name).WithRetryAfter(time.Second))
	case t.line >= t.cfg.Line:
		k.Answer(Held{}, task.Errorf(task.CodeResourceExhausted,
			"%d callers wait for locks of this lock's partition, more are not allowed: try again later", t.line).WithRetryAfter(time.Second))
	default:
		e.waiters = append(e.waiters, k)
		t.wait(now, e, k)
	}
}

// takeOver gives a ticket the place that an earlier one of the same claim has in
// line, if there is one.
func (t *Table) takeOver(now time.Time, e *entry, k *Ticket) bool {
	i := slices.IndexFunc(e.waiters, func(w *Ticket) bool { return w.Claim == k.Claim })
	if i < 0 {
		return false
	}
	old := e.waiters[i]
	t.leave(old)
	k.since = old.since
	e.waiters[i] = k
	t.wait(now, e, k)
	old.Answer(Held{}, task.Errorf(task.CodeUnavailable, "a later call with the same claim waits for lock %q now", e.name))
	return true
}

// wait makes a ticket that has a place in line known.
func (t *Table) wait(now time.Time, e *entry, k *Ticket) {
	k.entry = e
	k.alarm = alarm{entry: e, ticket: k}
	t.alarms.set(&k.alarm, now.Add(k.Wait))
	t.line++
	t.cfg.Meter.Waiting(1)
}

// leave makes a ticket forgotten whose place in line goes to another, or away.
func (t *Table) leave(k *Ticket) {
	k.entry = nil
	t.alarms.clear(&k.alarm)
	t.line--
	t.cfg.Meter.Waiting(-1)
}

// Withdraw says that the caller of a ticket is gone: it leaves the line, and a
// grant that it did not confirm goes to the next.
func (t *Table) Withdraw(now time.Time, k *Ticket) {
	if e := k.entry; e != nil {
		e.waiters = slices.DeleteFunc(e.waiters, func(w *Ticket) bool { return w == k })
		t.leave(k)
		return
	}
	if e := t.locks[k.Name]; e != nil && e.granted == k && !e.confirmed {
		t.free(now, e)
	}
}

// Settled says that the grant with this token is durable: its time runs from now.
func (t *Table) Settled(now time.Time, name string, token uint64) {
	e := t.locks[name]
	if e == nil || e.token != token || !e.deadline.IsZero() {
		return
	}
	d := e.ttl()
	if !e.confirmed {
		d = e.confirmWithin()
	}
	t.expireAt(e, now.Add(d))
}

// Renew gives the holder its whole TTL again, and confirms a grant.
func (t *Table) Renew(now time.Time, name string, token uint64) (Held, error) {
	e, err := t.current(name, token)
	if err != nil {
		return Held{}, err
	}
	e.confirmed, e.granted = true, nil
	if !e.deadline.IsZero() { // Else it begins when the grant is durable.
		t.expireAt(e, now.Add(e.ttl()))
	}
	return e.held(), nil
}

// Release frees the lock, or gives it to the first in line, if the token is the
// current one.
func (t *Table) Release(now time.Time, name string, token uint64) error {
	e, err := t.current(name, token)
	if err != nil {
		return err
	}
	t.free(now, e)
	return nil
}

// Steal gives the lock to the caller whoever holds it. Those in line stay there.
func (t *Table) Steal(now time.Time, r Request) Held {
	e := t.locks[r.Name]
	if e == nil {
		e = &entry{name: r.Name}
	} else {
		t.cfg.Meter.Stolen()
	}
	t.give(now, e, r)
	e.confirmed = true
	return e.held()
}

// current returns the lock if the token is its current one.
func (t *Table) current(name string, token uint64) (*entry, error) {
	e := t.locks[name]
	switch {
	case e == nil:
		return nil, task.Errorf(task.CodeStale, "token %d of lock %q has ended: nobody holds the lock now", token, name)
	case e.token != token:
		return nil, task.Errorf(task.CodeStale, "token %d of lock %q has ended: %q holds the lock now, with token %d", token, name, e.Holder, e.token)
	}
	return e, nil
}

// free gives a lock to the first in line, or removes it.
func (t *Table) free(now time.Time, e *entry) {
	if len(e.waiters) > 0 {
		next := e.waiters[0]
		e.waiters = slices.Delete(e.waiters, 0, 1)
		t.leave(next)
		t.grant(now, e, next)
		return
	}
	t.alarms.clear(&e.alarm)
	delete(t.locks, e.name)
	t.cfg.Meter.Held(-1)
	t.cfg.Journal.Delete(now, e.name)
}

// grant gives a lock to a ticket that stands in no line.
func (t *Table) grant(now time.Time, e *entry, k *Ticket) {
	t.give(now, e, k.Request)
	e.granted = k
	t.cfg.Meter.Waited(now.Sub(k.since))
	k.Answer(e.held(), nil)
}

// give makes a request the holder of a lock, with a new token.
func (t *Table) give(now time.Time, e *entry, r Request) {
	e.holding = holding{Holder: r.Holder, Claim: r.Claim, TTLMS: r.TTL.Milliseconds()}
	e.token = t.cfg.Journal.Put(now, e.name, e.encode())
	e.since, e.deadline, e.confirmed, e.granted = now, time.Time{}, false, nil
	t.alarms.clear(&e.alarm)
	if t.locks[e.name] == nil {
		t.add(e)
	}
}

func (t *Table) add(e *entry) {
	e.alarm = alarm{entry: e}
	t.locks[e.name] = e
	t.cfg.Meter.Held(1)
}

func (t *Table) expireAt(e *entry, at time.Time) {
	e.deadline = at
	// Renewals only move the deadline; the alarm follows when it goes off.
	if e.alarm.index == 0 || at.Before(e.alarm.at) {
		t.alarms.set(&e.alarm, at)
	}
}

// Next is when Due must be called, or zero.
func (t *Table) Next() time.Time {
	if len(t.alarms) == 0 {
		return time.Time{}
	}
	return t.alarms[0].at
}

// Skip lets nothing that is under way have the time d, by which the clock was put
// forward: holders keep their locks for as long as before, and callers wait so.
func (t *Table) Skip(d time.Duration) {
	for _, a := range t.alarms { // all by the same, so that their order stays
		a.at = a.at.Add(d)
	}
	for _, e := range t.locks {
		if !e.deadline.IsZero() {
			e.deadline = e.deadline.Add(d)
		}
	}
	t.cfg.Claimed = t.cfg.Claimed.Add(d)
}

// Due answers the tickets whose wait is over, and returns the locks whose time is
// over: Expire is to be called for each.
func (t *Table) Due(now time.Time) (names []string) {
	for {
		a := t.alarms.due(now)
		switch {
		case a == nil:
			return names
		case a.ticket == nil:
			names = append(names, a.entry.name)
		default:
			k, e := a.ticket, a.entry
			e.waiters = slices.DeleteFunc(e.waiters, func(w *Ticket) bool { return w == k })
			t.leave(k)
			k.Answer(Held{}, e.refusal())
		}
	}
}

// Expire frees a lock whose time is over.
func (t *Table) Expire(now time.Time, name string) {
	e := t.locks[name]
	switch {
	case e == nil || e.deadline.IsZero():
	case e.deadline.After(now):
		t.expireAt(e, e.deadline) // It was renewed meanwhile.
	default:
		t.cfg.Meter.Expired()
		t.free(now, e)
	}
}

// Get returns a held lock.
func (t *Table) Get(now time.Time, name string) (View, bool) {
	e := t.locks[name]
	if e == nil {
		return View{}, false
	}
	return e.view(now), true
}

// List returns the locks that are held and whose names begin with prefix and come
// after the given one, by name, at most limit.
func (t *Table) List(now time.Time, prefix, after string, limit int) []View {
	var names []string
	for name := range t.locks {
		if name > after && strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	views := make([]View, min(limit, len(names)))
	for i := range views {
		views[i] = t.locks[names[i]].view(now)
	}
	return views
}

// Abandon takes the table out of what the meter counts. It is not used afterwards.
func (t *Table) Abandon() {
	t.cfg.Meter.Held(-len(t.locks))
	t.cfg.Meter.Waiting(-t.line)
}

func (e *entry) held() Held {
	h := Held{Name: e.name, Token: e.token, TTL: e.ttl()}
	if !e.confirmed {
		h.Confirm = e.confirmWithin()
	}
	return h
}

func (e *entry) confirmWithin() time.Duration { return min(e.ttl(), ConfirmWithin) }

func (e *entry) refusal() error {
	return task.Errorf(task.CodeFailedPrecondition, "lock %q is held by %q, with token %d", e.name, e.Holder, e.token)
}

func (e *entry) view(now time.Time) View {
	v := View{Name: e.name, Holder: e.Holder, Token: e.token, TTL: e.ttl(), Since: e.since, Waiters: len(e.waiters)}
	switch {
	case !e.deadline.IsZero():
		v.Left = max(0, e.deadline.Sub(now))
	case e.confirmed:
		v.Left = e.ttl()
	default:
		v.Left = e.confirmWithin()
	}
	return v
}
