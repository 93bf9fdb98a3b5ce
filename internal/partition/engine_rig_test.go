package partition

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/clock"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/storefake"
	"github.com/fenfa/fenfa/internal/task"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memBroker is a broker in memory that is durable at once, for several goroutines.
type memBroker struct {
	mu      sync.Mutex
	logs    map[logName]*memLog
	ids     map[task.ID]broker.Located
	refuse  map[string]error // by queue: what Publish and Declare answer
	failing int              // publishes that fail as a whole
	slow    bool             // readers are given nothing
	settled int
}

type memLog struct {
	messages []broker.Message
	settled  map[broker.Position]bool
	given    broker.Position // highest that a reader had
	grown    chan struct{}   // closed when a message comes
}

func newMemBroker() *memBroker {
	return &memBroker{logs: map[logName]*memLog{}, ids: map[task.ID]broker.Located{}, refuse: map[string]error{}}
}

func (b *memBroker) Publish(_ context.Context, batch []broker.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failing > 0 {
		b.failing--
		return errors.New("the broker is away")
	}
	failed := map[int]error{}
	for i, m := range batch {
		l := b.logs[logName{m.Queue, m.Partition}]
		known, ok := b.ids[m.ID]
		switch {
		case b.refuse[m.Queue] != nil:
			failed[i] = b.refuse[m.Queue]
		case l == nil:
			failed[i] = broker.ErrNoQueue
		case ok && known.Fingerprint != m.Fingerprint:
			failed[i] = broker.ErrMismatch
		case ok:
			failed[i] = broker.ErrDuplicate
		default:
			l.messages = append(l.messages, m)
			b.ids[m.ID] = broker.Located{
				Queue: m.Queue, Partition: m.Partition, Position: broker.Position(len(l.messages)), Fingerprint: m.Fingerprint, PublishedAt: time.Now(),
			}
			close(l.grown)
			l.grown = make(chan struct{})
		}
	}
	if len(failed) > 0 {
		return &broker.PublishError{Failed: failed}
	}
	return nil
}

func (b *memBroker) Open(_ context.Context, queue string, part int, _ uint64) (broker.Reader, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.logs[logName{queue, part}]
	if l == nil {
		return nil, broker.ErrNoQueue
	}
	return &memReader{b: b, l: l}, nil
}

func (b *memBroker) Backlog(_ context.Context, queue string) (sum broker.Backlog, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, l := range b.logs {
		if name.queue == queue {
			sum.Tasks += int64(len(l.messages) - len(l.settled))
		}
	}
	return sum, nil
}

func (b *memBroker) Declare(_ context.Context, q broker.Declaration) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.refuse[q.Queue]; err != nil {
		return err
	}
	for part := range q.Partitions {
		if name := (logName{q.Queue, part}); b.logs[name] == nil {
			b.logs[name] = &memLog{settled: map[broker.Position]bool{}, grown: make(chan struct{})}
		}
	}
	return nil
}

func (*memBroker) Remove(context.Context, string) error { return nil }

func (*memBroker) Capabilities() broker.Capabilities {
	return broker.Capabilities{DedupesPublish: true, LookupByID: true}
}

func (*memBroker) Close(context.Context) error { return nil }

// Locate implements broker.Locator.
func (b *memBroker) Locate(_ context.Context, id task.ID) (broker.Located, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	found, ok := b.ids[id]
	if ok {
		found.Settled = b.logs[logName{found.Queue, found.Partition}].settled[found.Position]
	}
	return found, ok, nil
}

// peekable is a broker that shows what its reader was not given.
type peekable struct{ *memBroker }

// Peek implements broker.Peeker.
func (b peekable) Peek(_ context.Context, queue string, part int, from broker.Position, limit broker.Limit) (found []broker.Delivery, next broker.Position, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.logs[logName{queue, part}]
	if l == nil {
		return nil, 0, broker.ErrNoQueue
	}
	for pos := max(from, l.given+1); int(pos) <= len(l.messages); pos++ {
		if len(found) == limit.Tasks {
			return found, pos, nil
		}
		m := l.messages[pos-1]
		found = append(found, broker.Delivery{Position: pos, ID: m.ID, Body: m.Body})
	}
	return found, 0, nil
}

func (b *memBroker) set(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

type memReader struct {
	b  *memBroker
	l  *memLog
	at int
}

func (r *memReader) Next(ctx context.Context, limit broker.Limit) ([]broker.Delivery, error) {
	for {
		r.b.mu.Lock()
		var out []broker.Delivery
		for ; !r.b.slow && r.at < len(r.l.messages) && len(out) < limit.Tasks; r.at++ {
			pos := broker.Position(r.at + 1)
			if r.l.settled[pos] {
				continue
			}
			m := r.l.messages[r.at]
			out = append(out, broker.Delivery{Position: pos, Fresh: pos > r.l.given, ID: m.ID, Body: m.Body})
			r.l.given = max(r.l.given, pos)
		}
		grown := r.l.grown
		r.b.mu.Unlock()
		if len(out) > 0 {
			return out, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-grown:
		}
	}
}

func (r *memReader) Settle(_ context.Context, positions ...broker.Position) error {
	r.b.set(func() {
		for _, pos := range positions {
			r.l.settled[pos] = true
			r.b.settled++
		}
	})
	return nil
}

func (*memReader) Close(context.Context) error { return nil }

// flakyStore fails commits and claims on demand.
type flakyStore struct {
	store.Store
	mu      sync.Mutex
	commits int   // left that fail
	applied bool  // they happen all the same
	claims  error // what claims answer
	hold    chan struct{}
}

func (s *flakyStore) Commit(ctx context.Context, batches []store.Batch) error {
	s.mu.Lock()
	fails, applied, hold := s.commits > 0, s.applied, s.hold
	if fails {
		s.commits--
	}
	s.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if fails && !applied {
		return errInjected
	}
	err := s.Store.Commit(ctx, batches)
	if fails {
		return errInjected
	}
	return err
}

func (s *flakyStore) Claim(ctx context.Context, part int, epoch uint64) (store.Fence, error) {
	s.mu.Lock()
	err := s.claims
	s.mu.Unlock()
	if err != nil {
		return store.Fence{}, err
	}
	return s.Store.Claim(ctx, part, epoch)
}

func (s *flakyStore) set(f func(*flakyStore)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

// crew is a worker pool of one session with many slots.
type crew struct {
	mu       sync.Mutex
	e        *Engine
	closed   bool // no room
	assigned int
	sent     []*task.Lease
	verdicts []task.Verdict
	wake     chan struct{}
}

func newCrew() *crew { return &crew{wake: make(chan struct{}, 1)} }

func (w *crew) Assign(_ int, _ *task.Queue, _ task.Placement, _ string, want int) (WorkerRef, int, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return WorkerRef{}, 0, false
	}
	w.assigned += want
	return WorkerRef{Session: 1, ID: "w1"}, want, true
}

func (w *crew) Stay(uint64, *task.Queue, task.Placement) bool {
	_, _, ok := w.Assign(0, nil, task.Placement{}, "", 1)
	return ok
}

func (w *crew) HasRoom(*task.Queue, task.Placement) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.closed
}

func (w *crew) Release(_ uint64, _ string, use Use) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.assigned -= use.Slots
}

func (w *crew) Send(_ uint64, l *task.Lease) {
	w.mu.Lock()
	w.sent = append(w.sent, l)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *crew) Cancel(uint64, task.LeaseRef, int) {}

func (w *crew) Answer(_ uint64, v task.Verdict) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.verdicts = append(w.verdicts, v)
}

func (w *crew) take() []*task.Lease {
	w.mu.Lock()
	defer w.mu.Unlock()
	sent := w.sent
	w.sent = nil
	return sent
}

func (w *crew) said(kind task.VerdictKind) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, v := range w.verdicts {
		if v.Kind == kind {
			n++
		}
	}
	return n
}

// engineRig is an engine over fakes in memory. It lives in a synctest bubble.
type engineRig struct {
	t  *testing.T
	e  *Engine
	b  *memBroker
	s  *flakyStore
	w  *crew
	fk *storefake.Store

	clock  clock.Clock // of engines that are started; default: the bubble's
	window int         // tasks in memory, of a broker that shows its logs; 0: the default, of one that does not
}

// inBubble runs a test with an engine that has a queue of each order.
func inBubble(t *testing.T, partitions int, f func(r *engineRig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		fk := storefake.New(storefake.Config{AutoSync: true})
		r := &engineRig{t: t, b: newMemBroker(), fk: fk, s: &flakyStore{Store: fk}}
		r.start(partitions)
		defer r.stop() // Also where f ends the test.
		r.configure(task.Queue{Name: "keyed"})
		r.configure(task.Queue{Name: "loose", Order: task.OrderNone})
		f(r)
	})
}

// start starts a new engine over what there is, and lets it finish what it commits of
// its own accord: a failure that a test orders then meets what the test does.
func (r *engineRig) start(partitions int) {
	r.t.Helper()
	r.w = newCrew()
	cfg := Config{Partitions: partitions, Broker: r.b, Store: r.s, Dispatch: r.w, Node: "node", Clock: r.clock}
	if r.window > 0 {
		cfg.Broker, cfg.Window.Tasks = peekable{r.b}, r.window
	}
	e, err := New(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.e, r.w.e = e, e
	if err := e.Start(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	synctest.Wait()
}

// stop drains the engine at once.
func (r *engineRig) stop() {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.t.Context()))
	cancel()
	if err := r.e.Drain(ctx); err != nil {
		r.t.Error(err)
	}
	if r.w.assigned != 0 {
		r.t.Errorf("%d slots are not released", r.w.assigned)
	}
}

func (r *engineRig) configure(q task.Queue) task.Queue {
	r.t.Helper()
	now, _, err := r.e.ConfigureQueue(r.t.Context(), q)
	if err != nil {
		r.t.Fatal(err)
	}
	return now
}

func (r *engineRig) submit(tasks ...task.Task) {
	r.t.Helper()
	results := r.e.Submit(r.t.Context(), tasks)
	for i, res := range results {
		if res.Err != nil {
			r.t.Fatalf("task %d: %v", i, res.Err)
		}
	}
	synctest.Wait()
}

// work answers every lease with what handle says until nothing more comes.
func (r *engineRig) work(handle func(t *task.Leased) task.Outcome) {
	for {
		synctest.Wait()
		leases := r.w.take()
		if len(leases) == 0 {
			return
		}
		for _, l := range leases {
			outs := make([]task.Outcome, 0, len(l.Tasks))
			for i := range l.Tasks {
				outs = append(outs, handle(&l.Tasks[i]))
			}
			r.e.Outcomes(WorkerRef{Session: 1, ID: "w1"}, l.LeaseRef, 0, outs)
		}
	}
}

func done(*task.Leased) task.Outcome { return task.Outcome{Result: []byte("ok")} }

// wait lets the bubble's time pass.
func (*engineRig) wait(d time.Duration) { <-time.After(d) }

// rest lets time pass in which no worker has room.
func (r *engineRig) rest(d time.Duration) {
	r.w.setClosed(true)
	r.wait(d)
	r.w.setClosed(false)
	for part := range r.e.owners {
		for _, q := range r.e.Queues() {
			r.e.Capacity(part, q.Name, task.Placement{}, 1)
		}
	}
	synctest.Wait()
}

func (w *crew) setClosed(closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = closed
}

func (r *engineRig) status(name string) TaskStatus {
	r.t.Helper()
	st, err := r.e.TaskStatus(r.t.Context(), task.DeriveID(name))
	if err != nil {
		r.t.Fatalf("%s: %v", name, err)
	}
	return st
}

func (r *engineRig) wantState(name string, want task.State) TaskStatus {
	r.t.Helper()
	st := r.status(name)
	if st.State != want {
		r.t.Errorf("%s is %v, want %v: %s", name, st.State, want, st.Error)
	}
	return st
}

func (r *engineRig) put(key, name, value string) uint64 {
	r.t.Helper()
	v, err := r.e.PutRecord(r.t.Context(), task.Write{Key: key, Name: name, Value: []byte(value)}, true)
	if err != nil {
		r.t.Fatal(err)
	}
	return v
}

func many(queue string, n int) []task.Task {
	tasks := make([]task.Task, n)
	for i := range tasks {
		tasks[i] = newTask(queue, fmt.Sprintf("key-%d", i%7), fmt.Sprintf("%s %d", queue, i))
	}
	return tasks
}
