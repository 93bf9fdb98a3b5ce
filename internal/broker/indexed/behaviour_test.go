package indexed_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/broker/indexed"
	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/kv/kvtest"
	"github.com/fenfa/fenfa/internal/task"
)

const window = time.Hour

// held is a broker whose publishes wait until the test lets them end.
type held struct {
	*forgetful
	begun chan []broker.Message
	end   chan error
}

func newHeld() *held {
	return &held{forgetful: newForgetful(), begun: make(chan []broker.Message), end: make(chan error)}
}

// Publish carries the publish out when the test sends nil, and fails with what
// else it sends: then nothing was published.
func (h *held) Publish(ctx context.Context, batch []broker.Message) error {
	h.begun <- slices.Clone(batch)
	if err := <-h.end; err != nil {
		return err
	}
	return h.forgetful.Publish(ctx, batch)
}

// rig is an index with a clock of its own over a broker of the test's.
type rig struct {
	*indexed.Broker
	clock *manual
	db    *kv.DB
	inner *forgetful
}

func newRig(t *testing.T) *rig {
	t.Helper()
	inner := newForgetful()
	return rigOver(t, inner, inner, kvtest.NewDisk())
}

func rigOver(t *testing.T, over broker.Broker, inner *forgetful, disk *kvtest.Disk) *rig {
	t.Helper()
	db := openEngine(t, smallEngine(disk))
	r := &rig{clock: newManual(), db: db, inner: inner}
	r.Broker = openIndexed(t, indexed.Config{Broker: over, DB: db, Clock: r.clock})
	t.Cleanup(func() {
		if err := errors.Join(r.Close(context.WithoutCancel(t.Context())), db.Close()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	r.declare(t, "orders", window)
	return r
}

func (r *rig) declare(t *testing.T, queue string, window time.Duration) {
	t.Helper()
	if err := r.Declare(t.Context(), broker.Declaration{Queue: queue, Partitions: 4, DedupeWindow: window}); err != nil {
		t.Fatal(err)
	}
}

// fresh returns messages with ids of this moment.
func (r *rig) fresh(n int) []broker.Message {
	batch := make([]broker.Message, n)
	for i := range batch {
		batch[i] = broker.Message{Queue: "orders", Partition: i % 4, ID: task.NewID(r.clock.Now()), Fingerprint: uint64(i), Body: []byte("body")}
	}
	return batch
}

// published is how many messages the broker below holds.
func (r *rig) published(t *testing.T, queue string) int64 {
	t.Helper()
	b, err := r.inner.Backlog(t.Context(), queue)
	if err != nil {
		t.Fatal(err)
	}
	return b.Tasks
}

// taken publishes and returns how many were taken; the others must be duplicates.
func (r *rig) taken(t *testing.T, batch ...broker.Message) int {
	t.Helper()
	err := r.Publish(t.Context(), batch)
	if err == nil {
		return len(batch)
	}
	failed, ok := errors.AsType[*broker.PublishError](err)
	if !ok {
		t.Fatal(err)
	}
	for i, err := range failed.Failed {
		if !errors.Is(err, broker.ErrDuplicate) {
			t.Errorf("message %d: %v", i, err)
		}
	}
	return len(batch) - len(failed.Failed)
}

// await returns when a publish waits for the one that has claimed the id; meanwhile
// nothing may be published.
func (r *rig) await(t *testing.T, below *held, id task.ID) {
	t.Helper()
	for !r.Awaited(id) {
		select {
		case batch := <-below.begun:
			t.Fatalf("%d messages were published without waiting", len(batch))
		default:
			runtime.Gosched()
		}
	}
}

func (r *rig) barrier(t *testing.T) {
	t.Helper()
	if err := r.db.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestNothingIsADuplicateBeforeItIsConfirmed(t *testing.T) {
	below := newHeld()
	r := rigOver(t, below, below.forgetful, kvtest.NewDisk())
	batch := r.fresh(2)
	answers := make(chan error, 2)
	publish := func(batch ...broker.Message) { answers <- r.Publish(t.Context(), batch) }
	go publish(batch[0])
	<-below.begun
	// The second call also has a message that is new: it waits as well, because it
	// stands behind the first one.
	go publish(batch...)
	r.await(t, below, batch[0].ID)
	if _, found, err := r.Locate(t.Context(), batch[0].ID); found || err != nil {
		t.Errorf("a task that is not confirmed was found: %v", err)
	}
	below.end <- nil
	if err := <-answers; err != nil {
		t.Fatalf("first publish: %v", err)
	}
	if second := <-below.begun; len(second) != 1 || second[0].ID != batch[1].ID {
		t.Fatalf("the second publish sent %d messages", len(second))
	}
	below.end <- nil
	failed, ok := errors.AsType[*broker.PublishError](<-answers)
	if !ok || len(failed.Failed) != 1 || !errors.Is(failed.Failed[0], broker.ErrDuplicate) {
		t.Fatalf("second publish: %v", failed)
	}
	r.barrier(t)
	if n := r.Claims(); n != 0 {
		t.Errorf("%d ids are claimed still", n)
	}
}

func TestARepeatAfterAnUnknownResultReachesTheBroker(t *testing.T) {
	below := newHeld()
	r := rigOver(t, below, below.forgetful, kvtest.NewDisk())
	batch := r.fresh(3)
	answers := make(chan error, 2)
	first := slices.Clone(batch[:2])
	go func() { answers <- r.Publish(t.Context(), first) }()
	<-below.begun
	// This one waits for the first, and stands in for it when that fails. What it has
	// of its own stands before the others.
	slices.Reverse(batch)
	go func() { answers <- r.Publish(t.Context(), batch) }()
	r.await(t, below, batch[1].ID)
	lost := errors.New("the connection broke")
	below.end <- lost
	if err := <-answers; !errors.Is(err, lost) || errors.As(err, new(*broker.PublishError)) {
		t.Fatalf("first publish: %v", err)
	}
	second := <-below.begun
	if !slices.EqualFunc(second, batch, func(a, b broker.Message) bool { return a.ID == b.ID }) {
		t.Fatalf("the second publish sent %d messages", len(second))
	}
	below.end <- nil
	if err := <-answers; err != nil {
		t.Fatalf("second publish: %v", err)
	}
}

func TestAWaitThatIsGivenUpPublishesNothing(t *testing.T) {
	below := newHeld()
	r := rigOver(t, below, below.forgetful, kvtest.NewDisk())
	batch := r.fresh(2)
	first := make(chan error, 1)
	go func() { first <- r.Publish(t.Context(), batch[:1]) }()
	<-below.begun
	ctx, cancel := context.WithCancel(t.Context())
	second := make(chan error, 1)
	go func() { second <- r.Publish(ctx, batch) }()
	r.await(t, below, batch[0].ID)
	cancel()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("the publish that was given up: %v", err)
	}
	below.end <- nil
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	if n := r.published(t, "orders"); n != 1 {
		t.Errorf("%d messages were published", n)
	}
}

// stuck is a broker that takes nothing, and notes how long it might have tried.
type stuck struct {
	*forgetful
	until   time.Time
	problem error
}

func (s *stuck) Publish(ctx context.Context, _ []broker.Message) error {
	s.until, _ = ctx.Deadline()
	return errors.New("no confirm came")
}

func (s *stuck) Problem() error { return s.problem }

func TestABrokerThatDoesNotAnswerIsGivenUpBeforeTheCaller(t *testing.T) {
	below := &stuck{forgetful: newForgetful()}
	r := rigOver(t, below, below.forgetful, kvtest.NewDisk())
	if err := r.Publish(t.Context(), r.fresh(1)); err == nil || !below.until.IsZero() {
		t.Errorf("without a deadline: %v, until %v", err, below.until)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	deadline, _ := ctx.Deadline()
	if err := r.Publish(ctx, r.fresh(1)); err == nil || below.until.IsZero() || !below.until.Before(deadline.Add(-time.Minute)) {
		t.Errorf("with a deadline: %v, until %v of %v", err, below.until, deadline)
	}
	usual := below.until
	below.problem = errors.New("no connection")
	for _, ctx := range []context.Context{ctx, t.Context()} {
		below.until = time.Time{}
		if err := r.Publish(ctx, r.fresh(1)); err == nil || below.until.IsZero() || !below.until.Before(usual.Add(-time.Minute)) {
			t.Errorf("when it is known to be away: %v, until %v of %v", err, below.until, usual)
		}
	}
}

func TestTheProblemIsThatOfTheBrokerBelow(t *testing.T) {
	below := &stuck{forgetful: newForgetful(), problem: errors.New("it is stuck")}
	r := rigOver(t, below, below.forgetful, kvtest.NewDisk())
	if err := r.Problem(); err == nil || err.Error() != "it is stuck" {
		t.Errorf("the problem is %v", err)
	}
	if err := newRig(t).Problem(); err != nil {
		t.Errorf("a broker that does not tell has the problem %v", err)
	}
}

func TestRowsThatACrashTookLetRepeatsThrough(t *testing.T) {
	disk := kvtest.NewDisk()
	r := rigOver(t, newForgetful(), nil, disk)
	old, young := r.fresh(10), r.fresh(10)
	if n := r.taken(t, old...); n != 10 {
		t.Fatalf("%d were taken", n)
	}
	r.barrier(t)
	release := disk.HoldLog()
	if n := r.taken(t, young...); n != 10 {
		t.Fatalf("%d were taken while the disk stood still", n)
	}
	if n := r.taken(t, young...); n != 0 {
		t.Errorf("%d were taken again before their rows were durable", n)
	}
	crashed := disk.CrashNow(0, 1)
	release()
	again := rigOver(t, newForgetful(), nil, crashed)
	if n := again.taken(t, old...); n != 0 {
		t.Errorf("%d of 10 with durable rows were taken again", n)
	}
	if n := again.taken(t, young...); n != 10 {
		t.Errorf("%d of 10 without rows reached the broker again", n)
	}
}

func TestIDsAreForgottenWhenTheirWindowIsOver(t *testing.T) {
	r := newRig(t)
	batch := r.fresh(6)
	for i := range batch[:3] {
		batch[i].ID = task.DeriveID("order", fmt.Sprint(i))
	}
	r.taken(t, batch...)
	r.barrier(t)
	r.clock.advance(window - time.Millisecond)
	if n := r.taken(t, batch...); n != 0 {
		t.Errorf("%d were taken within the window", n)
	}
	if _, found, err := r.Locate(t.Context(), batch[4].ID); !found || err != nil {
		t.Errorf("not found within the window: %v", err)
	}
	r.clock.advance(time.Millisecond)
	if _, found, err := r.Locate(t.Context(), batch[4].ID); found || err != nil {
		t.Errorf("found after the window: %v", err)
	}
	if n := r.taken(t, batch...); n != 6 {
		t.Errorf("%d of 6 were taken after the window", n)
	}
	if n := r.taken(t, batch...); n != 0 {
		t.Errorf("%d were taken once more", n)
	}
}

func TestARemovedQueueForgetsItsIDsAtOnce(t *testing.T) {
	r := newRig(t)
	batch := r.fresh(4)
	r.taken(t, batch...)
	if err := r.Remove(t.Context(), "orders"); err != nil {
		t.Fatal(err)
	}
	if _, found, err := r.Locate(t.Context(), batch[0].ID); found || err != nil {
		t.Errorf("a task of a removed queue was found: %v", err)
	}
	r.declare(t, "orders", window)
	if n := r.taken(t, batch...); n != 4 {
		t.Errorf("%d of 4 were taken by the new queue", n)
	}
	if n := r.published(t, "orders"); n != 4 {
		t.Errorf("the queue holds %d", n)
	}
}

func TestAChangedWindowHoldsForWhatWasPublishedBefore(t *testing.T) {
	r := newRig(t)
	batch := r.fresh(2)
	r.taken(t, batch...)
	r.barrier(t)
	r.declare(t, "orders", 3*window)
	r.clock.advance(2 * window)
	if n := r.taken(t, batch...); n != 0 {
		t.Errorf("%d were taken within the longer window", n)
	}
	r.declare(t, "orders", window)
	if n := r.taken(t, batch...); n != 2 {
		t.Errorf("%d were taken after the shorter window", n)
	}
}

func TestQueuesOfOthersPassUnremembered(t *testing.T) {
	r := newRig(t)
	if err := r.inner.Declare(t.Context(), broker.Declaration{Queue: "theirs", Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	one := broker.Message{Queue: "theirs", ID: task.NewID(r.clock.Now())}
	if n := r.taken(t, one, one); n != 2 {
		t.Errorf("%d were taken", n)
	}
	if n := r.published(t, "theirs"); n != 2 {
		t.Errorf("the queue holds %d", n)
	}
}

func TestWhatTheBrokerRefusesIsNotRemembered(t *testing.T) {
	r := newRig(t)
	if err := r.Declare(t.Context(), broker.Declaration{Queue: "orders", Partitions: 4, MaxTasks: 3, DedupeWindow: window}); err != nil {
		t.Fatal(err)
	}
	batch := r.fresh(5)
	batch = append(batch, batch[4], batch[0])
	err := r.Publish(t.Context(), batch)
	failed, ok := errors.AsType[*broker.PublishError](err)
	if !ok || len(failed.Failed) != 4 {
		t.Fatalf("publish: %v", err)
	}
	for i, want := range map[int]error{3: broker.ErrFull, 4: broker.ErrFull, 5: broker.ErrFull, 6: broker.ErrDuplicate} {
		if !errors.Is(failed.Failed[i], want) {
			t.Errorf("message %d: %v, want %v", i, failed.Failed[i], want)
		}
	}
	if _, found, _ := r.Locate(t.Context(), batch[3].ID); found {
		t.Error("a task that was refused was found")
	}
	// What is known is not sent, so the broker's answer counts other messages.
	failed, ok = errors.AsType[*broker.PublishError](r.Publish(t.Context(), batch[:4]))
	if !ok || len(failed.Failed) != 4 || !errors.Is(failed.Failed[3], broker.ErrFull) || !errors.Is(failed.Failed[0], broker.ErrDuplicate) {
		t.Errorf("publish again: %v", failed)
	}
	if err := r.Declare(t.Context(), broker.Declaration{Queue: "orders", Partitions: 4, DedupeWindow: window}); err != nil {
		t.Fatal(err)
	}
	if n := r.taken(t, batch[3:5]...); n != 2 {
		t.Errorf("%d of 2 were taken when there was room", n)
	}
}

func TestAFullDiskRefusesNewTasksAndTakesWhatIsOwed(t *testing.T) {
	disk := kvtest.NewDisk()
	disk.SetFree(1000)
	inner := newForgetful()
	r := rigOver(t, inner, inner, disk)
	batch := r.fresh(2)
	batch[1].Owed = true
	failed, ok := errors.AsType[*broker.PublishError](r.Publish(t.Context(), batch))
	if !ok || len(failed.Failed) != 1 || !errors.Is(failed.Failed[0], broker.ErrFull) || !errors.Is(failed.Failed[0], kv.ErrFull) {
		t.Fatalf("publish: %v", failed)
	}
	if n := r.published(t, "orders"); n != 1 {
		t.Errorf("%d messages were published", n)
	}
}

func TestIDsThatCannotBeTakenAreRefused(t *testing.T) {
	r := newRig(t)
	batch := r.fresh(3)
	batch[0].ID = task.ID{}
	batch[1].ID = task.NewID(r.clock.Now().Add(2 * time.Hour))
	failed, ok := errors.AsType[*broker.PublishError](r.Publish(t.Context(), batch))
	if !ok || len(failed.Failed) != 2 || task.CodeOf(failed.Failed[0]) != task.CodeInvalidArgument || task.CodeOf(failed.Failed[1]) != task.CodeInvalidArgument {
		t.Fatalf("publish: %v", failed)
	}
}

func TestFreshIDsCostNoLookup(t *testing.T) {
	registry := prometheus.NewRegistry()
	db := openEngine(t, smallEngine(kvtest.NewDisk()))
	r := &rig{clock: newManual(), db: db, inner: newForgetful()}
	r.Broker = openIndexed(t, indexed.Config{Broker: r.inner, DB: db, Clock: r.clock, Registerer: registry, RecentIDs: 1 << 14})
	defer func() {
		if err := errors.Join(r.Close(context.WithoutCancel(t.Context())), db.Close()); err != nil {
			t.Error(err)
		}
		if left, err := registry.Gather(); err != nil || len(left) > 0 {
			t.Errorf("%d metrics are left, %v", len(left), err)
		}
	}()
	r.declare(t, "orders", window)
	for range 20 {
		r.taken(t, r.fresh(100)...)
	}
	old := r.fresh(1)
	old[0].ID = task.DeriveID("a")
	r.taken(t, old...)
	r.taken(t, old...)
	values := map[string]float64{}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		values[strings.TrimPrefix(f.GetName(), "fenfa_broker_")] = f.GetMetric()[0].GetCounter().GetValue()
	}
	// The filter errs a little; a lookup for each would be 2000.
	if values["index_lookups_total"] < 1 || values["index_lookups_total"] > 100 || values["index_known_total"] != 1 {
		t.Errorf("metrics: %v", values)
	}
}

func TestADatabaseTellsWhetherItWasUsed(t *testing.T) {
	inner := newForgetful()
	db := openEngine(t, smallEngine(kvtest.NewDisk()))
	r := &rig{clock: newManual(), db: db, inner: inner}
	r.Broker = openIndexed(t, indexed.Config{Broker: inner, DB: db})
	if used, err := indexed.Used(db); used || err != nil {
		t.Errorf("an empty one: %v, %v", used, err)
	}
	r.declare(t, "orders", window)
	if used, err := indexed.Used(db); !used || err != nil {
		t.Errorf("with a queue: %v, %v", used, err)
	}
	if err := errors.Join(r.Close(t.Context()), db.Close()); err != nil {
		t.Error(err)
	}
}

func TestBrokerAndEngineAreRequired(t *testing.T) {
	if _, err := indexed.New(indexed.Config{Broker: newForgetful()}); err == nil {
		t.Error("no engine is no error")
	}
	db := openEngine(t, smallEngine(kvtest.NewDisk()))
	defer func() { _ = db.Close() }()
	if _, err := indexed.New(indexed.Config{DB: db}); err == nil {
		t.Error("no broker is no error")
	}
}

func TestDamagedRowsStopTheStart(t *testing.T) {
	for name, key := range map[string][]byte{
		"queue":  append([]byte{kv.SpaceIndexQueue, 'n'}, "orders"...),
		"number": {kv.SpaceIndexQueue, 'l'},
	} {
		db := openEngine(t, smallEngine(kvtest.NewDisk()))
		batch := db.NewBatch()
		batch.Set(key, []byte{9})
		if err := db.CommitWait(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		if _, err := indexed.New(indexed.Config{Broker: newForgetful(), DB: db}); err == nil {
			t.Errorf("%s: the index was loaded", name)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}
