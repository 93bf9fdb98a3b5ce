package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

func TestPurgeAsksTheEngine(t *testing.T) {
	h := newHarness(t)
	queues := fenfav1.NewQueueServiceClient(h.conn)
	would, err := queues.Purge(t.Context(), &fenfav1.PurgeQueueRequest{Name: "orders", DryRun: true})
	if err != nil || would.GetQueued() != 7 || would.GetScheduled() != 3 {
		t.Errorf("preview: %v, %v", would, err)
	}
	did, err := queues.Purge(t.Context(), &fenfav1.PurgeQueueRequest{
		Name: "orders", States: []fenfav1.TaskState{fenfav1.TaskState_TASK_STATE_SCHEDULED}, Reason: "old", Before: 41,
		Key: "k", Type: "t", Text: "x", Since: timestamppb.New(time.Unix(7, 0)), Until: timestamppb.New(time.Unix(9, 0)),
	})
	if err != nil || did.GetQueued() != 5 || !did.GetMore() || did.GetBefore() != 42 {
		t.Errorf("purge: %v, %v", did, err)
	}
	none := fmt.Sprintf("%+v", partition.TaskFilter{})
	some := fmt.Sprintf("%+v", partition.TaskFilter{Key: "k", Type: "t", Text: "x", Since: time.Unix(7, 0).UTC(), Until: time.Unix(9, 0).UTC()})
	want := "preview {Queue:orders Queued:true Scheduled:true Before:0 Reason:purged Only:" + none + "} purge {Queue:orders Queued:false Scheduled:true Before:41 Reason:old Only:" + some + "}"
	if got := strings.Join(h.engine.calls, " "); got != want {
		t.Errorf("the engine was asked\n%s, want\n%s", got, want)
	}
}

func TestPurgeRefusesBadRequests(t *testing.T) {
	h := newHarness(t)
	for name, c := range map[string]struct {
		req  *fenfav1.PurgeQueueRequest
		code task.Code
	}{
		"running tasks": {&fenfav1.PurgeQueueRequest{Name: "orders", States: []fenfav1.TaskState{fenfav1.TaskState_TASK_STATE_RUNNING}}, task.CodeInvalidArgument},
		"long reason":   {&fenfav1.PurgeQueueRequest{Name: "orders", Reason: strings.Repeat("x", task.MaxErrorText+1)}, task.CodeTooLarge},
		"no moment":     {&fenfav1.PurgeQueueRequest{Name: "orders", Until: &timestamppb.Timestamp{Nanos: -1}}, task.CodeInvalidArgument},
		"own queue":     {&fenfav1.PurgeQueueRequest{Name: "fenfa.sagas"}, task.CodeInvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := fenfav1.NewQueueServiceClient(h.conn).Purge(t.Context(), c.req)
			refused(t, err, codes.InvalidArgument, c.code)
		})
	}
}
