package server

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

// otherID is an ID beside someID.
const otherID = "0190a5f2-7b1c-7d3e-8f4a-5b6c7d8e9f02"

// ends makes an engine tell of tasks: a state each, or that it is not known.
func ends(states ...task.State) func(*fakeEngine, *Config) {
	return func(e *fakeEngine, _ *Config) {
		e.await = func(_ context.Context, ids []task.ID, tell func(partition.TaskStatus, error) error) error {
			for i, id := range ids {
				var err error
				if states[i] == task.StateUnknown {
					err = task.Errorf(task.CodeNotFound, "task %s is not known", id)
				}
				if err := tell(partition.TaskStatus{ID: id, State: states[i], Result: []byte("r")}, err); err != nil {
					return err
				}
			}
			return nil
		}
	}
}

func TestAWaitAnswersHowTheTaskEnded(t *testing.T) {
	h := newHarness(t, ends(task.StateDead))
	resp, err := h.tasks().Wait(t.Context(), &fenfav1.WaitTaskRequest{Id: someID})
	if err != nil || resp.GetStatus().GetState() != fenfav1.TaskState_TASK_STATE_DEAD || string(resp.GetStatus().GetResult()) != "r" {
		t.Errorf("got %v, %v", resp, err)
	}
	r := h.do(t, http.MethodGet, "/v1/tasks/"+someID+"/wait?timeout=2.5s", nil)
	if r.status != http.StatusOK || !strings.Contains(strings.ReplaceAll(r.body, " ", ""), `"state":"TASK_STATE_DEAD"`) {
		t.Errorf("got %d %s", r.status, r.body)
	}
}

func TestAWaitForAnUnknownTaskSaysSo(t *testing.T) {
	h := newHarness(t, ends(task.StateUnknown))
	_, err := h.tasks().Wait(t.Context(), &fenfav1.WaitTaskRequest{Id: someID})
	refused(t, err, codes.NotFound, task.CodeNotFound)
	if r := h.do(t, http.MethodGet, "/v1/tasks/"+someID+"/wait", nil); r.status != http.StatusNotFound {
		t.Errorf("got %d %s", r.status, r.body)
	}
}

func TestAWaitThatIsOverAnswersWhereTheTaskIs(t *testing.T) {
	h := newHarness(t, func(e *fakeEngine, _ *Config) {
		e.status = func(id task.ID) (partition.TaskStatus, error) {
			return partition.TaskStatus{ID: id, State: task.StateRunning, Worker: "w"}, nil
		}
	})
	for _, timeout := range []time.Duration{0, time.Millisecond} {
		resp, err := h.tasks().Wait(t.Context(), &fenfav1.WaitTaskRequest{Id: someID, Timeout: durationpb.New(timeout)})
		if err != nil || resp.GetStatus().GetState() != fenfav1.TaskState_TASK_STATE_RUNNING {
			t.Errorf("after %v: %v, %v", timeout, resp, err)
		}
	}
}

func TestBadWaitsAreRefusedByField(t *testing.T) {
	h := newHarness(t)
	for _, c := range []struct {
		req   *fenfav1.WaitTaskRequest
		field string
	}{
		{&fenfav1.WaitTaskRequest{Id: "x"}, "id"},
		{&fenfav1.WaitTaskRequest{Id: someID, Timeout: durationpb.New(-1)}, "timeout"},
		{&fenfav1.WaitTaskRequest{Id: someID, Timeout: durationpb.New(time.Minute)}, "timeout"},
	} {
		_, err := h.tasks().Wait(t.Context(), c.req)
		if got := refused(t, err, codes.InvalidArgument, task.CodeInvalidArgument); got.field != c.field {
			t.Errorf("field %q, want %q", got.field, c.field)
		}
	}
	for _, query := range []string{"timeout=51s", "timeout=x", "timeot=1s", "id=1"} {
		if r := h.do(t, http.MethodGet, "/v1/tasks/"+someID+"/wait?"+query, nil); r.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", query, r.status, r.body)
		}
	}
	for _, ids := range [][]string{nil, {someID, "x"}, {someID, someID}, make([]string, mostAwaited+1)} {
		stream, err := h.tasks().WaitMany(t.Context(), &fenfav1.WaitManyRequest{Ids: ids})
		if err == nil {
			_, err = stream.Recv()
		}
		refused(t, err, codes.InvalidArgument, task.CodeInvalidArgument)
	}
}

func TestAStreamTellsOfManyTasksAndEndsAfterTheLast(t *testing.T) {
	h := newHarness(t, ends(task.StateDone, task.StateUnknown))
	stream, err := h.tasks().WaitMany(t.Context(), &fenfav1.WaitManyRequest{Ids: []string{someID, otherID}})
	if err != nil {
		t.Fatal(err)
	}
	first, err := stream.Recv()
	if err != nil || first.GetId() != someID || first.GetStatus().GetState() != fenfav1.TaskState_TASK_STATE_DONE || first.GetError() != nil {
		t.Errorf("first %v, %v", first, err)
	}
	second, err := stream.Recv()
	if err != nil || second.GetId() != otherID || second.GetStatus() != nil || second.GetError().GetCode() != fenfav1.Code_CODE_NOT_FOUND {
		t.Errorf("second %v, %v", second, err)
	}
	if _, err := stream.Recv(); err != io.EOF { //nolint:errorlint // gRPC promises this very value.
		t.Errorf("the end is %v", err)
	}
}

func TestWaitsEndWithTheServer(t *testing.T) {
	began := make(chan struct{}, 2)
	h := newHarness(t, func(e *fakeEngine, _ *Config) {
		e.await = func(ctx context.Context, _ []task.ID, _ func(partition.TaskStatus, error) error) error {
			began <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		}
	})
	errs := make(chan error, 2)
	go func() {
		_, err := h.tasks().Wait(t.Context(), &fenfav1.WaitTaskRequest{Id: someID})
		errs <- err
	}()
	go func() {
		stream, err := h.tasks().WaitMany(t.Context(), &fenfav1.WaitManyRequest{Ids: []string{someID}})
		if err == nil {
			_, err = stream.Recv()
		}
		errs <- err
	}()
	<-began
	<-began
	if err := h.Close(t.Context()); err != nil {
		t.Error(err)
	}
	for range 2 {
		refused(t, <-errs, codes.Unavailable, task.CodeUnavailable)
	}
}
