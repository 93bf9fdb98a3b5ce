package lock

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// rig is a table with a journal in memory that is durable at once.
type rig struct {
	t       *testing.T
	table   *Table
	now     time.Time
	records map[string][]byte
	tokens  map[string]uint64 // of the records
	seq     uint64
	said    []string // what tickets were answered, in order
	last    map[string]Held

	held, waiting, expired, stolen int
	waits                          []time.Duration
}

var start = time.Date(2024, 3, 1, 10, 0, 0, 0, time.UTC)

func newRig(t *testing.T, change func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, now: start, records: map[string][]byte{}, tokens: map[string]uint64{}, last: map[string]Held{}}
	r.claim(change)
	return r
}

// claim makes a new table over the records, as a new owner does.
func (r *rig) claim(change func(*Config)) {
	cfg := Config{Journal: r, Meter: r, Claimed: r.now}
	if change != nil {
		change(&cfg)
	}
	r.table = NewTable(cfg)
}

func (r *rig) Put(_ time.Time, name string, value []byte) uint64 {
	r.seq++
	r.records[name], r.tokens[name] = value, r.seq
	return r.seq
}

func (r *rig) Delete(_ time.Time, name string) {
	r.seq++
	delete(r.records, name)
	delete(r.tokens, name)
}

func (r *rig) Held(change int)        { r.held += change }
func (r *rig) Waiting(change int)     { r.waiting += change }
func (r *rig) Waited(d time.Duration) { r.waits = append(r.waits, d) }
func (r *rig) Expired()               { r.expired++ }
func (r *rig) Stolen()                { r.stolen++ }

func (r *rig) known(name string) {
	r.table.Known(name, r.tokens[name], r.records[name], r.now)
}

// settle makes all grants durable.
func (r *rig) settle() {
	for name, token := range r.tokens {
		r.table.Settled(r.now, name, token)
	}
}

// acquire asks for lock "l" as who, with a TTL of 10 s.
func (r *rig) acquire(who string, wait time.Duration) *Ticket {
	return r.ask(Request{Name: "l", Holder: who, Claim: who, TTL: 10 * time.Second, Wait: wait})
}

func (r *rig) ask(req Request) *Ticket {
	r.t.Helper()
	if err := req.Validate(); err != nil {
		r.t.Fatal(err)
	}
	k := &Ticket{Request: req}
	k.Answer = func(h Held, err error) {
		if err != nil {
			r.said = append(r.said, fmt.Sprintf("%s: %v", req.Holder, err))
			return
		}
		r.last[req.Holder] = h
		r.said = append(r.said, fmt.Sprintf("%s has %s with %d", req.Holder, h.Name, h.Token))
	}
	r.known(req.Name)
	r.table.Acquire(r.now, k)
	r.settle()
	return k
}

// confirm renews as who for the first time, or again.
func (r *rig) renew(who string) error {
	h := r.last[who]
	r.known(h.Name)
	_, err := r.table.Renew(r.now, h.Name, h.Token)
	return err
}

func (r *rig) release(who string) error {
	h := r.last[who]
	r.known(h.Name)
	err := r.table.Release(r.now, h.Name, h.Token)
	r.settle()
	return err
}

func (r *rig) withdraw(k *Ticket) {
	r.known(k.Name)
	r.table.Withdraw(r.now, k)
	r.settle()
}

// pass lets time pass, with everything that is due on the way.
func (r *rig) pass(d time.Duration) {
	end := r.now.Add(d)
	for range 10_000 {
		at := r.table.Next()
		if at.IsZero() || at.After(end) {
			break
		}
		r.now = at
		for _, name := range r.table.Due(r.now) {
			r.known(name)
			r.table.Expire(r.now, name)
		}
		r.settle()
	}
	r.now = end
}

// want holds what was answered since the last call.
func (r *rig) want(lines ...string) {
	r.t.Helper()
	if got, want := strings.Join(r.said, "\n"), strings.Join(lines, "\n"); got != want {
		r.t.Fatalf("answers:\n%s\nwant:\n%s", got, want)
	}
	r.said = nil
}

func (r *rig) wantHolder(who string) {
	r.t.Helper()
	v, held := r.table.Get(r.now, "l")
	if who == "" && held || who != "" && v.Holder != who {
		r.t.Fatalf("lock l is held by %q (%v), want %q", v.Holder, held, who)
	}
}
