package server

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/task"
)

func TestCancelAnswersForEveryTask(t *testing.T) {
	h := newHarness(t)
	resp, err := h.tasks().Cancel(t.Context(), &fenfav1.CancelTasksRequest{Id: someID, Ids: []string{someID}, Reason: "ordered twice"})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range resp.GetResults() {
		if r.GetId() != someID || r.GetState() != fenfav1.TaskState_TASK_STATE_CANCELLED || r.GetError() != nil {
			t.Errorf("result %v", r)
		}
	}
	if len(resp.GetResults()) != 2 || len(h.engine.calls) != 1 || h.engine.calls[0] != "cancel 2: ordered twice" {
		t.Errorf("%d results, calls %q", len(resp.GetResults()), h.engine.calls)
	}
}

func TestCancelRefusesBadRequests(t *testing.T) {
	h := newHarness(t)
	many := make([]string, maxCancel+1)
	for i := range many {
		many[i] = someID
	}
	for name, c := range map[string]struct {
		req   *fenfav1.CancelTasksRequest
		code  task.Code
		field string
	}{
		"no task":     {&fenfav1.CancelTasksRequest{}, task.CodeInvalidArgument, "ids"},
		"bad id":      {&fenfav1.CancelTasksRequest{Ids: []string{someID, "x"}}, task.CodeInvalidArgument, "ids[1].id"},
		"too many":    {&fenfav1.CancelTasksRequest{Ids: many}, task.CodeTooLarge, "ids"},
		"long reason": {&fenfav1.CancelTasksRequest{Id: someID, Reason: strings.Repeat("x", task.MaxErrorText+1)}, task.CodeTooLarge, "reason"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.tasks().Cancel(t.Context(), c.req)
			if e := refused(t, err, codes.InvalidArgument, c.code); e.field != c.field {
				t.Errorf("field %q, want %q", e.field, c.field)
			}
		})
	}
}

func TestCancelOfTheOnlyTaskFailsAsACall(t *testing.T) {
	h := newHarness(t, func(e *fakeEngine, _ *Config) { e.err = task.Errorf(task.CodeNotFound, "not known").WithField("id") })
	_, err := h.tasks().Cancel(t.Context(), &fenfav1.CancelTasksRequest{Id: someID})
	refused(t, err, codes.NotFound, task.CodeNotFound)
	resp, err := h.tasks().Cancel(t.Context(), &fenfav1.CancelTasksRequest{Ids: []string{someID, someID}})
	if err != nil || resp.GetResults()[1].GetError().GetCode() != fenfav1.Code_CODE_NOT_FOUND {
		t.Errorf("of two: %v, %v", resp, err)
	}
}
