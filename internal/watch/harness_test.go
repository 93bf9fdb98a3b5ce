package watch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/storefake"
	"github.com/fenfa/fenfa/internal/task"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a hub over a store in memory, and the owner of its partitions.
type rig struct {
	tb     testing.TB
	hub    *Hub
	store  *storefake.Store
	fences []store.Fence
	state  map[[2]string]*store.Record
	log    [][]*store.OpLog // by partition
}

func newRig(tb testing.TB, cfg Config) *rig {
	tb.Helper()
	if cfg.Partitions == 0 {
		cfg.Partitions = 2
	}
	s := storefake.New(storefake.Config{AutoSync: true})
	cfg.Store = s
	hub, err := NewHub(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(hub.Close)
	r := &rig{tb: tb, hub: hub, store: s, state: map[[2]string]*store.Record{}}
	for part := range cfg.Partitions {
		r.fences = append(r.fences, store.Fence{})
		r.log = append(r.log, nil)
		r.claim(part)
	}
	return r
}

func (r *rig) claim(part int) {
	r.tb.Helper()
	fence, err := r.store.Claim(r.tb.Context(), part, 0)
	if err != nil {
		r.tb.Fatal(err)
	}
	r.fences[part] = fence
	r.hub.Tail(part).Claimed(fence)
}

// change is a write of a record; an empty value deletes it.
type change struct{ key, name, value string }

// commit makes changes of one partition durable without telling the tail.
func (r *rig) commit(part int, changes ...change) store.Batch {
	r.tb.Helper()
	b := store.Batch{Part: part, Prev: r.fences[part], Next: r.fences[part]}
	for _, c := range changes {
		b.Next.Seq++
		b.Next.HLC = task.Next(b.Next.HLC, time.Now())
		at := [2]string{c.key, c.name}
		row := &store.OpLog{Seq: b.Next.Seq, After: b.Next.Seq, HLC: b.Next.HLC, Op: store.OpPut, Key: c.key, Name: c.name, Value: []byte(c.value)}
		if old := r.state[at]; old != nil {
			row.Before = old.Version
		}
		b.Puts = append(b.Puts, row)
		if c.value == "" {
			row.Op, row.After, row.Value = store.OpDelete, 0, nil
			b.Deletes = append(b.Deletes, &store.Record{Key: c.key, Name: c.name})
			delete(r.state, at)
		} else {
			r.state[at] = &store.Record{Key: c.key, Name: c.name, Version: row.Seq, Value: row.Value, UpdatedAt: row.HLC}
			b.Puts = append(b.Puts, r.state[at])
		}
		r.log[part] = append(r.log[part], row)
	}
	b.Next.HLC = task.Next(b.Next.HLC, time.Now())
	if err := r.store.Commit(r.tb.Context(), []store.Batch{b}); err != nil {
		r.tb.Fatal(err)
	}
	r.fences[part] = b.Next
	return b
}

// write makes changes of one partition durable and tells the tail.
func (r *rig) write(part int, changes ...change) {
	r.tb.Helper()
	b := r.commit(part, changes...)
	r.hub.Tail(part).Durable(&b)
}

func (r *rig) open(req Request) *Watch {
	r.tb.Helper()
	w, err := r.hub.Open(r.tb.Context(), &req)
	if err != nil {
		r.tb.Fatal(err)
	}
	r.tb.Cleanup(w.Close)
	return w
}

// refused opens a watch that must be refused, or must fail at once.
func (r *rig) refused(req Request) error {
	r.tb.Helper()
	w, err := r.hub.Open(r.tb.Context(), &req)
	if err != nil {
		return err
	}
	defer w.Close()
	for range 10 {
		if _, err := w.Next(r.tb.Context()); err != nil {
			return err
		}
	}
	r.tb.Fatalf("%+v was not refused", req)
	return nil
}

// reader drains a watch and keeps what it was told.
type reader struct {
	tb      testing.TB
	w       *Watch
	changes []string
	records []string
	at      map[int]Position
	live    bool
	pings   []uint64
	lags    []Lag
}

func read(tb testing.TB, w *Watch) *reader {
	tb.Helper()
	return &reader{tb: tb, w: w, at: map[int]Position{}}
}

// until takes messages until the condition holds.
func (r *reader) until(what string, holds func() bool) *reader {
	r.tb.Helper()
	ctx, cancel := context.WithTimeout(r.tb.Context(), time.Minute)
	defer cancel()
	for !holds() {
		m, err := r.w.Next(ctx)
		if err != nil {
			r.tb.Fatalf("wait until %s: %v; changes %v, records %v", what, err, r.changes, r.records)
		}
		r.take(&m)
	}
	return r
}

func (r *reader) take(m *Message) {
	for _, c := range m.Changes {
		r.changes = append(r.changes, text(c))
	}
	for _, rec := range m.Records {
		r.records = append(r.records, fmt.Sprintf("%s/%s=%s@%d", rec.Key, rec.Name, rec.Value, rec.Version))
	}
	if m.Kind == KindChanges || m.Kind == KindRecords {
		r.at[m.Position.Part] = m.Position
	}
	for _, p := range m.Positions {
		r.at[p.Part] = p
	}
	r.live = r.live || m.Live
	r.pings = append(r.pings, m.Pings...)
	if m.Kind == KindLag {
		r.lags = append(r.lags, m.Lag)
	}
}

// answered takes messages until everything that is durable now was handed out.
func (r *reader) answered() *reader {
	r.tb.Helper()
	id := uint64(1000 + len(r.pings))
	r.w.Ping(id)
	return r.until("the ping is answered", func() bool { return slices.Contains(r.pings, id) })
}

// from is where another watch goes on.
func (r *reader) from() (from []Position) {
	for _, p := range r.at {
		from = append(from, p)
	}
	return from
}

func text(c *store.OpLog) string { return fmt.Sprintf("%d:%s/%s=%s", c.Seq, c.Key, c.Name, c.Value) }

func codeOf(err error) task.Code {
	e, ok := errors.AsType[*task.Error](err)
	if !ok {
		return task.CodeUnknown
	}
	return e.Code
}

func equal(tb testing.TB, got, want []string) {
	tb.Helper()
	if !slices.Equal(got, want) {
		tb.Fatalf("got  %q\nwant %q", got, want)
	}
}
