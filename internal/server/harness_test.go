package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/fenfa/fenfa/internal/dispatch"
	"github.com/fenfa/fenfa/internal/lock"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
	"github.com/fenfa/fenfa/internal/watch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const someID = "0190a5f2-7b1c-7d3e-8f4a-5b6c7d8e9f01"

// fakeEngine accepts every task and answers what it was told to. Its fields are
// set before the server starts.
type fakeEngine struct {
	await     func(ctx context.Context, ids []task.ID, tell func(partition.TaskStatus, error) error) error
	submit    func(ctx context.Context, tasks []task.Task) []partition.SubmitResult
	status    func(id task.ID) (partition.TaskStatus, error)
	configure func(q task.Queue) (task.Queue, bool, error)
	outcomes  func(w partition.WorkerRef, ref task.LeaseRef, first int, outcomes []task.Outcome)
	acquire   func(ctx context.Context, r lock.Request) (lock.Held, error)
	put       func(w task.Write, anyVersion bool) (uint64, error)
	err       error // of every other call
	problems  []string
	queues    []task.Queue
	waiting   []partition.WaitingClass
	gone      chan uint64
	hub       *watch.Hub
	audit     func(req partition.AuditRequest) error

	mu    sync.Mutex
	calls []string

	explain func(task.ID) (partition.Explanation, error)
}

func newFakeEngine() *fakeEngine {
	return &fakeEngine{queues: []task.Queue{task.DefaultQueue("orders"), task.DefaultQueue("mail")}, gone: make(chan uint64, 100)}
}

func (e *fakeEngine) Watch(ctx context.Context, req *watch.Request) (*watch.Watch, error) {
	if e.hub == nil {
		return nil, task.Errorf(task.CodeUnavailable, "nothing is watched here")
	}
	return e.hub.Open(ctx, req)
}

func (e *fakeEngine) Audit(_ context.Context, req partition.AuditRequest) error {
	if e.audit != nil {
		return e.audit(req)
	}
	return e.err
}

func (e *fakeEngine) called(what string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls = append(e.calls, what)
}

func (e *fakeEngine) Submit(ctx context.Context, tasks []task.Task) []partition.SubmitResult {
	if e.submit != nil {
		return e.submit(ctx, tasks)
	}
	results := make([]partition.SubmitResult, len(tasks))
	for i := range tasks {
		if tasks[i].ID.IsZero() {
			tasks[i].ID = task.NewID(time.Unix(1_700_000_000, 0))
		}
		results[i].ID = tasks[i].ID
		if _, ok := e.Queue(tasks[i].Queue); !ok {
			results[i].Err = task.Errorf(task.CodeNotFound, "there is no queue %q", tasks[i].Queue).WithField("queue")
		}
	}
	return results
}

func (e *fakeEngine) TaskStatus(_ context.Context, id task.ID) (partition.TaskStatus, error) {
	if e.status != nil {
		return e.status(id)
	}
	return partition.TaskStatus{ID: id, State: task.StateDone, Queue: "orders", Result: []byte("ok")}, e.err
}

func (e *fakeEngine) Cancel(_ context.Context, ids []task.ID, why string) []partition.CancelResult {
	e.called(fmt.Sprintf("cancel %d: %s", len(ids), why))
	results := make([]partition.CancelResult, len(ids))
	for i, id := range ids {
		results[i] = partition.CancelResult{ID: id, State: task.StateCancelled, Err: e.err}
	}
	return results
}

func (e *fakeEngine) TaskNews(_ partition.WorkerRef, ref task.LeaseRef, index int, n task.News) {
	text := "nothing"
	if n.Progress != nil {
		text = fmt.Sprintf("%v %s", n.Progress.Ratio, n.Progress.Text)
	}
	e.called(fmt.Sprintf("news of %d of lease %d: %v, %s", index, ref.Token, n.Extend, text))
}

func (e *fakeEngine) AwaitTasks(ctx context.Context, ids []task.ID, tell func(partition.TaskStatus, error) error) error {
	if e.await == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	return e.await(ctx, ids, tell)
}

func (e *fakeEngine) Tasks(_ context.Context, f partition.TaskFilter, limit int, pageToken string) (partition.TaskPage, error) {
	e.called(fmt.Sprint("tasks ", f, " ", limit, " ", pageToken))
	return partition.TaskPage{
		Tasks: []partition.TaskStatus{{ID: someDead().Task.ID, State: task.StateRunning, Queue: "orders", Task: &task.Task{Queue: "orders", Payload: []byte("payload")}}},
		Next:  "next", Incomplete: []string{"the log"},
	}, e.err
}

func (e *fakeEngine) Explain(_ context.Context, id task.ID) (partition.Explanation, error) {
	if e.explain != nil {
		return e.explain(id)
	}
	return partition.Explanation{Status: partition.TaskStatus{ID: id}}, e.err
}

func (e *fakeEngine) ConfigureQueue(_ context.Context, q task.Queue) (task.Queue, bool, error) {
	if e.configure != nil {
		return e.configure(q)
	}
	now := task.DefaultQueue(q.Name)
	now.Merge(q)
	return now, true, now.Validate()
}

func (e *fakeEngine) PauseQueue(_ context.Context, name string, paused bool) (task.Queue, error) {
	e.called(fmt.Sprintf("pause %s: %v", name, paused))
	q := task.DefaultQueue(name)
	q.Paused = paused
	return q, e.err
}

func (e *fakeEngine) PreviewPurge(_ context.Context, p partition.Purge) (partition.Purged, error) {
	e.called(fmt.Sprintf("preview %+v", p))
	return partition.Purged{Queued: 7, Scheduled: 3}, e.err
}

func (e *fakeEngine) PurgeQueue(_ context.Context, p partition.Purge) (partition.Purged, error) {
	e.called(fmt.Sprintf("purge %+v", p))
	return partition.Purged{Queued: 5, Before: 42, More: true}, e.err
}

func (e *fakeEngine) Queue(name string) (task.Queue, bool) {
	for _, q := range e.queues {
		if q.Name == name {
			return q, true
		}
	}
	return task.Queue{}, false
}

func (e *fakeEngine) Queues() []task.Queue { return append([]task.Queue(nil), e.queues...) }

func (e *fakeEngine) QueueStats(_ context.Context, name string) (partition.QueueStats, error) {
	if _, ok := e.Queue(name); !ok {
		return partition.QueueStats{}, task.Errorf(task.CodeNotFound, "there is no queue %q", name).WithField("queue")
	}
	return partition.QueueStats{BacklogTasks: 7, Running: 2, Dead: 1}, e.err
}

func (e *fakeEngine) Waiting(context.Context, string) ([]partition.WaitingClass, error) {
	return e.waiting, e.err
}

func (e *fakeEngine) DeadLetters(_ context.Context, f partition.DeadFilter, limit int, pageToken string) ([]partition.DeadLetter, string, error) {
	e.called(fmt.Sprint("dead ", f, " ", limit, " ", pageToken))
	return []partition.DeadLetter{someDead()}, "next", e.err
}

func (e *fakeEngine) RequeueDead(_ context.Context, id task.ID, payload []byte, may func(string) error) error {
	if err := may(someDead().Task.Queue); err != nil {
		return err
	}
	e.called(fmt.Sprintf("requeue %v %q %v", id, payload, payload == nil))
	return e.err
}

func (e *fakeEngine) DeleteDead(_ context.Context, id task.ID, may func(string) error) error {
	if err := may(someDead().Task.Queue); err != nil {
		return err
	}
	e.called(fmt.Sprint("delete ", id))
	return e.err
}

func (e *fakeEngine) ChangeDead(_ context.Context, req partition.DeadChange) (partition.DeadProgress, error) {
	e.called(fmt.Sprint("change ", req.Op, " ", req.Filter, " ", req.Limit, " ", req.Page))
	refused := partition.DeadRefusal{ID: someDead().Task.ID, Err: task.Errorf(task.CodeConflict, "taken")}
	return partition.DeadProgress{Examined: 9, Matched: 3, Changed: 2, Refusals: 1, Refused: []partition.DeadRefusal{refused}, Next: "next"}, e.err
}

func (e *fakeEngine) HaltedKeys(_ context.Context, queue, key string, limit int, pageToken string) ([]partition.HaltedKey, string, error) {
	e.called(fmt.Sprint("halted ", queue, " ", key, " ", limit, " ", pageToken))
	return []partition.HaltedKey{{Queue: queue, Key: "k", Dead: someDead().Task.ID, Since: time.Unix(1_700_000_000, 0), Waiting: 5, More: true}}, "next", e.err
}

func (e *fakeEngine) ResumeKey(_ context.Context, queue, key string) error {
	e.called("resume " + queue + " " + key)
	return e.err
}

func (e *fakeEngine) DeadLetter(_ context.Context, id task.ID, may func(string) error) (partition.DeadLetter, error) {
	d := someDead()
	if err := may(d.Task.Queue); err != nil {
		return partition.DeadLetter{}, err
	}
	d.Task.ID = id
	return d, e.err
}

func someDead() partition.DeadLetter {
	id, _ := task.ParseID(someID)
	return partition.DeadLetter{
		Task: task.Task{ID: id, Queue: "orders", Payload: []byte("payload")}, Reason: "no stock", DiedAt: time.Unix(1_700_000_000, 0),
		Attempts: 3, Deliveries: 4, History: []partition.Try{{At: time.Unix(1_600_000_000, 0), Worker: "w", Error: "boom"}},
	}
}

func (e *fakeEngine) GetRecord(_ context.Context, key, name string) (task.Record, error) {
	e.called("get " + key + " " + name)
	return task.Record{Key: key, Name: name, Version: 3, Value: []byte(`{"n":1}`), UpdatedAt: task.TimestampAt(time.Unix(1_700_000_000, 0))}, e.err
}

func (e *fakeEngine) ScanRecords(_ context.Context, prefix, name string, limit int, pageToken string) ([]task.Record, string, error) {
	e.called("scan " + prefix + " " + name + " " + strconv.Itoa(limit) + " " + pageToken)
	return []task.Record{{Key: prefix + "1", Name: "stock", Version: 1}}, "next", e.err
}

func (e *fakeEngine) PutRecord(_ context.Context, w task.Write, anyVersion bool) (uint64, error) {
	if e.put != nil {
		return e.put(w, anyVersion)
	}
	if err := task.ValidateRecord(w.Key, w.Name, len(w.Value)); err != nil {
		return 0, err
	}
	return w.Expected + 1, e.err
}

func (e *fakeEngine) Commit(_ context.Context, req partition.Commit) (partition.CommitResult, error) {
	e.called(fmt.Sprintf("commit %s %+v %+v", req.ID, req.Reads, req.Writes))
	return partition.CommitResult{Tx: task.DeriveID("tx"), Duplicate: true}, e.err
}

func (e *fakeEngine) History(_ context.Context, q partition.HistoryQuery) (partition.HistoryPage, error) {
	call := "history " + q.Key + " " + q.Name + " " + strconv.FormatUint(q.After, 10) + " " + strconv.Itoa(q.Limit)
	page := partition.HistoryPage{Changes: []partition.Change{{Seq: 5, Op: "put", Key: q.Key, Name: q.Name, Before: 4, After: 5, Value: []byte("v")}}, After: 5}
	if q.Newest {
		call += fmt.Sprintf(" newest %s from %d to %d", q.Page, q.Since.Unix(), q.Until.Unix())
		page.After, page.Page = 0, "further"
	}
	e.called(call)
	return page, e.err
}

func (e *fakeEngine) ExtendLease(_ context.Context, _ partition.WorkerRef, ref task.LeaseRef, _ int, by time.Duration) error {
	e.called(fmt.Sprintf("extend %d %v", ref.Token, by))
	return e.err
}

func (e *fakeEngine) AcquireLock(ctx context.Context, r lock.Request) (lock.Held, error) {
	if e.acquire != nil {
		return e.acquire(ctx, r)
	}
	return lock.Held{Name: r.Name, Token: 7, TTL: r.TTL, Confirm: 10 * time.Second}, e.err
}

func (e *fakeEngine) RenewLocks(_ context.Context, refs []partition.LockRef) []partition.Renewal {
	renewals := make([]partition.Renewal, len(refs))
	for i, ref := range refs {
		if renewals[i].Held = (lock.Held{Name: ref.Name, Token: ref.Token, TTL: time.Minute}); ref.Token != 7 {
			renewals[i] = partition.Renewal{Err: task.Errorf(task.CodeStale, "token %d has ended", ref.Token)}
		}
	}
	return renewals
}

func (e *fakeEngine) ReleaseLock(_ context.Context, ref partition.LockRef) error {
	e.called("release " + ref.Name + " " + strconv.FormatUint(ref.Token, 10))
	return e.err
}

func (e *fakeEngine) StealLock(_ context.Context, r lock.Request) (lock.Held, error) {
	e.called("steal " + r.Name + " " + r.Holder)
	return lock.Held{Name: r.Name, Token: 8, TTL: r.TTL}, e.err
}

func (e *fakeEngine) Lock(_ context.Context, name string) (lock.View, error) {
	return lock.View{Name: name, Holder: "me", Token: 7, TTL: time.Minute, Left: time.Second, Since: time.Unix(1_700_000_000, 0), Waiters: 2}, e.err
}

func (e *fakeEngine) Locks(_ context.Context, prefix string, limit int, pageToken string) ([]lock.View, string, error) {
	e.called("locks " + prefix + " " + strconv.Itoa(limit) + " " + pageToken)
	return []lock.View{{Name: prefix + "1", Holder: "me", Token: 7}}, "next", e.err
}

func (e *fakeEngine) Problems() []string { return e.problems }

func (e *fakeEngine) Outcomes(w partition.WorkerRef, ref task.LeaseRef, first int, outcomes []task.Outcome) {
	if e.outcomes != nil {
		e.outcomes(w, ref, first, outcomes)
	}
}

func (e *fakeEngine) Capacity(int, string, task.Placement, uint64) {}

func (e *fakeEngine) WorkerGone(session uint64, _ bool) { e.gone <- session }

// harness is a server on loopback with a client.
type harness struct {
	*Server
	engine  *fakeEngine
	workers *dispatch.Dispatcher
	conn    *grpc.ClientConn
	web     *http.Client
	url     string
}

func newHarness(t *testing.T, change ...func(*fakeEngine, *Config)) *harness {
	t.Helper()
	h := &harness{engine: newFakeEngine(), web: &http.Client{Transport: &http.Transport{}}}
	registry := prometheus.NewRegistry()
	cfg := Config{
		Engine: h.engine, GRPC: listen(t), HTTP: listen(t), Registerer: registry, Gatherer: registry,
		Node: "n1", Version: "v0", Partitions: 16, Durability: "fsync",
	}
	for _, f := range change {
		f(h.engine, &cfg)
	}
	var err error
	if h.workers, err = dispatch.New(dispatch.Config{}); err != nil {
		t.Fatal(err)
	}
	h.workers.Start(h.engine)
	cfg.Workers = h.workers
	if h.Server, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	h.Start()
	h.url = "http://" + cfg.HTTP.Addr().String()
	if h.conn, err = grpc.NewClient(cfg.GRPC.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second) //nolint:usetesting // The test's own context has ended.
		defer cancel()
		if err := h.conn.Close(); err != nil {
			t.Error(err)
		}
		h.web.CloseIdleConnections()
		if err := h.Close(ctx); err != nil {
			t.Errorf("close server: %v", err)
		}
		if err := h.workers.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return h
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}
