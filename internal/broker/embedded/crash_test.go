package embedded_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/broker/embedded"
	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/kv/kvtest"
	"github.com/fenfa/fenfa/internal/task"
)

var (
	crashPoints = flag.Int("crash.points", 24, "how many moments of a crash or failure are tried in each test")
	crashSeed   = flag.Uint64("crash.seed", 1, "seed of the crash tests")
)

const (
	crashParts      = 2
	crashPublishers = 2
)

// history is what the program around the broker knows for sure.
type history struct {
	mu        sync.Mutex
	tried     map[task.ID]broker.Message
	confirmed map[task.ID]bool
	handedOut map[task.ID]bool
	settling  map[task.ID]bool // Settle was called
	settled   map[task.ID]bool // and a barrier has returned since
	order     [crashPublishers][]task.ID
}

func newHistory() *history {
	return &history{
		tried: map[task.ID]broker.Message{}, confirmed: map[task.ID]bool{}, handedOut: map[task.ID]bool{},
		settling: map[task.ID]bool{}, settled: map[task.ID]bool{},
	}
}

// copy returns the history as it is now.
func (h *history) copy() *history {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := newHistory()
	maps.Copy(c.tried, h.tried)
	for _, pair := range []struct{ to, from map[task.ID]bool }{
		{c.confirmed, h.confirmed}, {c.handedOut, h.handedOut}, {c.settling, h.settling}, {c.settled, h.settled},
	} {
		maps.Copy(pair.to, pair.from)
	}
	for p := range h.order {
		c.order[p] = append([]task.ID(nil), h.order[p]...)
	}
	return c
}

// allow adds what was begun a little later: it may have happened or not.
func (h *history) allow(later *history) {
	h.tried, h.settling, h.order = later.tried, later.settling, later.order
}

func (h *history) note(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

// crashConfig is an engine that flushes, compacts and rotates its log all the time.
func crashConfig(disk *kvtest.Disk) kv.Config {
	return kv.Config{Dir: "data", FS: disk.FS(), MemTableBytes: 48 << 10, CacheBytes: 1 << 20, Patience: 300 * time.Millisecond}
}

// work publishes, reads and settles until rounds are over or an error comes. It
// returns the first error.
func work(ctx context.Context, b *embedded.Broker, db *kv.DB, h *history, seed uint64, rounds int) error {
	if err := b.Declare(ctx, broker.Declaration{Queue: "q", Partitions: crashParts, DedupeWindow: time.Hour}); err != nil {
		return err
	}
	errs := make(chan error, crashPublishers+1)
	for p := range crashPublishers {
		go func() { errs <- publishSome(ctx, b, h, p, seed, rounds) }()
	}
	go func() { errs <- settleSome(ctx, b, db, h, seed, rounds) }()
	var first error
	for range cap(errs) {
		if err := <-errs; first == nil {
			first = err
		}
	}
	return first
}

func publishSome(ctx context.Context, b *embedded.Broker, h *history, p int, seed uint64, rounds int) error {
	rng := rand.New(rand.NewPCG(seed, uint64(p)))
	n := 0
	for range rounds {
		batch := make([]broker.Message, 1+rng.IntN(8))
		for i := range batch {
			n++
			id := task.DeriveID("crash", fmt.Sprint(seed, p, n))
			if n%2 == 0 {
				id = task.NewID(time.Now())
			}
			batch[i] = broker.Message{
				Queue: "q", Partition: rng.IntN(crashParts), ID: id, Fingerprint: uint64(n),
				Body: append(fmt.Appendf(nil, "%d %d ", p, n), make([]byte, rng.IntN(800))...),
			}
		}
		h.note(func() {
			for i := range batch {
				h.tried[batch[i].ID] = batch[i]
				h.order[p] = append(h.order[p], batch[i].ID)
			}
		})
		if err := b.Publish(ctx, batch); err != nil {
			return err
		}
		h.note(func() {
			for i := range batch {
				h.confirmed[batch[i].ID] = true
			}
		})
	}
	return nil
}

func settleSome(ctx context.Context, b *embedded.Broker, db *kv.DB, h *history, seed uint64, rounds int) error {
	rng := rand.New(rand.NewPCG(seed, 99))
	var readers [crashParts]broker.Reader
	for part := range readers {
		r, err := b.Open(ctx, "q", part, 1)
		if err != nil {
			return err
		}
		readers[part] = r
	}
	for range rounds {
		part := rng.IntN(crashParts)
		waiting, cancel := context.WithTimeout(ctx, time.Millisecond)
		ds, err := readers[part].Next(waiting, broker.Limit{Tasks: 1 + rng.IntN(20)})
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		var done []broker.Position
		h.note(func() {
			for i := range ds {
				h.handedOut[ds[i].ID] = true
				if rng.IntN(4) > 0 {
					done = append(done, ds[i].Position)
					h.settling[ds[i].ID] = true
				}
			}
		})
		if err := readers[part].Settle(ctx, done...); err != nil {
			return err
		}
		if rng.IntN(3) > 0 {
			continue
		}
		before := h.copy()
		if err := db.Barrier(ctx); err != nil {
			return err
		}
		h.note(func() { h.settled = before.settling })
	}
	return nil
}

// verify opens the broker on a disk after a crash and compares it with what was
// known at that moment.
func verify(t *testing.T, disk *kvtest.Disk, known *history) {
	t.Helper()
	db := openEngine(t, crashConfig(disk))
	defer func() {
		if err := db.Close(); err != nil {
			t.Errorf("close engine: %v", err)
		}
	}()
	b := openBroker(t, embedded.Config{DB: db})
	defer func() {
		if err := b.Close(t.Context()); err != nil {
			t.Errorf("close broker: %v", err)
		}
	}()
	backlog, err := b.Backlog(t.Context(), "q")
	if errors.Is(err, broker.ErrNoQueue) && len(known.confirmed) == 0 {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	found := map[task.ID]broker.Delivery{}
	for part := range crashParts {
		verifyPartition(t, b, known, part, found)
	}
	if int(backlog.Tasks) != len(found) {
		t.Errorf("the backlog says %d tasks, there are %d", backlog.Tasks, len(found))
	}
	for id := range known.confirmed {
		if _, there := found[id]; !there && !known.settling[id] {
			t.Errorf("confirmed task %s is lost", id)
		}
		if err := b.Publish(t.Context(), []broker.Message{known.tried[id]}); !errors.Is(err, broker.ErrDuplicate) {
			t.Errorf("confirmed task %s was published again with %v", id, err)
		}
	}
}

func verifyPartition(t *testing.T, b *embedded.Broker, known *history, part int, found map[task.ID]broker.Delivery) {
	t.Helper()
	// The last message says where the backlog ends.
	end := task.DeriveID("end", fmt.Sprint(part))
	err := b.Publish(t.Context(), []broker.Message{{Queue: "q", Partition: part, ID: end, Body: []byte("end")}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := b.Open(t.Context(), "q", part, 1)
	if err != nil {
		t.Fatal(err)
	}
	var seen []task.ID
	for {
		ds, err := r.Next(t.Context(), broker.Limit{Tasks: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range ds {
			if d.ID == end {
				verifyOrder(t, known, seen)
				return
			}
			m, tried := known.tried[d.ID]
			switch {
			case !tried:
				t.Errorf("task %s comes from nowhere", d.ID)
			case m.Partition != part || string(m.Body) != string(d.Body):
				t.Errorf("task %s is not what was published", d.ID)
			case known.settled[d.ID]:
				t.Errorf("task %s was settled for good and comes again", d.ID)
			case d.Fresh && known.handedOut[d.ID]:
				t.Errorf("task %s was handed out and is called fresh", d.ID)
			}
			found[d.ID] = d
			seen = append(seen, d.ID)
		}
	}
}

// verifyOrder checks that what is there is in the order of each publisher.
func verifyOrder(t *testing.T, known *history, seen []task.ID) {
	t.Helper()
	place := map[task.ID]int{}
	for p := range known.order {
		for i, id := range known.order[p] {
			place[id] = p<<20 | i
		}
	}
	last := [crashPublishers]int{}
	for _, id := range seen {
		p := place[id] >> 20
		if place[id]&(1<<20-1) < last[p] {
			t.Errorf("task %s of publisher %d is out of order", id, p)
		}
		last[p] = place[id] & (1<<20 - 1)
	}
}

// run opens an engine and a broker on the disk, works, and leaves both as they
// are when something fails. fatal gets the reason for which the process would
// have ended.
func run(disk *kvtest.Disk, h *history, seed uint64, rounds int) (fatal error, err error) {
	died := make(chan error, 1)
	ended := make(chan error, 1)
	go func() {
		cfg := crashConfig(disk)
		cfg.Fatal = func(err error) { died <- err }
		db, err := kv.Open(cfg)
		if err != nil {
			ended <- err
			return
		}
		b, err := embedded.New(embedded.Config{DB: db, TailBytes: 4 << 10, RecentIDs: 64, Reservation: 6})
		if err == nil {
			err = work(context.Background(), b, db, h, seed, rounds)
			err = errors.Join(err, b.Close(context.Background()))
		}
		ended <- errors.Join(err, db.Close())
	}()
	select {
	case fatal = <-died:
		return fatal, nil
	case err = <-ended:
	}
	select {
	case fatal = <-died:
	default:
	}
	return fatal, err
}

const crashRounds = 60

// operations is how many operations change the disk in one run without a crash.
func operations(t *testing.T) int {
	t.Helper()
	disk := kvtest.NewDisk()
	if fatal, err := run(disk, newHistory(), *crashSeed, crashRounds); fatal != nil || err != nil {
		t.Fatal(fatal, err)
	}
	if disk.Ops() < 100 {
		t.Fatalf("only %d operations", disk.Ops())
	}
	return disk.Ops()
}

// moments spreads the tried operations over all of them, the first ones densely.
func moments(total int) []int {
	rng := rand.New(rand.NewPCG(*crashSeed, 5))
	var ks []int
	for i := range *crashPoints {
		lo, hi := total*i / *crashPoints, total*(i+1) / *crashPoints
		ks = append(ks, 1+lo+rng.IntN(max(1, hi-lo)))
	}
	return ks
}

func TestCrashLosesNothingThatWasConfirmed(t *testing.T) {
	total := operations(t)
	for _, unsynced := range []int{0, 30, 100} {
		for _, k := range moments(total) {
			t.Run(fmt.Sprintf("%d percent, operation %d", unsynced, k), func(t *testing.T) {
				disk, h := kvtest.NewDisk(), newHistory()
				var known *history
				disk.CrashAt(kvtest.Crash{
					At: k, Unsynced: unsynced, Seed: uint64(k),
					Before: func() { known = h.copy() },
					After:  func() { known.allow(h.copy()) },
				})
				if fatal, err := run(disk, h, *crashSeed, crashRounds); fatal != nil || err != nil {
					t.Fatal(fatal, err)
				}
				after := disk.AfterCrash()
				if after == nil {
					return // Fewer operations this time.
				}
				verifyAfterSecondCrash(t, after, known, uint64(k))
				verify(t, after, known)
			})
		}
	}
}

// verifyAfterSecondCrash opens a copy of the disk, crashes at some operation of the
// recovery, and checks what that leaves.
func verifyAfterSecondCrash(t *testing.T, disk *kvtest.Disk, known *history, seed uint64) {
	t.Helper()
	again := disk.CrashNow(100, seed)
	again.CrashAt(kvtest.Crash{At: 1 + int(seed%40), Unsynced: int(seed % 3 * 50), Seed: seed})
	db := openEngine(t, crashConfig(again))
	b := openBroker(t, embedded.Config{DB: db})
	if err := errors.Join(b.Close(t.Context()), db.Close()); err != nil {
		t.Fatal(err)
	}
	if second := again.AfterCrash(); second != nil {
		verify(t, second, known)
	}
}

func TestDiskFailureEndsTheProcessWithoutAFalseYes(t *testing.T) {
	total := operations(t)
	ends := 0
	for _, once := range []bool{false, true} {
		for _, k := range moments(total) {
			t.Run(fmt.Sprintf("once %v, operation %d", once, k), func(t *testing.T) {
				disk, h := kvtest.NewDisk(), newHistory()
				disk.FailAt(kvtest.Failure{At: k, Once: once})
				fatal, err := run(disk, h, *crashSeed, crashRounds)
				if fatal != nil {
					ends++
					if !errors.Is(fatal, kv.ErrFailed) {
						t.Errorf("the process ends with %v", fatal)
					}
				}
				t.Log(fatal, err)
				known := h.copy()
				after := disk.CrashNow(0, 0)
				known.allow(h.copy())
				// The engine that was left as it is would try for ever.
				disk.FailAt(kvtest.Failure{})
				verify(t, after, known)
			})
		}
	}
	if ends < *crashPoints/2 {
		t.Errorf("only %d failures ended the process", ends)
	}
}

func TestTornLogEndsWhereItWasTorn(t *testing.T) {
	for cut := 1; cut < 4000; cut = cut*3 + 1 {
		disk, h := kvtest.NewDisk(), newHistory()
		db := openEngine(t, kv.Config{Dir: "data", FS: disk.FS(), MemTableBytes: 4 << 20, CacheBytes: 1 << 20})
		b := openBroker(t, embedded.Config{DB: db})
		if err := work(t.Context(), b, db, h, *crashSeed, 10); err != nil {
			t.Fatal(err)
		}
		torn := disk.CrashNow(100, 0)
		size, err := torn.TruncateLogs("data", cut)
		if err != nil || size < 4000 {
			t.Fatal(size, err)
		}
		if err := errors.Join(b.Close(t.Context()), db.Close()); err != nil {
			t.Fatal(err)
		}
		// What the torn end held may be gone; nothing else may.
		known := h.copy()
		clear(known.confirmed)
		clear(known.settled)
		clear(known.handedOut)
		verify(t, torn, known)
	}
}
