package server

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/dispatch"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

func TestAWorkerIsShownWhole(t *testing.T) {
	at := time.Unix(1_700_000_000, 0).UTC()
	got := workerToWire(&dispatch.Worker{
		ID: "w", State: dispatch.StateQuiet, Queues: []string{"a", "b"}, Slots: 4, Prefetch: 3, InFlight: 2, Weight: 2.5, EffectiveWeight: 0.25,
		WeightIsSet: true, Labels: map[string]string{"zone": "eu"}, Client: "c", Address: "x:1", ConnectedAt: at, HeartbeatAge: 1234567 * time.Nanosecond,
		Done: 5, Failed: 6,
		Serving: []dispatch.Serving{
			{Queue: "a", InFlight: 2, Latency: 1500 * time.Nanosecond},
			{Queue: "b", EjectedUntil: at, EjectedFor: dispatch.EjectedForFlapping},
		},
	})
	want := &fenfav1.Worker{
		Id: "w", State: "quiet", Queues: []string{"a", "b"}, Slots: 4, Prefetch: 3, InFlight: 2, Weight: 2.5, EffectiveWeight: 0.25,
		WeightIsSet: true, Labels: map[string]string{"zone": "eu"}, Client: "c", Address: "x:1", ConnectedAt: timeToWire(at), HeartbeatAge: durationpb.New(time.Millisecond),
		DoneTotal: 5, FailedTotal: 6,
		Serving: []*fenfav1.WorkerQueue{
			{Queue: "a", InFlight: 2, Latency: durationpb.New(2 * time.Microsecond)},
			{Queue: "b", EjectedUntil: timeToWire(at), EjectedFor: "flapping"},
		},
	}
	if !proto.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func TestAWorkerIsSteeredOverHTTP(t *testing.T) {
	h := newHarness(t)
	stream := h.worker(t)
	for _, c := range []struct {
		method, path, body string
		want               []string
	}{
		{"PATCH", "/v1/workers/w1", `{"weight":2.5,"quiet":true}`, []string{`"weight":2.5`, `"weight_is_set":true`, `"state":"quiet"`}},
		{"PATCH", "/v1/workers/w1", `{"quiet":false}`, []string{`"weight":2.5`, `"state":"active"`}},
		{"PATCH", "/v1/workers/w1", `{"weight":0}`, []string{`"weight":1`, `"weight_is_set":false`}},
		{"GET", "/v1/workers", ``, []string{`"id":"w1"`, `"queue":"orders"`, `"effective_weight":`, `"prefetch":0`}},
		{"POST", "/v1/workers/w1/drain", ``, []string{`"state":"draining"`}},
	} {
		r := h.do(t, c.method, c.path, strings.NewReader(c.body))
		for _, want := range c.want {
			if r.status != 200 || !strings.Contains(strings.ReplaceAll(r.body, `": `, `":`), want) {
				t.Errorf("%s %s %s: %s is not in %d %s", c.method, c.path, c.body, want, r.status, r.body)
			}
		}
	}
	if resp := hear(t, stream); !resp.GetDrain() || !resp.GetLeave() {
		t.Errorf("the worker hears %v, want that it is to leave", resp)
	}
}

func TestSteeringIsRefusedClearly(t *testing.T) {
	h := newHarness(t)
	h.worker(t)
	for _, c := range []struct {
		method, path, body string
		status             int
		field, says        string
	}{
		{"PATCH", "/v1/workers/w1", `{}`, 400, "weight", "nothing to change"},
		{"PATCH", "/v1/workers/w1", `{"weight":-1}`, 400, "weight", "more than 0"},
		{"PATCH", "/v1/workers/w1", `{"weight":"NaN","quiet":true}`, 400, "weight", "more than 0"},
		{"PATCH", "/v1/workers/w1", `{"wieght":1}`, 400, "wieght", "wieght"},
		{"PATCH", "/v1/workers/w2", `{"weight":1}`, 404, "id", "did you mean w1?"},
		{"PATCH", "/v1/workers/w2", `{"quiet":true}`, 404, "id", "did you mean w1?"},
		{"PATCH", "/v1/workers/" + strings.Repeat("w", 257), `{"quiet":true}`, 400, "id", "257 bytes"},
		{"POST", "/v1/workers/other/drain", ``, 404, "id", "connected are w1"},
		{"POST", "/v1/workers/w1/drain?id=w1", ``, 400, "id", "query"},
		{"PUT", "/v1/workers/w1", `{"weight":1}`, 405, "", "PUT"},
	} {
		r := h.do(t, c.method, c.path, strings.NewReader(c.body))
		if r.status != c.status || r.fail.Field != c.field || !strings.Contains(r.fail.Message, c.says) {
			t.Errorf("%s %s %s: %d %s, want %d about %q with field %q", c.method, c.path, c.body, r.status, r.body, c.status, c.says, c.field)
		}
	}
	if w := h.workers.Workers()[0]; w.State != dispatch.StateActive || w.WeightIsSet {
		t.Errorf("a refused change took effect: %+v", w)
	}
	_, err := fenfav1.NewClusterServiceClient(h.conn).DrainWorker(t.Context(), &fenfav1.DrainWorkerRequest{})
	if e := refused(t, err, codes.InvalidArgument, task.CodeInvalidArgument); e.field != "id" {
		t.Errorf("field %q", e.field)
	}
}

// awaitWorker waits until the only worker is as it should be: what a worker says of
// itself has no answer.
func (h *harness) awaitWorker(t *testing.T, what string, is func(dispatch.Worker) bool) {
	t.Helper()
	for {
		if ws := h.workers.Workers(); len(ws) == 1 && is(ws[0]) {
			return
		}
		if t.Context().Err() != nil {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestWhatAWorkerSaysOfItselfCounts(t *testing.T) {
	h := newHarness(t)
	stream := h.work(t)
	first := hello("w1")
	first.Quiet, first.Prefetch = new(true), new(uint32(2))
	say(t, stream, first)
	hear(t, stream)
	h.awaitWorker(t, "quiet from its hello on", func(w dispatch.Worker) bool { return w.State == dispatch.StateQuiet && w.Prefetch == 2 })
	q := task.DefaultQueue("orders")
	if _, _, ok := h.workers.Assign(0, &q, task.Placement{}, "k", 1); ok {
		t.Error("a worker that was quiet when it came got something")
	}
	say(t, stream, &fenfav1.WorkRequest{Heartbeat: true})
	say(t, stream, &fenfav1.WorkRequest{Prefetch: new(uint32(1))})
	h.awaitWorker(t, "still quiet", func(w dispatch.Worker) bool { return w.State == dispatch.StateQuiet && w.Prefetch == 1 })
	if _, err := h.workers.SetQuiet("w1", false); err != nil {
		t.Fatal(err)
	}
	if resp := hear(t, stream); !resp.GetResumed() || resp.GetDrain() {
		t.Errorf("the worker hears %v, want that it is not quiet any more", resp)
	}
	say(t, stream, &fenfav1.WorkRequest{Quiet: new(true)})
	h.awaitWorker(t, "quiet again", func(w dispatch.Worker) bool { return w.State == dispatch.StateQuiet })
	say(t, stream, &fenfav1.WorkRequest{Quiet: new(false), Prefetch: new(uint32(1 << 31))})
	h.awaitWorker(t, "active", func(w dispatch.Worker) bool { return w.State == dispatch.StateActive && w.Prefetch == 4 })
}

func TestAWorkersDrainComesBeforeTheOutcomesOfItsMessage(t *testing.T) {
	states := make(chan dispatch.State, 1)
	var h *harness
	h = newHarness(t, func(e *fakeEngine, _ *Config) {
		e.outcomes = func(partition.WorkerRef, task.LeaseRef, int, []task.Outcome) { states <- h.workers.Workers()[0].State }
	})
	stream := h.worker(t)
	h.assign(t, 1, 1)
	ref := hear(t, stream).GetLeases()[0].GetRef()
	say(t, stream, &fenfav1.WorkRequest{Drain: true, Outcomes: []*fenfav1.LeaseOutcomes{{Lease: ref, Outcomes: []*fenfav1.Outcome{{Kind: fenfav1.OutcomeKind_OUTCOME_KIND_RETURNED}}}}})
	if state := <-states; state != dispatch.StateDraining {
		t.Errorf("the worker is %s when its outcome comes: its slot would be filled again", state)
	}
}
