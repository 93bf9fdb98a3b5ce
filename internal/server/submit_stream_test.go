package server

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc/codes"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/access"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

type submitClient = fenfav1.TaskService_SubmitStreamClient

func (h *harness) submitStream(t *testing.T) submitClient {
	t.Helper()
	stream, err := h.tasks().SubmitStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

func sendTasks(t *testing.T, stream submitClient, sequence uint64, tasks ...*fenfav1.Task) {
	t.Helper()
	for _, w := range tasks {
		if w.GetQueue() == "" {
			w.Queue = "orders"
		}
	}
	if err := stream.Send(&fenfav1.SubmitStreamRequest{Sequence: sequence, Tasks: tasks}); err != nil {
		t.Fatal(err)
	}
}

func newTask() *fenfav1.Task {
	return &fenfav1.Task{Id: task.NewID(time.Now()).String()}
}

func TestAStreamAnswersEveryRequestInOrder(t *testing.T) {
	h := newHarness(t)
	stream := h.submitStream(t)
	const n = 200
	for i := range uint64(n) {
		sendTasks(t, stream, 1000+i, newTask(), newTask())
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	for i := range uint64(n) {
		resp, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if resp.GetSequence() != 1000+i || len(resp.GetExceptions()) != 0 {
			t.Fatalf("answer %d is %v", i, resp)
		}
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Fatalf("the stream ends with %v", err)
	}
}

func TestWhatArrivesDuringASubmitGoesIntoTheNextOne(t *testing.T) {
	calls := make(chan []task.ID, 10)
	release := make(chan struct{})
	h := newHarness(t, func(e *fakeEngine, _ *Config) {
		e.submit = func(_ context.Context, tasks []task.Task) []partition.SubmitResult {
			results := make([]partition.SubmitResult, len(tasks))
			ids := make([]task.ID, len(tasks))
			for i := range tasks {
				ids[i], results[i].ID = tasks[i].ID, tasks[i].ID
			}
			calls <- ids
			<-release
			return results
		}
	})
	stream := h.submitStream(t)
	first := newTask()
	sendTasks(t, stream, 1, first)
	if got := <-calls; len(got) != 1 || got[0].String() != first.GetId() {
		t.Fatalf("first call: %v", got)
	}
	var want []string
	for i := range uint64(5) {
		a, b := newTask(), newTask()
		want = append(want, a.GetId(), b.GetId())
		sendTasks(t, stream, 2+i, a, b)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	close(release)
	var got []string
	for len(got) < len(want) {
		for _, id := range <-calls {
			got = append(got, id.String())
		}
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("in place %d the engine got %s, want %s", i, got[i], want[i])
		}
	}
}

func TestAStreamTellsOnlyOfTasksThatWereNotNewlyAccepted(t *testing.T) {
	h := newHarness(t, func(e *fakeEngine, _ *Config) {
		e.submit = func(_ context.Context, tasks []task.Task) []partition.SubmitResult {
			results := make([]partition.SubmitResult, len(tasks))
			for i := range tasks {
				results[i].ID = tasks[i].ID
				switch tasks[i].Key {
				case "twice":
					results[i].Duplicate, results[i].State = true, task.StateQueued
				case "full":
					results[i].Err = task.Errorf(task.CodeResourceExhausted, "the queue is full").WithRetryAfter(2 * time.Second)
				}
			}
			return results
		}
	})
	stream := h.submitStream(t)
	fine, twice, full := newTask(), newTask(), newTask()
	twice.Key, full.Key = "twice", "full"
	sendTasks(t, stream, 7, fine, &fenfav1.Task{}, twice, &fenfav1.Task{Id: "x"}, full, newTask())
	resp, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	ex := resp.GetExceptions()
	if resp.GetSequence() != 7 || len(ex) != 4 {
		t.Fatalf("got %v", resp)
	}
	for i, c := range []struct {
		index uint32
		id    string
		code  fenfav1.Code
	}{
		{1, "", fenfav1.Code_CODE_INVALID_ARGUMENT},
		{2, twice.GetId(), fenfav1.Code_CODE_UNSPECIFIED},
		{3, "", fenfav1.Code_CODE_INVALID_ARGUMENT},
		{4, full.GetId(), fenfav1.Code_CODE_RESOURCE_EXHAUSTED},
	} {
		r := ex[i].GetResult()
		if ex[i].GetIndex() != c.index || r.GetId() != c.id || r.GetError().GetCode() != c.code {
			t.Errorf("exception %d is %v", i, ex[i])
		}
	}
	if r := ex[1].GetResult(); !r.GetDuplicate() || r.GetState() != fenfav1.TaskState_TASK_STATE_QUEUED {
		t.Errorf("repeat: %v", r)
	}
	if d := ex[3].GetResult().GetError().GetRetryAfter().AsDuration(); d != 2*time.Second {
		t.Errorf("retry after %v", d)
	}
}

func TestAnEmptyRequestOnAStreamIsAnswered(t *testing.T) {
	h := newHarness(t)
	stream := h.submitStream(t)
	sendTasks(t, stream, 3)
	if resp, err := stream.Recv(); err != nil || resp.GetSequence() != 3 {
		t.Fatalf("got %v, %v", resp, err)
	}
}

func TestTooManyTasksEndTheStreamAfterTheAnswersBefore(t *testing.T) {
	h := newHarness(t)
	stream := h.submitStream(t)
	sendTasks(t, stream, 1, newTask())
	many := make([]*fenfav1.Task, maxTasks+1)
	for i := range many {
		many[i] = &fenfav1.Task{Id: someID}
	}
	sendTasks(t, stream, 2, many...)
	if resp, err := stream.Recv(); err != nil || resp.GetSequence() != 1 {
		t.Fatalf("got %v, %v", resp, err)
	}
	_, err := stream.Recv()
	refused(t, err, codes.InvalidArgument, task.CodeTooLarge)
}

// TestAStreamReadsABoundedAmountAhead fills an intake while nobody takes.
func TestAStreamReadsABoundedAmountAhead(t *testing.T) {
	room := semaphore.NewWeighted(maxUnderWay)
	in := newIntake(room)
	ctx, cancel := context.WithCancel(t.Context())
	req := func() *fenfav1.SubmitStreamRequest {
		return &fenfav1.SubmitStreamRequest{Tasks: []*fenfav1.Task{{Id: someID, Queue: "q", Payload: make([]byte, 1<<20)}}}
	}
	for range maxAhead >> 20 {
		if !in.put(ctx, access.Anyone(""), req()) {
			t.Fatal("refused below the bound")
		}
	}
	blocked := make(chan bool, 1)
	go func() { blocked <- in.put(ctx, access.Anyone(""), req()) }()
	select {
	case <-blocked:
		t.Fatal("read beyond the bound")
	default:
	}
	g, err := in.next(ctx, &gathering{})
	if err != nil || g.bytes < maxAhead {
		t.Fatalf("%d bytes, %v", g.bytes, err)
	}
	if !<-blocked {
		t.Fatal("the reader was not woken")
	}
	g, err = in.next(ctx, g)
	if err != nil || len(g.requests) != 1 || len(g.tasks) != 1 {
		t.Fatalf("%d requests, %v", len(g.requests), err)
	}
	for in.g.bytes < maxAhead {
		in.put(ctx, access.Anyone(""), req())
	}
	cancel()
	if in.put(ctx, access.Anyone(""), req()) {
		t.Error("a request was taken after the stream had ended")
	}
	in.close()
	if in.put(t.Context(), access.Anyone(""), req()) {
		t.Error("a request was taken after the stream was closed")
	}
	if !room.TryAcquire(maxUnderWay) {
		t.Error("the stream kept room of the server")
	}
}

func TestTasksUnderWayAreBoundedOverAllRequests(t *testing.T) {
	h := newHarness(t)
	if !h.room.TryAcquire(maxUnderWay) {
		t.Fatal("there is no room at the start")
	}
	_, err := h.tasks().Submit(t.Context(), &fenfav1.SubmitRequest{Tasks: []*fenfav1.Task{{Queue: "orders"}}})
	refused(t, err, codes.ResourceExhausted, task.CodeResourceExhausted)
	if r := h.do(t, "POST", "/v1/tasks", strings.NewReader(`{"tasks":[{"queue":"orders"}]}`)); r.status != 429 || r.header.Get("Retry-After") != "1" {
		t.Errorf("%d %s", r.status, r.body)
	}
	stream := h.submitStream(t)
	sendTasks(t, stream, 1, newTask())
	h.room.Release(maxUnderWay) // The stream waited for it, and was not refused.
	if resp, err := stream.Recv(); err != nil || len(resp.GetExceptions()) != 0 {
		t.Fatalf("got %v, %v", resp, err)
	}
	sendTasks(t, stream, 2, newTask())
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := stream.Recv(); err != nil {
			break
		}
	}
	if !h.room.TryAcquire(maxUnderWay) {
		t.Error("room was not given back")
	}
}

func TestCloseEndsSubmitStreamsAndRefusesNewOnes(t *testing.T) {
	h := newHarness(t)
	stream := h.submitStream(t)
	sendTasks(t, stream, 1, newTask())
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := stream.Recv()
	refused(t, err, codes.Unavailable, task.CodeUnavailable)
}

func TestCloseCutsWhatDoesNotEndInTime(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	h := newHarness(t, func(e *fakeEngine, _ *Config) {
		e.status = func(task.ID) (partition.TaskStatus, error) {
			close(entered)
			<-release
			return partition.TaskStatus{}, nil
		}
	})
	done := make(chan error, 1)
	go func() {
		_, err := h.tasks().Get(context.WithoutCancel(t.Context()), &fenfav1.GetTaskRequest{Id: someID})
		done <- err
	}()
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	closed := make(chan error, 1)
	go func() { closed <- h.Close(ctx) }()
	if err := <-done; err == nil {
		t.Error("the call succeeded")
	}
	close(release)
	if err := <-closed; !errors.Is(err, context.Canceled) {
		t.Errorf("close said %v", err)
	}
}
