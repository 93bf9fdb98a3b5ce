package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/broker/embedded"
	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/kv/kvtest"
	"github.com/fenfa/fenfa/internal/task"
)

// fixture is a broker on a disk in memory that can be opened again.
type fixture struct {
	*testing.T
	disk  *kvtest.Disk
	clock *manual
	cfg   embedded.Config
	db    *kv.DB
	b     *embedded.Broker
}

func newFixture(t *testing.T, cfg embedded.Config) *fixture {
	t.Helper()
	f := &fixture{T: t, disk: kvtest.NewDisk(), clock: newManual(), cfg: cfg}
	f.open()
	t.Cleanup(func() { f.close() })
	return f
}

func (f *fixture) open() {
	f.Helper()
	f.db = openEngine(f.T, smallEngine(f.disk))
	f.cfg.DB, f.cfg.Clock = f.db, f.clock
	f.b = openBroker(f.T, f.cfg)
}

func (f *fixture) close() {
	f.Helper()
	if err := errors.Join(f.b.Close(context.WithoutCancel(f.Context())), f.db.Close()); err != nil {
		f.Errorf("close: %v", err)
	}
}

func (f *fixture) reopen() {
	f.Helper()
	f.close()
	f.open()
}

func (f *fixture) declare(queue string, window time.Duration) {
	f.Helper()
	if err := f.b.Declare(f.Context(), broker.Declaration{Queue: queue, Partitions: 2, DedupeWindow: window}); err != nil {
		f.Fatal(err)
	}
}

// message has a version 7 id as of the clock's moment and the given age.
func (f *fixture) message(age time.Duration) broker.Message {
	return broker.Message{Queue: "q", ID: task.NewID(f.clock.Now().Add(-age)), Fingerprint: 1, Body: []byte("body")}
}

// publish returns why the message was not taken, or nil.
func (f *fixture) publish(m broker.Message) error {
	f.Helper()
	err := f.b.Publish(f.Context(), []broker.Message{m})
	if failed, ok := errors.AsType[*broker.PublishError](err); ok {
		return failed.Failed[0]
	}
	if err != nil {
		f.Fatal(err)
	}
	return nil
}

func (f *fixture) read(n int) (broker.Reader, []broker.Delivery) {
	f.Helper()
	r, err := f.b.Open(f.Context(), "q", 0, 1)
	if err != nil {
		f.Fatal(err)
	}
	var ds []broker.Delivery
	for len(ds) < n {
		more, err := r.Next(f.Context(), broker.Limit{Tasks: n - len(ds)})
		if err != nil {
			f.Fatal(err)
		}
		ds = append(ds, more...)
	}
	return r, ds
}

func (f *fixture) settle(r broker.Reader, ds []broker.Delivery) {
	f.Helper()
	var ps []broker.Position
	for i := range ds {
		ps = append(ps, ds[i].Position)
	}
	if err := errors.Join(r.Settle(f.Context(), ps...), f.db.Barrier(f.Context())); err != nil {
		f.Fatal(err)
	}
}

// rows counts what is stored in a space.
func (f *fixture) rows(space byte) (n int) {
	f.Helper()
	if err := f.db.Barrier(f.Context()); err != nil {
		f.Fatal(err)
	}
	it, err := f.db.Iter([]byte{space}, []byte{space + 1})
	if err != nil {
		f.Fatal(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		n++
	}
	if err := it.Close(); err != nil {
		f.Fatal(err)
	}
	return n
}

func (f *fixture) sweep() {
	f.Helper()
	if err := f.b.Sweep(f.Context()); err != nil {
		f.Fatal(err)
	}
}

func TestEngineIsRequired(t *testing.T) {
	if _, err := embedded.New(embedded.Config{}); err == nil {
		t.Error("a broker without an engine was made")
	}
}

func TestIDsFromTheFutureAreRefused(t *testing.T) {
	f := newFixture(t, embedded.Config{})
	f.declare("q", time.Hour)
	if err := f.publish(f.message(-59 * time.Minute)); err != nil {
		t.Errorf("59 minutes ahead: %v", err)
	}
	err := f.publish(f.message(-61 * time.Minute))
	if task.CodeOf(err) != task.CodeInvalidArgument || !strings.Contains(err.Error(), "set the clock") {
		t.Errorf("61 minutes ahead: %v", err)
	}
	if err := f.publish(broker.Message{Queue: "q"}); task.CodeOf(err) != task.CodeInvalidArgument {
		t.Errorf("without an id: %v", err)
	}
}

func TestNothingIsADuplicateBeforeItIsDurable(t *testing.T) {
	f := newFixture(t, embedded.Config{})
	f.declare("q", time.Hour)
	for name, m := range map[string]broker.Message{
		"version 7": f.message(0),
		"derived":   {Queue: "q", ID: task.DeriveID("a"), Fingerprint: 1},
	} {
		t.Run(name, func(t *testing.T) {
			release := f.disk.HoldLog()
			answers := make(chan string, 2)
			publish := func(who string) {
				answers <- fmt.Sprint(who, " ", f.publish(m))
			}
			go publish("first")
			// The first one has claimed the id when Locate cannot rule it out any more.
			for f.b.Claims() == 0 {
				runtime.Gosched()
			}
			go publish("second")
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := f.b.Publish(ctx, []broker.Message{m}); !errors.Is(err, context.Canceled) {
				t.Errorf("an impatient third publish got %v", err)
			}
			select {
			case answer := <-answers:
				t.Errorf("answered before it was durable: %s", answer)
			default:
			}
			release()
			got := map[string]bool{<-answers: true, <-answers: true}
			duplicate := fmt.Sprint(broker.ErrDuplicate)
			if !got["first <nil>"] && !got["second <nil>"] || !got["first "+duplicate] && !got["second "+duplicate] {
				t.Errorf("the answers are %v", got)
			}
		})
	}
}

func TestGivenUpPublishHappensOrIsRepeated(t *testing.T) {
	f := newFixture(t, embedded.Config{})
	f.declare("q", time.Hour)
	m := f.message(0)
	release := f.disk.HoldLog()
	ctx, cancel := context.WithCancel(t.Context())
	given := make(chan error, 1)
	go func() { given <- f.b.Publish(ctx, []broker.Message{m}) }()
	for f.b.Claims() == 0 {
		runtime.Gosched()
	}
	cancel()
	if err := <-given; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	repeated := make(chan error, 1)
	go func() { repeated <- f.publish(m) }()
	release()
	if err := <-repeated; !errors.Is(err, broker.ErrDuplicate) {
		t.Errorf("the repeat got %v", err)
	}
	for f.b.Claims() > 0 {
		runtime.Gosched()
	}
	_, ds := f.read(1)
	if ds[0].ID != m.ID {
		t.Errorf("read %s", ds[0].ID)
	}
}

func TestPublishIsRefusedWhileTheEngineTakesNothingNew(t *testing.T) {
	disk := kvtest.NewDisk()
	disk.SetFree(1000)
	db := openEngine(t, smallEngine(disk))
	b := openBroker(t, embedded.Config{DB: db})
	decl := broker.Declaration{Queue: "q", Partitions: 1, DedupeWindow: time.Hour}
	if err := b.Declare(t.Context(), decl); err != nil {
		t.Fatal(err)
	}
	err := b.Publish(t.Context(), []broker.Message{{Queue: "q", ID: task.DeriveID("a")}, {Queue: "q", ID: task.DeriveID("b")}})
	var failed *broker.PublishError
	if !errors.As(err, &failed) || len(failed.Failed) != 2 {
		t.Fatalf("got %v", err)
	}
	for i, err := range failed.Failed {
		if !errors.Is(err, broker.ErrFull) || !errors.Is(err, kv.ErrFull) {
			t.Errorf("message %d: %v", i, err)
		}
	}
	if backlog, err := b.Backlog(t.Context(), "q"); err != nil || backlog.Tasks != 0 {
		t.Errorf("the backlog is %+v, %v", backlog, err)
	}
	if err := errors.Join(b.Close(t.Context()), db.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestUntouchedMessagesAreFreshAfterARestart(t *testing.T) {
	const reservation = 10
	f := newFixture(t, embedded.Config{Reservation: reservation})
	f.declare("q", time.Hour)
	for range 100 {
		if err := f.publish(f.message(0)); err != nil {
			t.Fatal(err)
		}
	}
	_, ds := f.read(20)
	for i := range ds {
		if !ds[i].Fresh {
			t.Fatalf("message %d is not fresh", i)
		}
	}
	f.reopen()
	_, ds = f.read(100)
	for i := range ds {
		if ds[i].Fresh && i < 20 {
			t.Errorf("message %d was handed out and is fresh", i)
		}
		// What is between was handed out, as far as the mark says.
		if !ds[i].Fresh && i >= 20+2*reservation {
			t.Errorf("message %d was never handed out and is not fresh", i)
		}
	}
	if err := f.publish(f.message(0)); err != nil {
		t.Fatal(err)
	}
	f.reopen()
	// Positions that the mark covers, but which did not exist, are fresh.
	_, _ = f.read(101)
	if err := f.publish(f.message(0)); err != nil {
		t.Fatal(err)
	}
	f.reopen()
	if err := f.publish(f.message(0)); err != nil {
		t.Fatal(err)
	}
	_, ds = f.read(103)
	if !ds[102].Fresh {
		t.Error("a message that was published after the restart is not fresh")
	}
}

func TestSettledMessagesLeaveNothingButTheirIDs(t *testing.T) {
	f := newFixture(t, embedded.Config{})
	f.declare("q", time.Hour)
	for range 3 {
		for range 50 {
			if err := f.publish(f.message(0)); err != nil {
				t.Fatal(err)
			}
		}
		r, ds := f.read(50)
		f.settle(r, ds)
		f.reopen()
	}
	if log, index, state := f.rows(kv.SpaceBrokerLog), f.rows(kv.SpaceBrokerIndex), f.rows(kv.SpaceBrokerState); log != 0 || index != 150 || state != 3 {
		t.Errorf("%d messages, %d ids, %d states are stored", log, index, state)
	}
}

func TestExpiredIDsAreForgotten(t *testing.T) {
	f := newFixture(t, embedded.Config{})
	f.declare("q", time.Hour)
	var old []broker.Message
	for i := range 700 {
		m := f.message(time.Duration(i) * time.Millisecond)
		if i%7 == 0 {
			m.ID = task.DeriveID(fmt.Sprint(i))
		}
		old = append(old, m)
	}
	if err := f.b.Publish(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	r, ds := f.read(700)
	kept := ds[333]
	f.settle(r, append(append([]broker.Delivery(nil), ds[:333]...), ds[334:]...))
	f.clock.advance(59 * time.Minute)
	young := f.message(0)
	if err := f.publish(young); err != nil {
		t.Fatal(err)
	}
	f.sweep()
	if n := f.rows(kv.SpaceBrokerIndex); n != 701 {
		t.Errorf("%d ids are left before their time", n)
	}
	f.clock.advance(2 * time.Minute)
	f.sweep()
	if n := f.rows(kv.SpaceBrokerIndex); n != 2 {
		t.Errorf("%d ids are left, want the young one and the one that is not settled", n)
	}
	if err := f.publish(young); !errors.Is(err, broker.ErrDuplicate) {
		t.Errorf("the young one: %v", err)
	}
	for i, m := range old {
		err := f.publish(m)
		if m.ID == kept.ID {
			if !errors.Is(err, broker.ErrDuplicate) {
				t.Errorf("the one that is not settled: %v", err)
			}
		} else if err != nil {
			t.Errorf("message %d again: %v", i, err)
		}
	}
	// They are known again, for another window.
	f.sweep()
	for i, m := range old {
		if err := f.publish(m); !errors.Is(err, broker.ErrDuplicate) {
			t.Errorf("message %d a third time: %v", i, err)
		}
	}
}

func TestExpiredIDsNeedNoSweepToBePublishedAgain(t *testing.T) {
	f := newFixture(t, embedded.Config{})
	f.declare("q", time.Hour)
	m := f.message(0)
	if err := f.publish(m); err != nil {
		t.Fatal(err)
	}
	f.clock.advance(2 * time.Hour)
	if err := f.publish(m); !errors.Is(err, broker.ErrDuplicate) {
		t.Errorf("expired and not settled: %v", err)
	}
	r, ds := f.read(1)
	f.settle(r, ds)
	other := m
	other.Fingerprint++
	if err := f.publish(other); err != nil {
		t.Errorf("expired and settled: %v", err)
	}
	f.sweep()
	if err := f.publish(m); !errors.Is(err, broker.ErrMismatch) {
		t.Errorf("the first one again: %v", err)
	}
}

func TestWindowsOfQueuesAreTheirOwn(t *testing.T) {
	f := newFixture(t, embedded.Config{})
	f.declare("q", time.Hour)
	f.declare("long", 100*time.Hour)
	f.declare("gone", 100*time.Hour)
	var messages []broker.Message
	for _, queue := range []string{"q", "long", "gone"} {
		m := f.message(0)
		m.Queue = queue
		if err := f.publish(m); err != nil {
			t.Fatal(err)
		}
		messages = append(messages, m)
	}
	r, ds := f.read(1)
	f.settle(r, ds)
	if err := f.b.Remove(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	f.clock.advance(2 * time.Hour)
	f.sweep()
	if n := f.rows(kv.SpaceBrokerIndex); n != 1 {
		t.Errorf("%d ids are left, want that of the queue with the long window", n)
	}
	if err := f.publish(messages[1]); !errors.Is(err, broker.ErrDuplicate) {
		t.Errorf("long window: %v", err)
	}
}

func TestNumbersOfRemovedQueuesAreNotGivenAgain(t *testing.T) {
	f := newFixture(t, embedded.Config{})
	for i := range 5 {
		f.declare("q", time.Hour)
		m := broker.Message{Queue: "q", ID: task.DeriveID("same"), Fingerprint: uint64(i)}
		if err := f.publish(m); err != nil {
			t.Errorf("round %d: %v", i, err)
		}
		located, ok, err := f.b.Locate(t.Context(), m.ID)
		if err != nil || !ok || located.Fingerprint != uint64(i) || located.Settled {
			t.Errorf("round %d: located %+v, %v, %v", i, located, ok, err)
		}
		if err := f.b.Remove(t.Context(), "q"); err != nil {
			t.Fatal(err)
		}
		if _, ok, err := f.b.Locate(t.Context(), m.ID); ok || err != nil {
			t.Errorf("round %d: found in a removed queue, %v", i, err)
		}
		f.reopen()
	}
	if log, state := f.rows(kv.SpaceBrokerLog), f.rows(kv.SpaceBrokerState); log != 0 || state != 0 {
		t.Errorf("%d messages and %d states are left", log, state)
	}
}

func TestPartitionsOfAQueueCannotBeChanged(t *testing.T) {
	f := newFixture(t, embedded.Config{})
	f.declare("q", time.Hour)
	err := f.b.Declare(t.Context(), broker.Declaration{Queue: "q", Partitions: 3})
	if task.CodeOf(err) != task.CodeFailedPrecondition {
		t.Errorf("got %v", err)
	}
}

func TestTailsStayWithinTheirTotal(t *testing.T) {
	const each, all = 20_000, 50_000
	f := newFixture(t, embedded.Config{TailBytes: each, TotalTailBytes: all})
	var readers []broker.Reader
	for q := range 4 {
		queue := fmt.Sprint("q", q)
		f.declare(queue, time.Hour)
		for part := range 2 {
			r, err := f.b.Open(t.Context(), queue, part, 1)
			if err != nil {
				t.Fatal(err)
			}
			readers = append(readers, r)
		}
	}
	for i := range 400 {
		m := f.message(0)
		m.Queue, m.Partition, m.Body = fmt.Sprint("q", i%4), i/4%2, make([]byte, 1000)
		if err := f.publish(m); err != nil {
			t.Fatal(err)
		}
		if used := f.b.TailBytes(); used > all || used < 0 {
			t.Fatalf("the tails take %d bytes", used)
		}
	}
	if used := f.b.TailBytes(); used < all/2 {
		t.Errorf("the tails take %d bytes only", used)
	}
	for i, r := range readers {
		for n := 0; n < 50; {
			ds, err := r.Next(t.Context(), broker.Limit{Tasks: 50 - n})
			if err != nil {
				t.Fatalf("reader %d: %v", i, err)
			}
			n += len(ds)
		}
	}
	if used := f.b.TailBytes(); used != 0 {
		t.Errorf("everything was read and the tails take %d bytes", used)
	}
}

func TestDamagedStateStopsTheStart(t *testing.T) {
	for name, damage := range map[string]struct{ key, value string }{
		"queue":  {"\x10nq", "\x01"},
		"number": {"\x10l", "\x02aaaa"},
		"state":  {"\x13\x00\x00\x00\x01\x00\x00p", "\x01"},
		"kind":   {"\x13\x00\x00\x00\x01\x00\x00z", "\x01"},
		"key":    {"\x13\x00", "\x01"},
	} {
		f := newFixture(t, embedded.Config{})
		f.declare("q", time.Hour)
		batch := f.db.NewBatch()
		before, had, err := f.db.Get([]byte(damage.key))
		if err != nil {
			t.Fatal(err)
		}
		batch.Set([]byte(damage.key), []byte(damage.value))
		if err := f.db.CommitWait(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		if b, err := embedded.New(embedded.Config{DB: f.db}); err == nil {
			t.Errorf("%s: started", name)
			_ = b.Close(t.Context())
		}
		batch = f.db.NewBatch()
		if batch.Delete([]byte(damage.key)); had {
			batch.Set([]byte(damage.key), before)
		}
		if err := f.db.CommitWait(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMetricsAreRegisteredWhileOpen(t *testing.T) {
	registry := prometheus.NewRegistry()
	f := newFixture(t, embedded.Config{Registerer: registry})
	f.declare("q", time.Hour)
	if err := f.publish(f.message(0)); err != nil {
		t.Fatal(err)
	}
	if n, err := testutil.GatherAndCount(registry); err != nil || n != 8 {
		t.Errorf("%d metrics, %v", n, err)
	}
	if _, err := embedded.New(embedded.Config{DB: f.db, Registerer: registry}); err == nil {
		t.Error("two brokers share one registry")
	}
	if err := f.b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, _ := testutil.GatherAndCount(registry); n != 0 {
		t.Errorf("%d metrics are left", n)
	}
}

func TestADatabaseTellsHowManyTasksWait(t *testing.T) {
	disk := kvtest.NewDisk()
	db := openEngine(t, smallEngine(disk))
	if n, err := embedded.Waiting(db); n != 0 || err != nil {
		t.Errorf("an empty one: %d, %v", n, err)
	}
	b := openBroker(t, embedded.Config{DB: db})
	if err := b.Declare(t.Context(), broker.Declaration{Queue: "q", Partitions: 2, DedupeWindow: time.Hour}); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if err := b.Publish(t.Context(), []broker.Message{{Queue: "q", Partition: i % 2, ID: task.DeriveID(fmt.Sprint(i))}}); err != nil {
			t.Fatal(err)
		}
	}
	r, err := b.Open(t.Context(), "q", 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	ds, err := r.Next(t.Context(), broker.Limit{Tasks: 10})
	if err != nil || len(ds) != 3 {
		t.Fatalf("read %d, %v", len(ds), err)
	}
	if err := r.Settle(t.Context(), ds[0].Position, ds[1].Position); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := embedded.Waiting(db); n != 3 || err != nil {
		t.Errorf("%d tasks wait, %v; want 3", n, err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
