package server

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

func (h *harness) tasks() fenfav1.TaskServiceClient { return fenfav1.NewTaskServiceClient(h.conn) }

// complaint is what a refusal says.
type complaint struct{ field, message string }

// refused asserts that a gRPC error has the codes, and returns what it says.
func refused(t *testing.T, err error, grpc codes.Code, code task.Code) complaint {
	t.Helper()
	e := errorOf(err)
	if err == nil || status.Code(err) != grpc || e.Code != code {
		t.Fatalf("got %v (%s), want %s and %s", err, e.Code, grpc, code)
	}
	if len(status.Convert(err).Details()) != 1 {
		t.Fatalf("%v has no details", err)
	}
	return complaint{e.Field, e.Message}
}

func TestSubmitAnswersForEveryTaskInOrder(t *testing.T) {
	h := newHarness(t)
	resp, err := h.tasks().Submit(t.Context(), &fenfav1.SubmitRequest{Tasks: []*fenfav1.Task{
		{Id: someID, Queue: "orders"}, {Queue: "orders"}, {Queue: "nope"}, {Id: "bad", Queue: "orders"}, {Queue: "mail"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	rs := resp.GetResults()
	if len(rs) != 5 || rs[0].GetId() != someID || rs[0].GetError() != nil || rs[1].GetId() == "" || rs[4].GetError() != nil {
		t.Fatalf("got %v", rs)
	}
	if e := rs[2].GetError(); e.GetCode() != fenfav1.Code_CODE_NOT_FOUND || e.GetField() != "queue" {
		t.Errorf("unknown queue: %v", e)
	}
	if e := rs[3].GetError(); e.GetCode() != fenfav1.Code_CODE_INVALID_ARGUMENT || e.GetField() != "id" {
		t.Errorf("bad id: %v", e)
	}
}

func TestSubmitShowsWhatBecameOfARepeat(t *testing.T) {
	h := newHarness(t, func(e *fakeEngine, _ *Config) {
		e.submit = func(_ context.Context, tasks []task.Task) []partition.SubmitResult {
			return []partition.SubmitResult{{ID: tasks[0].ID, Duplicate: true, State: task.StateDone}}
		}
	})
	resp, err := h.tasks().Submit(t.Context(), &fenfav1.SubmitRequest{Tasks: []*fenfav1.Task{{Id: someID, Queue: "orders"}}})
	if err != nil {
		t.Fatal(err)
	}
	if r := resp.GetResults()[0]; !r.GetDuplicate() || r.GetState() != fenfav1.TaskState_TASK_STATE_DONE || r.GetId() != someID {
		t.Errorf("got %v", r)
	}
}

func TestSubmitRefusesBadRequestsAsAWhole(t *testing.T) {
	h := newHarness(t)
	many := make([]*fenfav1.Task, maxTasks+1)
	for i := range many {
		many[i] = &fenfav1.Task{Queue: "q"}
	}
	for _, c := range []struct {
		name  string
		tasks []*fenfav1.Task
		grpc  codes.Code
		code  task.Code
		field string
	}{
		{"no tasks", nil, codes.InvalidArgument, task.CodeInvalidArgument, "tasks"},
		{"too many", many, codes.InvalidArgument, task.CodeTooLarge, "tasks"},
		{"the only one has a bad id", []*fenfav1.Task{{Id: "x"}}, codes.InvalidArgument, task.CodeInvalidArgument, "id"},
		{"the only one has an unknown queue", []*fenfav1.Task{{Queue: "nope"}}, codes.NotFound, task.CodeNotFound, "queue"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := h.tasks().Submit(t.Context(), &fenfav1.SubmitRequest{Tasks: c.tasks})
			if e := refused(t, err, c.grpc, c.code); e.field != c.field {
				t.Errorf("field %q, want %q", e.field, c.field)
			}
		})
	}
}

// gRPC answers by itself here, before any of our code sees the message.
func TestAMessageAboveTheLimitIsRefusedByItsLength(t *testing.T) {
	h := newHarness(t, func(_ *fakeEngine, c *Config) { c.MaxRequest = 1 << 20 })
	big := &fenfav1.Task{Queue: "orders", Id: someID, Payload: bytes.Repeat([]byte("x"), 2<<20)}
	_, err := h.tasks().Submit(t.Context(), &fenfav1.SubmitRequest{Tasks: []*fenfav1.Task{big}})
	if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "larger than max") {
		t.Errorf("unary: %v", err)
	}
	stream, err := h.tasks().SubmitStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&fenfav1.SubmitStreamRequest{Tasks: []*fenfav1.Task{big}}); err != nil {
		t.Fatal(err)
	}
	if _, err = stream.Recv(); status.Code(err) != codes.ResourceExhausted || errorOf(err).Code != task.CodeTooLarge {
		t.Errorf("stream: %v", err)
	}
}

func TestGetShowsAStatusOrWhyThereIsNone(t *testing.T) {
	h := newHarness(t, func(e *fakeEngine, _ *Config) {
		e.status = func(id task.ID) (partition.TaskStatus, error) {
			if id.String() == someID {
				return partition.TaskStatus{ID: id, State: task.StateDone, Result: []byte("r")}, nil
			}
			return partition.TaskStatus{}, task.Errorf(task.CodeNotFound, "task %s is not known", id).WithField("id")
		}
	})
	resp, err := h.tasks().Get(t.Context(), &fenfav1.GetTaskRequest{Id: someID})
	if err != nil || resp.GetStatus().GetState() != fenfav1.TaskState_TASK_STATE_DONE || string(resp.GetStatus().GetResult()) != "r" {
		t.Fatalf("got %v, %v", resp, err)
	}
	_, err = h.tasks().Get(t.Context(), &fenfav1.GetTaskRequest{Id: "00000000-0000-7000-8000-000000000000"})
	refused(t, err, codes.NotFound, task.CodeNotFound)
	for _, id := range []string{"", "42", strings.Repeat("x", 10_000)} {
		_, err = h.tasks().Get(t.Context(), &fenfav1.GetTaskRequest{Id: id})
		if e := refused(t, err, codes.InvalidArgument, task.CodeInvalidArgument); e.field != "id" {
			t.Errorf("field %q", e.field)
		}
	}
}

func TestAPanicIsAnInternalErrorAndTheNodeLivesOn(t *testing.T) {
	h := newHarness(t, func(e *fakeEngine, _ *Config) {
		e.status = func(task.ID) (partition.TaskStatus, error) { panic("a defect with details") }
		e.submit = func(context.Context, []task.Task) []partition.SubmitResult { panic("another") }
	})
	for range 2 {
		_, err := h.tasks().Get(t.Context(), &fenfav1.GetTaskRequest{Id: someID})
		if e := refused(t, err, codes.Internal, task.CodeInternal); strings.Contains(e.message, "details") {
			t.Errorf("the caller was told %q", e.message)
		}
	}
	stream, err := h.tasks().SubmitStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&fenfav1.SubmitStreamRequest{Tasks: []*fenfav1.Task{{Id: someID, Queue: "orders"}}}); err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	refused(t, err, codes.Internal, task.CodeInternal)
}

func TestACallWhoseDeadlinePassesSaysSo(t *testing.T) {
	h := newHarness(t, func(e *fakeEngine, _ *Config) {
		e.submit = func(ctx context.Context, tasks []task.Task) []partition.SubmitResult {
			<-ctx.Done()
			return []partition.SubmitResult{{ID: tasks[0].ID, Err: ctx.Err()}}
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := h.tasks().Submit(ctx, &fenfav1.SubmitRequest{Tasks: []*fenfav1.Task{{Id: someID, Queue: "orders"}}})
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
}
