package server

import (
	"errors"
	"io"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

type workClient = fenfav1.WorkerService_WorkClient

func (h *harness) work(t *testing.T) workClient {
	t.Helper()
	stream, err := fenfav1.NewWorkerServiceClient(h.conn).Work(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

func say(t *testing.T, stream workClient, req *fenfav1.WorkRequest) {
	t.Helper()
	if err := stream.Send(req); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
}

func hear(t *testing.T, stream workClient) *fenfav1.WorkResponse {
	t.Helper()
	resp, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func hello(id string) *fenfav1.WorkRequest {
	return &fenfav1.WorkRequest{Hello: &fenfav1.Hello{WorkerId: id, Queues: []string{"orders"}, Slots: 4, Client: "test"}}
}

// worker says hello as "w1" and hears the welcome.
func (h *harness) worker(t *testing.T) workClient {
	t.Helper()
	stream := h.work(t)
	say(t, stream, hello("w1"))
	if w := hear(t, stream).GetWelcome(); w.GetNode() != "n1" || w.GetVersion() != "v0" || w.GetHeartbeatInterval().AsDuration() != h.workers.HeartbeatInterval() {
		t.Fatalf("welcome is %v", w)
	}
	return stream
}

// assign leases one task to whoever serves the queue.
func (h *harness) assign(t *testing.T, payload int, token uint64) partition.WorkerRef {
	t.Helper()
	q := task.DefaultQueue("orders")
	w, _, ok := h.workers.Assign(0, &q, task.Placement{}, "k", 1)
	if !ok {
		t.Fatal("no worker has room")
	}
	h.workers.Send(w.Session, &task.Lease{
		LeaseRef: task.LeaseRef{Token: token}, Queue: "orders",
		Tasks: []task.Leased{{Task: task.Task{Queue: "orders", Payload: make([]byte, payload)}, Attempt: 1, Delivery: 1}},
	})
	return w
}

func TestAWorkerGetsLeasesAndAnswersThem(t *testing.T) {
	type heard struct {
		w        partition.WorkerRef
		ref      task.LeaseRef
		first    int
		outcomes []task.Outcome
	}
	outcomes := make(chan heard, 10)
	h := newHarness(t, func(e *fakeEngine, _ *Config) {
		e.outcomes = func(w partition.WorkerRef, ref task.LeaseRef, first int, o []task.Outcome) {
			outcomes <- heard{w, ref, first, o}
		}
	})
	stream := h.worker(t)
	ref := h.assign(t, 10, 77)
	leases := hear(t, stream).GetLeases()
	if len(leases) != 1 || leases[0].GetRef().GetToken() != 77 || leases[0].GetTasks()[0].GetQueue() != "orders" {
		t.Fatalf("got %v", leases)
	}
	say(t, stream, &fenfav1.WorkRequest{Outcomes: []*fenfav1.LeaseOutcomes{{
		Lease: leases[0].GetRef(), First: 3, Outcomes: []*fenfav1.Outcome{{Result: []byte("r")}, {Kind: fenfav1.OutcomeKind_OUTCOME_KIND_DEAD}},
	}}})
	got := <-outcomes
	if got.w != ref || got.ref.Token != 77 || got.first != 3 || len(got.outcomes) != 2 || got.outcomes[1].Kind != task.OutcomeDead {
		t.Fatalf("engine got %+v", got)
	}
	h.workers.Answer(ref.Session, task.Verdict{LeaseRef: got.ref, Kind: task.VerdictStale, First: 3, Count: 2})
	v := hear(t, stream).GetVerdicts()
	if len(v) != 1 || v[0].GetKind() != fenfav1.VerdictKind_VERDICT_KIND_STALE || v[0].GetCount() != 2 || v[0].GetLease().GetToken() != 77 {
		t.Fatalf("got %v", v)
	}
}

func TestBadHellosAreRefused(t *testing.T) {
	h := newHarness(t)
	with := func(change func(*fenfav1.Hello)) *fenfav1.WorkRequest {
		req := hello("w")
		change(req.GetHello())
		return req
	}
	for _, c := range []struct {
		name  string
		req   *fenfav1.WorkRequest
		grpc  codes.Code
		code  task.Code
		field string
	}{
		{"no hello", &fenfav1.WorkRequest{Heartbeat: true}, codes.InvalidArgument, task.CodeInvalidArgument, "hello"},
		{"no id", with(func(h *fenfav1.Hello) { h.WorkerId = "" }), codes.InvalidArgument, task.CodeInvalidArgument, "hello.worker_id"},
		{"no slots", with(func(h *fenfav1.Hello) { h.Slots = 0 }), codes.InvalidArgument, task.CodeInvalidArgument, "hello.slots"},
		{"too many slots", with(func(h *fenfav1.Hello) { h.Slots = 1 << 31 }), codes.InvalidArgument, task.CodeInvalidArgument, "hello.slots"},
		{"no queues", with(func(h *fenfav1.Hello) { h.Queues = nil }), codes.InvalidArgument, task.CodeInvalidArgument, "hello.queues"},
		{"bad queue", with(func(h *fenfav1.Hello) { h.Queues = []string{"a b"} }), codes.InvalidArgument, task.CodeInvalidArgument, "hello.queues"},
		{"unknown queue", with(func(h *fenfav1.Hello) { h.Queues = []string{"order"} }), codes.NotFound, task.CodeNotFound, "hello.queues"},
		{"bad weight", with(func(h *fenfav1.Hello) { h.Weight = -3 }), codes.InvalidArgument, task.CodeInvalidArgument, "hello.weight"},
	} {
		t.Run(c.name, func(t *testing.T) {
			stream := h.work(t)
			say(t, stream, c.req)
			_, err := stream.Recv()
			e := refused(t, err, c.grpc, c.code)
			if e.field != c.field {
				t.Errorf("field %q, want %q", e.field, c.field)
			}
			if want := "there is no queue \"order\": did you mean \"orders\"? Else create it with `fenfa queue set order`"; c.code == task.CodeNotFound && e.message != want {
				t.Errorf("message %q", e.message)
			}
		})
	}
	if n := len(h.workers.Workers()); n != 0 {
		t.Errorf("%d workers are listed", n)
	}
}

func TestASecondHelloIsRefused(t *testing.T) {
	h := newHarness(t)
	stream := h.worker(t)
	say(t, stream, hello("w1"))
	_, err := stream.Recv()
	refused(t, err, codes.InvalidArgument, task.CodeInvalidArgument)
}

func TestAReplacedSessionIsToldSo(t *testing.T) {
	h := newHarness(t)
	old := h.worker(t)
	h.worker(t)
	_, err := old.Recv()
	said := refused(t, err, codes.AlreadyExists, task.CodeAlreadyExists).message
	if by := h.workers.Workers()[0].Address; by == "" || !strings.Contains(said, "replaced this one, from "+by+": give each worker") {
		t.Errorf("it is told %q, and was replaced by %s", said, by)
	}
	if got := <-h.engine.gone; got != 1 {
		t.Errorf("session %d ended", got)
	}
}

func TestAWorkerThatEndsItsStreamIsGoneAtOnce(t *testing.T) {
	h := newHarness(t)
	stream := h.worker(t)
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if got := <-h.engine.gone; got != 1 {
		t.Errorf("session %d ended", got)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the stream ends with %v", err)
	}
}

func TestADrainingWorkerGetsNothingNew(t *testing.T) {
	h := newHarness(t)
	stream := h.worker(t)
	h.assign(t, 1, 1)
	say(t, stream, &fenfav1.WorkRequest{Heartbeat: true, Drain: true})
	hear(t, stream)
	for h.workers.Eligible("orders", "") != 0 { // The stream has no answer to wait for.
		if t.Context().Err() != nil {
			t.Fatal("the worker was not taken out")
		}
	}
	if ws := h.workers.Workers(); len(ws) != 1 || ws[0].State != "draining" {
		t.Errorf("workers: %+v", ws)
	}
}

func TestTheNodesDrainReachesTheWorker(t *testing.T) {
	h := newHarness(t)
	stream := h.worker(t)
	h.workers.Drain()
	if resp := hear(t, stream); !resp.GetDrain() || len(resp.GetLeases()) != 0 {
		t.Errorf("got %v", resp)
	}
	other := h.work(t)
	say(t, other, hello("w2"))
	_, err := other.Recv()
	refused(t, err, codes.Unavailable, task.CodeUnavailable)
}

func TestCloseSendsWhatWaitsAndEndsWorkerStreams(t *testing.T) {
	h := newHarness(t)
	stream := h.worker(t)
	ref := h.assign(t, 1, 1)
	hear(t, stream)
	h.workers.Answer(ref.Session, task.Verdict{Count: 1})
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v := hear(t, stream).GetVerdicts(); len(v) != 1 {
		t.Errorf("got %v", v)
	}
	_, err := stream.Recv()
	refused(t, err, codes.Unavailable, task.CodeUnavailable)
}

// recorder is a worker's stream that keeps what is sent.
type recorder struct {
	workStream
	sent []*fenfav1.WorkResponse
}

func (r *recorder) Send(resp *fenfav1.WorkResponse) error {
	r.sent = append(r.sent, resp)
	return nil
}
