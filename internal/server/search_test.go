package server

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/task"
)

func TestTasksAreSearchedOverTheWire(t *testing.T) {
	h := newHarness(t)
	since := timestamppb.New(time.Unix(1_700_000_000, 0))
	resp, err := h.tasks().List(t.Context(), &fenfav1.ListTasksRequest{
		Queue: "orders", State: fenfav1.TaskState_TASK_STATE_RUNNING, Key: "k", Type: "t", Text: "x", Since: since, PageSize: 7, PageToken: "at",
	})
	if err != nil || len(resp.GetTasks()) != 1 || resp.GetTasks()[0].GetState() != fenfav1.TaskState_TASK_STATE_RUNNING || string(resp.GetTasks()[0].GetTask().GetPayload()) != "payload" ||
		resp.GetNextPageToken() != "next" || resp.GetIncomplete()[0] != "the log" {
		t.Fatalf("%v, %v", resp, err)
	}
	if said := h.engine.calls[len(h.engine.calls)-1]; said != "tasks {orders running k t x 2023-11-14 22:13:20 +0000 UTC 0001-01-01 00:00:00 +0000 UTC} 7 at" {
		t.Errorf("the engine was asked for %s", said)
	}
	for name, req := range map[string]*fenfav1.ListTasksRequest{
		"state": {State: 99}, "since": {Since: &timestamppb.Timestamp{Seconds: -1 << 60}}, "until": {Until: &timestamppb.Timestamp{Nanos: -1}}, "page size": {PageSize: 1001},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.tasks().List(t.Context(), req)
			refused(t, err, codes.InvalidArgument, task.CodeInvalidArgument)
		})
	}
	for path, status := range map[string]int{
		"/v1/tasks?queue=orders&state=TASK_STATE_DEAD&text=x&since=2024-01-01T00:00:00Z": 200,
		"/v1/tasks?state=lost": 400,
		"/v1/tasks?colour=red": 400,
	} {
		if r := h.do(t, http.MethodGet, path, strings.NewReader("")); r.status != status {
			t.Errorf("%s: %d, %s", path, r.status, r.body)
		}
	}
}
