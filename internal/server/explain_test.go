package server

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

func TestExplanationsAreSentences(t *testing.T) {
	h := newHarness(t)
	at := time.Unix(1_700_000_000, 0)
	other := someDead().Task.ID
	of := func(state task.State) partition.TaskStatus {
		return partition.TaskStatus{State: state, Queue: "orders", Key: "k", FinishedAt: at, Attempts: 3, Deliveries: 4, Error: "no stock"}
	}
	for _, c := range []struct {
		want string
		x    partition.Explanation
	}{
		{"it is not known", partition.Explanation{}},
		{"is not served", partition.Explanation{Reason: partition.ReasonNotServed}},
		{"it is done at 2023-11-14T22:13:20.000Z", partition.Explanation{Reason: partition.ReasonEnded, Status: of(task.StateDone)}},
		{"dead letter after 3 failed attempts and 4 hand-outs (no stock) at 2023", partition.Explanation{Reason: partition.ReasonEnded, Status: of(task.StateDead)}},
		{"it was cancelled (no stock) at 2023", partition.Explanation{Reason: partition.ReasonEnded, Status: of(task.StateCancelled)}},
		{"no stock, and ended at 2023", partition.Explanation{Reason: partition.ReasonEnded, Status: of(task.StateExpired)}},
		{"it runs on worker w since 2023-11-14T22:13:20.000Z, attempt 3 of 10", partition.Explanation{Reason: partition.ReasonRunning, Worker: "w", Since: at, Attempt: 3, MaxAttempts: 10}},
		{"it is scheduled until 2023-11-14T22:13:20.000Z", partition.Explanation{Reason: partition.ReasonScheduled, NextAt: at}},
		{"it waits for attempt 3 of 10 at 2023-11-14T22:13:20.000Z, last error: no stock", partition.Explanation{Reason: partition.ReasonRetry, NextAt: at, Attempt: 3, MaxAttempts: 10, Error: "no stock"}},
		{"it waits behind task " + someID + ` of key "k", which waits for attempt 3 of 10 at 2023-11-14T22:13:20.000Z, last error: no stock`, partition.Explanation{Reason: partition.ReasonBehind, Status: of(task.StateQueued), Blocking: other, NextAt: at, Attempt: 3, MaxAttempts: 10, Error: "no stock"}},
		{"it waits behind task " + someID + ` of key "k", which runs on worker w since`, partition.Explanation{Reason: partition.ReasonBehind, Status: of(task.StateQueued), Blocking: other, Worker: "w", Since: at}},
		{`it waits behind the first task of key "k", which is about to be handed out`, partition.Explanation{Reason: partition.ReasonBehind, Status: of(task.StateQueued)}},
		{`key "k" of queue "orders" is halted since 2023-11-14T22:13:20.000Z by dead letter ` + someID, partition.Explanation{Reason: partition.ReasonHalted, Status: of(task.StateQueued), Blocking: other, Since: at}},
		{`queue "orders" is paused`, partition.Explanation{Reason: partition.ReasonPaused, Status: of(task.StateReady)}},
		{"its concurrency allows", partition.Explanation{Reason: partition.ReasonConcurrency, Status: of(task.StateReady)}},
		{`its key "k" has 3 of 3 tasks running`, partition.Explanation{Reason: partition.ReasonKeyConcurrency, Status: of(task.StateReady), KeyRunning: 3, KeyMost: 3}},
		{"its rate allows", partition.Explanation{Reason: partition.ReasonRate, Status: of(task.StateReady)}},
		{"no worker is connected that takes tasks of queue \"orders\"", partition.Explanation{Reason: partition.ReasonWorkers, Status: of(task.StateReady)}},
		{"it waits behind task " + someID + ` of key "k", and no worker`, partition.Explanation{Reason: partition.ReasonWorkers, Status: of(task.StateReady), Blocking: other}},
		{"is being stopped", partition.Explanation{Reason: partition.ReasonDraining, Status: of(task.StateReady)}},
		{"about to be handed out", partition.Explanation{Reason: partition.ReasonReady, Status: of(task.StateReady)}},
	} {
		want, x := c.want, c.x
		h.engine.explain = func(id task.ID) (partition.Explanation, error) {
			x.Status.ID = id
			return x, nil
		}
		resp, err := h.tasks().Explain(t.Context(), &fenfav1.ExplainTaskRequest{Id: someID})
		if got := resp.GetExplanation().GetText(); err != nil || !strings.Contains(got, want) {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
		if resp.GetExplanation().GetReason() == fenfav1.Reason_REASON_UNSPECIFIED {
			t.Errorf("%s: no reason", want)
		}
	}
	_, err := h.tasks().Explain(t.Context(), &fenfav1.ExplainTaskRequest{Id: "x"})
	refused(t, err, codes.InvalidArgument, task.CodeInvalidArgument)
}

func TestAWorkerThatIsThereIsBusyAndNotMissing(t *testing.T) {
	h := newHarness(t)
	h.worker(t)
	for want, x := range map[string]partition.Explanation{
		"all workers that take tasks of queue \"orders\" are busy": {Reason: partition.ReasonWorkers, Status: partition.TaskStatus{Queue: "orders"}},
		"it takes turns with them":                                 {Reason: partition.ReasonWorkers, Turns: true, Status: partition.TaskStatus{Queue: "orders"}},
		"in a queue of about 8 tasks":                              {Reason: partition.ReasonInLog, Status: partition.TaskStatus{Queue: "orders"}, Ahead: 7},
		"meets gpu":                                                {Reason: partition.ReasonWorkers, Status: partition.TaskStatus{Queue: "orders", Task: &task.Task{Placement: task.Placement{Require: "gpu"}}}},
	} {
		h.engine.explain = func(task.ID) (partition.Explanation, error) { return x, nil }
		resp, err := h.tasks().Explain(t.Context(), &fenfav1.ExplainTaskRequest{Id: someID})
		if got := resp.GetExplanation().GetText(); err != nil || !strings.Contains(got, want) {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
}
