package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/config"
	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/task"
	"github.com/fenfa/fenfa/internal/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// options are those of a small node on free ports.
func options(tb testing.TB) Options {
	tb.Helper()
	c := config.Default()
	c.Node, c.DataDir = "n1", filepath.Join(tb.TempDir(), "data")
	c.GRPC.Listen, c.HTTP.Listen = "127.0.0.1:0", "127.0.0.1:0"
	c.Partitions = 4
	c.Storage = config.Storage{Cache: 8 << 20, MemTable: 4 << 20, MinFree: 1 << 20}
	c.Shutdown.Drain = 5 * time.Second
	return Options{Config: c, Build: telemetry.Build{Version: "v0"}, Fatal: func(err error) { tb.Errorf("the disk failed: %v", err) }}
}

// running is a node that runs, and a client of it.
type running struct {
	*Node
	t    *testing.T
	conn *grpc.ClientConn
	stop func() error
}

func start(t *testing.T, opts Options) *running {
	t.Helper()
	n, err := Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(n.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background()) //nolint:usetesting // It ends with stop, before the test does.
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	r := &running{Node: n, t: t, conn: conn}
	stopped := false
	r.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return errors.Join(conn.Close(), <-done)
	}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("stop node: %v", err)
		}
	})
	return r
}

// queue makes the queue that the tests use.
func (r *running) queue() {
	r.t.Helper()
	_, err := fenfav1.NewQueueServiceClient(r.conn).Configure(r.t.Context(), &fenfav1.ConfigureQueueRequest{Queue: &fenfav1.Queue{Name: "orders"}})
	if err != nil {
		r.t.Fatal(err)
	}
}

// submit submits one task over gRPC and returns its ID.
func (r *running) submit(w *fenfav1.Task) string {
	r.t.Helper()
	resp, err := fenfav1.NewTaskServiceClient(r.conn).Submit(r.t.Context(), &fenfav1.SubmitRequest{Tasks: []*fenfav1.Task{w}})
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.GetResults()[0].GetId()
}

func (r *running) status(id string) *fenfav1.TaskStatus {
	r.t.Helper()
	resp, err := fenfav1.NewTaskServiceClient(r.conn).Get(r.t.Context(), &fenfav1.GetTaskRequest{Id: id})
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.GetStatus()
}

// web sends an HTTP request and returns status and body.
func (r *running) web(method, path, body string) (int, string) {
	r.t.Helper()
	status, answer, err := ask(r.t.Context(), method, "http://"+r.HTTPAddr()+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	return status, answer
}

// ask sends an HTTP request over a connection of its own.
func ask(ctx context.Context, method, url, body string) (status int, answer string, err error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// worker is a raw stream of a worker that has been welcomed.
type worker struct {
	t      *testing.T
	stream fenfav1.WorkerService_WorkClient
}

func (r *running) worker(id string, slots uint32, queues ...string) *worker {
	r.t.Helper()
	stream, err := fenfav1.NewWorkerServiceClient(r.conn).Work(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	w := &worker{r.t, stream}
	w.say(&fenfav1.WorkRequest{Hello: &fenfav1.Hello{WorkerId: id, Queues: queues, Slots: slots}})
	if welcome := w.hear().GetWelcome(); welcome.GetNode() != "n1" {
		r.t.Fatalf("welcome is %v", welcome)
	}
	return w
}

func (w *worker) say(req *fenfav1.WorkRequest) {
	w.t.Helper()
	if err := w.stream.Send(req); err != nil {
		w.t.Fatal(err)
	}
}

func (w *worker) hear() *fenfav1.WorkResponse {
	w.t.Helper()
	resp, err := w.stream.Recv()
	if err != nil {
		w.t.Fatal(err)
	}
	return resp
}

// finish answers every task with an outcome until n are committed, and returns
// the IDs of what it ran, in order.
func (w *worker) finish(n int, outcome func(*fenfav1.Lease, *fenfav1.Task) *fenfav1.Outcome) []string {
	w.t.Helper()
	var ran []string
	for committed := 0; committed < n; {
		resp := w.hear()
		for _, v := range resp.GetVerdicts() {
			if v.GetKind() != fenfav1.VerdictKind_VERDICT_KIND_COMMITTED {
				w.t.Fatalf("verdict is %v", v)
			}
			committed += int(v.GetCount())
		}
		for _, l := range resp.GetLeases() {
			answer := &fenfav1.LeaseOutcomes{Lease: l.GetRef()}
			for _, task := range l.GetTasks() {
				ran = append(ran, task.GetId())
				answer.Outcomes = append(answer.Outcomes, outcome(l, task))
			}
			w.say(&fenfav1.WorkRequest{Outcomes: []*fenfav1.LeaseOutcomes{answer}})
		}
	}
	return ran
}

func done(result string) func(*fenfav1.Lease, *fenfav1.Task) *fenfav1.Outcome {
	return func(*fenfav1.Lease, *fenfav1.Task) *fenfav1.Outcome {
		return &fenfav1.Outcome{Result: []byte(result)}
	}
}

func TestTasksOfBothTransportsReachAWorkerAndTheirResultsTheSubmitter(t *testing.T) {
	r := start(t, options(t))
	if status, body := r.web("PUT", "/v1/queues/orders", `{"timeout":"10s"}`); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	first := r.submit(&fenfav1.Task{Queue: "orders", Key: "sku-1", Payload: []byte("1")})
	const second = "0190a5f2-7b1c-7d3e-8f4a-5b6c7d8e9f01"
	if status, body := r.web("POST", "/v1/tasks", `{"tasks":[{"id":"`+second+`","queue":"orders","key":"sku-1","payload":"Mg=="}]}`); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	w := r.worker("w1", 4, "orders")
	ran := w.finish(2, func(_ *fenfav1.Lease, task *fenfav1.Task) *fenfav1.Outcome {
		o := &fenfav1.Outcome{Result: append([]byte("result of "), task.GetPayload()...)}
		if task.GetId() == first {
			o.Writes = []*fenfav1.Write{{Name: "stock", Value: []byte("41")}}
		}
		return o
	})
	if len(ran) != 2 || ran[0] != first || ran[1] != second {
		t.Errorf("the key's tasks ran as %v, want %s %s", ran, first, second)
	}
	if st := r.status(first); st.GetState() != fenfav1.TaskState_TASK_STATE_DONE || string(st.GetResult()) != "result of 1" {
		t.Errorf("status over gRPC: %v", st)
	}
	if status, body := r.web("GET", "/v1/tasks/"+second, ""); status != http.StatusOK || !strings.Contains(body, "TASK_STATE_DONE") {
		t.Errorf("status over HTTP: %d %s", status, body)
	}
	if status, body := r.web("GET", "/v1/records/sku-1/stock", ""); status != http.StatusOK || !strings.Contains(body, `"NDE="`) || !strings.Contains(body, first) {
		t.Errorf("record: %d %s", status, body)
	}
	if status, body := r.web("GET", "/v1/records/sku-1/stock/history", ""); status != http.StatusOK || !strings.Contains(body, `"worker":"w1"`) {
		t.Errorf("history: %d %s", status, body)
	}
	if status, body := r.web("GET", "/v1/workers", ""); status != http.StatusOK || !strings.Contains(body, `"done_total":"2"`) || !strings.Contains(body, `"in_flight":0`) {
		t.Errorf("workers: %d %s", status, body)
	}
	if status, body := r.web("GET", "/metrics", ""); status != http.StatusOK || !strings.Contains(body, "fenfa_dispatch_workers") || !strings.Contains(body, "fenfa_build_info") {
		t.Errorf("metrics: %d %.200s", status, body)
	}
	if status, body := r.web("GET", "/readyz", ""); status != http.StatusOK {
		t.Errorf("ready: %d %s", status, body)
	}
}

func TestAStreamOfSubmitsIsWorkedOff(t *testing.T) {
	r := start(t, options(t))
	r.queue()
	const requests, each = 40, 25
	stream, err := fenfav1.NewTaskServiceClient(r.conn).SubmitStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range requests {
		req := &fenfav1.SubmitStreamRequest{Sequence: uint64(i)}
		for j := range each {
			id := task.DeriveID("test", fmt.Sprint(i), fmt.Sprint(j)).String()
			req.Tasks = append(req.Tasks, &fenfav1.Task{Id: id, Queue: "orders", Key: fmt.Sprint("k", j%7), Payload: make([]byte, 100)})
		}
		if err := stream.Send(req); err != nil {
			t.Fatal(err)
		}
	}
	for i := range requests {
		resp, err := stream.Recv()
		if err != nil || resp.GetSequence() != uint64(i) || len(resp.GetExceptions()) != 0 {
			t.Fatalf("answer %d: %v, %v", i, resp, err)
		}
	}
	r.worker("w1", 8, "orders").finish(requests*each, done("ok"))
	if _, body := r.web("GET", "/v1/queues/orders", ""); !strings.Contains(body, `"done_total":"1000"`) {
		t.Errorf("queue: %s", body)
	}
}

func TestWhatALostWorkerHadGoesToAnother(t *testing.T) {
	r := start(t, options(t))
	r.queue()
	lost := r.worker("lost", 1, "orders")
	id := r.submit(&fenfav1.Task{Queue: "orders", Key: "k"})
	if got := lost.hear().GetLeases()[0].GetTasks()[0]; got.GetId() != id || got.GetDelivery() != 1 {
		t.Fatalf("got %v", got)
	}
	other := r.worker("other", 1, "orders")
	if err := lost.stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	other.finish(1, func(_ *fenfav1.Lease, task *fenfav1.Task) *fenfav1.Outcome {
		if task.GetDelivery() != 2 || task.GetAttempt() != 1 {
			t.Errorf("delivery %d, attempt %d: the loss of a worker counts as a delivery only", task.GetDelivery(), task.GetAttempt())
		}
		return &fenfav1.Outcome{}
	})
	if st := r.status(id); st.GetState() != fenfav1.TaskState_TASK_STATE_DONE || st.GetWorker() != "other" {
		t.Errorf("status: %v", st)
	}
}

func TestANodeThatStopsLetsLeasesFinishAndKeepsTheRest(t *testing.T) {
	opts := options(t)
	r := start(t, opts)
	r.queue()
	w := r.worker("w1", 1, "orders")
	first := r.submit(&fenfav1.Task{Queue: "orders", Key: "a"})
	lease := w.hear().GetLeases()[0]
	second := r.submit(&fenfav1.Task{Queue: "orders", Key: "b"}) // The only slot is taken.

	stopped := make(chan error, 1)
	go func() { stopped <- r.Close(context.WithoutCancel(t.Context())) }()
	if resp := w.hear(); !resp.GetDrain() {
		t.Fatalf("the worker was told %v, want drain", resp)
	}
	_, err := fenfav1.NewTaskServiceClient(r.conn).Submit(t.Context(), &fenfav1.SubmitRequest{Tasks: []*fenfav1.Task{{Queue: "orders"}}})
	if err == nil {
		t.Error("a node that drains took a task")
	}
	w.say(&fenfav1.WorkRequest{Outcomes: []*fenfav1.LeaseOutcomes{{Lease: lease.GetRef(), Outcomes: []*fenfav1.Outcome{{}}}}})
	for resp := w.hear(); len(resp.GetVerdicts()) == 0; resp = w.hear() {
		if len(resp.GetLeases()) > 0 {
			t.Fatal("a node that drains gave out a lease")
		}
	}
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}

	again := start(t, opts)
	if st := again.status(first); st.GetState() != fenfav1.TaskState_TASK_STATE_DONE {
		t.Errorf("finished while draining: %v", st)
	}
	if ran := again.worker("w1", 1, "orders").finish(1, done("late")); ran[0] != second {
		t.Errorf("ran %v, want %s", ran, second)
	}
}

func TestADrainEndsAtItsDeadline(t *testing.T) {
	opts := options(t)
	opts.Config.Shutdown.Drain = 50 * time.Millisecond
	r := start(t, opts)
	r.queue()
	w := r.worker("w1", 1, "orders")
	r.submit(&fenfav1.Task{Queue: "orders"})
	w.hear()
	if err := r.stop(); err != nil { // The worker never answers.
		t.Errorf("stop: %v", err)
	}
}

func TestOpenSaysWhatIsInTheWay(t *testing.T) {
	running := start(t, options(t))
	other := func(change func(*config.Config)) Options {
		opts := options(t)
		change(&opts.Config)
		return opts
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, field string
		opts        Options
		want        []string
	}{
		{"gRPC port in use", "grpc.listen", other(func(c *config.Config) { c.GRPC.Listen = running.GRPCAddr() }), []string{running.GRPCAddr() + " is in use", "--grpc-listen"}},
		{"HTTP port in use", "http.listen", other(func(c *config.Config) { c.HTTP.Listen = running.HTTPAddr() }), []string{running.HTTPAddr() + " is in use", "--http-listen"}},
		{"foreign address", "grpc.listen", other(func(c *config.Config) { c.GRPC.Listen, c.Insecure = "192.0.2.1:0", true }), []string{"192.0.2.1", "--grpc-listen"}},
		{"directory in use", "data_dir", other(func(c *config.Config) { c.DataDir = running.opts.Config.DataDir }), []string{"is in use by another node", "--data-dir"}},
		{"a file for a directory", "data_dir", other(func(c *config.Config) { c.DataDir = file }), []string{file}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Open(t.Context(), c.opts)
			var e *task.Error
			if !errors.As(err, &e) || e.Code != task.CodeFailedPrecondition || e.Field != c.field {
				t.Fatalf("got %v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in %q", want, err)
				}
			}
			if strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "goroutine") {
				t.Errorf("not one line: %q", err)
			}
		})
	}
}

func TestOpenRefusesABadConfiguration(t *testing.T) {
	opts := options(t)
	opts.Config.GRPC.Listen = "0.0.0.0:0"
	if _, err := Open(t.Context(), opts); err == nil || !strings.Contains(err.Error(), "insecure") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(opts.Config.DataDir); !errors.Is(err, os.ErrNotExist) {
		t.Error("the data directory was made")
	}
}

func TestAFailedOpenLeavesNothingBehind(t *testing.T) {
	opts := options(t)
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	opts.Config.HTTP.Listen = taken.Addr().String()
	if _, err := Open(t.Context(), opts); err == nil {
		t.Fatal("the port was free")
	}
	if _, err := os.Stat(opts.Config.DataDir); !errors.Is(err, os.ErrNotExist) {
		t.Error("the data directory was made although the port was taken")
	}
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	start(t, opts)
}

func TestTheNumberOfPartitionsCannotChange(t *testing.T) {
	opts := options(t)
	if err := start(t, opts).stop(); err != nil {
		t.Fatal(err)
	}
	opts.Config.Partitions = 8
	_, err := Open(t.Context(), opts)
	if err == nil || !strings.Contains(err.Error(), "made with 4 partitions") || !strings.Contains(err.Error(), "not 8") {
		t.Errorf("got %v", err)
	}
	opts.Config.Partitions = 4
	start(t, opts)
}

func TestADirectoryOfANewerVersionIsRefusedAndLeftAsItIs(t *testing.T) {
	opts := options(t)
	if err := start(t, opts).stop(); err != nil {
		t.Fatal(err)
	}
	format := func(version uint32) {
		t.Helper()
		db, err := kv.Open(kv.Config{Dir: opts.Config.DataDir, Fatal: func(err error) { t.Error(err) }})
		if err != nil {
			t.Fatal(err)
		}
		b := db.NewBatch()
		b.Set([]byte{kv.SpaceMeta, 'f'}, binary.BigEndian.AppendUint32(nil, version))
		if err := errors.Join(db.CommitWait(t.Context(), b), db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	format(kv.FormatVersion + 1)
	for range 2 {
		_, err := Open(t.Context(), opts)
		var e *task.Error
		if !errors.As(err, &e) || e.Field != "data_dir" || !strings.Contains(e.Message, "newer version of fenfa") || strings.Contains(e.Message, "\n") {
			t.Fatalf("got %v", err)
		}
	}
}

func TestACancelledStartStopsAgain(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	opts := options(t)
	if _, err := Open(ctx, opts); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	start(t, opts)
}

func TestANodeWhoseDiskIsNearlyFullIsNotReadyAndSaysWhy(t *testing.T) {
	opts := options(t)
	opts.Config.Storage.MinFree = 1 << 50
	n := start(t, opts)
	problems := n.Problems()
	if len(problems) != 1 || !strings.Contains(problems[0], "no new tasks are taken") {
		t.Fatalf("problems: %q", problems)
	}
	health, err := fenfav1.NewClusterServiceClient(n.conn).Health(t.Context(), &fenfav1.HealthRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if health.GetReady() || len(health.GetProblems()) != 1 {
		t.Fatalf("health: %v", health)
	}
}
