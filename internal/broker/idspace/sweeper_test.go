package idspace_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fenfa/fenfa/internal/broker/idspace"
	"github.com/fenfa/fenfa/internal/clock"
	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/kv/kvtest"
	"github.com/fenfa/fenfa/internal/task"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const now = 1_800_000_000_000 // Unix milliseconds

// still is a clock that stands still.
type still struct{}

func (still) Now() time.Time                              { return time.UnixMilli(now) }
func (still) AfterFunc(time.Duration, func()) clock.Timer { return nil }

// rig is a database, and an owner whose rows say by their one byte whether they
// expired.
type rig struct {
	t       *testing.T
	db      *kv.DB
	sweeper *idspace.Sweeper

	mu      sync.Mutex
	horizon uint64
	writes  uint64
	busy    bool
	paused  func() // before what was found is removed
	removed int
	looked  int
	broken  error
}

const (
	lives   byte = 1
	expired byte = 2
)

func newRig(t *testing.T) *rig {
	t.Helper()
	db, err := kv.Open(kv.Config{Dir: "data", FS: kvtest.NewDisk().FS(), MemTableBytes: 4 << 20, CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	r := &rig{t: t, db: db}
	r.sweeper, err = idspace.NewSweeper(r.config())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) config() idspace.Config {
	return idspace.Config{
		DB: r.db, Space: space, RowSize: 1, Owner: r, Guard: r, Clock: still{}, Interval: time.Second, Logger: slog.New(slog.DiscardHandler),
	}
}

func (*rig) ShortestWindow() time.Duration { return 10 * time.Minute }

func (r *rig) Expired(_ *task.ID, row []byte, _ time.Time) (bool, error) {
	r.looked++
	return row[0] == expired, r.broken
}

func (r *rig) Removed(rows int) { r.removed += rows }

func (r *rig) Raise(horizon uint64) { r.horizon = max(r.horizon, horizon) }

func (r *rig) Begin() (uint64, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.writes, !r.busy
}

func (r *rig) Commit(state uint64, commit func()) bool {
	if r.paused != nil {
		r.paused()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.writes != state {
		return false
	}
	commit()
	return true
}

// write writes the rows of some ids.
func (r *rig) write(row byte, ids ...task.ID) {
	r.t.Helper()
	batch := r.db.NewBatch()
	for i := range ids {
		batch.Set(space.Key(&ids[i]), []byte{row})
	}
	r.mu.Lock()
	r.writes++
	r.mu.Unlock()
	if err := r.db.CommitWait(r.t.Context(), batch); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) sweep() {
	r.t.Helper()
	if err := r.sweeper.Sweep(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	if err := r.db.Barrier(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// has reports how many of the ids have a row.
func (r *rig) has(ids []task.ID) (n int) {
	r.t.Helper()
	for i := range ids {
		_, found, err := r.db.Get(space.Key(&ids[i]))
		if err != nil {
			r.t.Fatal(err)
		}
		if found {
			n++
		}
	}
	return n
}

// some returns ids: timed ones of an age, or others.
func some(n int, age time.Duration) []task.ID {
	ids := make([]task.ID, n)
	for i := range ids {
		ids[i] = at(now - age.Milliseconds() + int64(i%3))
	}
	return ids
}

func named(n int, name string) []task.ID {
	ids := make([]task.ID, n)
	for i := range ids {
		ids[i] = task.DeriveID(name, fmt.Sprint(i))
	}
	return ids
}

func TestASweepRemovesWhatExpiredAndNothingElse(t *testing.T) {
	r := newRig(t)
	old, between, oldest := some(1000, time.Hour), some(20, time.Hour), some(40, 2*time.Hour)
	young, gone, kept := some(300, time.Minute), named(400, "gone"), named(50, "kept")
	r.write(expired, old...)
	r.write(expired, oldest...)
	r.write(lives, between...) // in the midst of those that go
	r.write(expired, young...) // so young that no sweep looks at them
	r.write(expired, gone...)
	r.write(lives, kept...)
	r.sweep()
	if n := r.has(old) + r.has(oldest) + r.has(gone); n != 0 {
		t.Errorf("%d rows that expired are left", n)
	}
	if a, b, c := r.has(between), r.has(young), r.has(kept); a != 20 || b != 300 || c != 50 {
		t.Errorf("left are %d of 20, %d of 300, %d of 50", a, b, c)
	}
	if r.removed != 1440 {
		t.Errorf("it says that %d rows were removed", r.removed)
	}
	if want := uint64(now - (10 * time.Minute).Milliseconds()); r.horizon != want {
		t.Errorf("the horizon is %d, want %d", r.horizon, want)
	}
}

func TestASweepRemovesNothingThatIsWrittenMeanwhile(t *testing.T) {
	r := newRig(t)
	old := some(600, time.Hour)
	late := old[100]
	late[15]++ // It lies between the others, and never had a row.
	r.write(expired, old...)
	r.paused = func() {
		r.paused = nil
		r.write(lives, old[7], late)
	}
	r.sweep()
	if r.has(old) != 600 || r.has([]task.ID{late}) != 1 {
		t.Fatal("it removed what was written meanwhile, or may have")
	}
	r.sweep()
	if n := r.has(old); n != 1 || r.has([]task.ID{late}) != 1 {
		t.Errorf("after another sweep %d rows are left, want the one that was written again", n)
	}
}

func TestASweepWaitsForPublishesUnderWay(t *testing.T) {
	r := newRig(t)
	old := some(10, time.Hour)
	r.write(expired, old...)
	r.busy = true
	r.sweep()
	if r.looked != 0 || r.has(old) != 10 {
		t.Errorf("it looked at %d rows", r.looked)
	}
	r.busy = false
	r.sweep()
	if n := r.has(old); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

func TestASweepIsBoundedAndGoesOnWhereItWas(t *testing.T) {
	const rows, perStep = 25_000, 10_000
	r := newRig(t)
	kept := some(rows, time.Hour)
	r.write(lives, kept...)
	for _, want := range []int{perStep, 2 * perStep, rows, rows + perStep} { // and then from the front again
		if r.sweep(); r.looked != want {
			t.Fatalf("it looked at %d rows, want %d", r.looked, want)
		}
	}
	r.write(expired, kept...)
	r.sweep() // What expired is looked for without a pause.
	r.sweep()
	if n := r.has(kept); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

func TestARowThatCannotBeReadEndsTheSweep(t *testing.T) {
	r := newRig(t)
	r.write(expired, some(10, time.Hour)...)
	r.broken = errors.New("not a row")
	if err := r.sweeper.Sweep(t.Context()); !errors.Is(err, r.broken) {
		t.Errorf("the sweep ended with %v", err)
	}
	r = newRig(t)
	batch := r.db.NewBatch()
	batch.Set([]byte{byte(space), idspace.Other, 1, 2}, []byte{expired})
	if err := r.db.CommitWait(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if err := r.sweeper.Sweep(t.Context()); !errors.Is(err, task.ErrCorrupt) {
		t.Errorf("the sweep ended with %v", err)
	}
}

func TestTheLatestMillisecondIsFound(t *testing.T) {
	r := newRig(t)
	r.write(lives, named(3, "other")...)
	for _, ms := range []int64{0, 1000, 5000, 3000} {
		if ms > 0 {
			r.write(lives, at(ms))
		}
		want := uint64(0)
		if ms > 0 {
			want = uint64(max(ms, 1000)) + 1
		}
		if ms == 3000 {
			want = 5001
		}
		if got, err := space.LatestMillis(r.db); err != nil || got != want {
			t.Errorf("after %d it is %d, %v; want %d", ms, got, err, want)
		}
	}
}

func TestASweeperNeedsAllOfItsConfig(t *testing.T) {
	r := newRig(t)
	for name, change := range map[string]func(*idspace.Config){
		"database": func(c *idspace.Config) { c.DB = nil },
		"owner":    func(c *idspace.Config) { c.Owner = nil },
		"guard":    func(c *idspace.Config) { c.Guard = nil },
		"clock":    func(c *idspace.Config) { c.Clock = nil },
		"logger":   func(c *idspace.Config) { c.Logger = nil },
		"row size": func(c *idspace.Config) { c.RowSize = 0 },
		"interval": func(c *idspace.Config) { c.Interval = -1 },
	} {
		cfg := r.config()
		change(&cfg)
		if _, err := idspace.NewSweeper(cfg); err == nil {
			t.Errorf("without a good %s there is a sweeper", name)
		}
	}
}

func TestRunSweepsAgainAndAgainUntilItIsEnded(t *testing.T) {
	r := newRig(t)
	old := some(10, time.Hour)
	r.write(expired, old...)
	cfg := r.config()
	ticks := &ticking{}
	cfg.Clock = ticks
	s, err := idspace.NewSweeper(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		s.Run(ctx)
		close(ended)
	}()
	for len(old) > 0 && r.has(old) > 0 {
		ticks.fire()
	}
	stop()
	<-ended
}

// ticking is a clock whose timers fire when a test says so.
type ticking struct {
	still

	mu    sync.Mutex
	armed func()
}

func (c *ticking) AfterFunc(_ time.Duration, f func()) clock.Timer {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed = f
	return stopped{}
}

func (c *ticking) fire() {
	c.mu.Lock()
	f := c.armed
	c.armed = nil
	c.mu.Unlock()
	if f != nil {
		f()
	}
}

type stopped struct{}

func (stopped) Stop() bool { return true }
