package server

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

func TestWhatHandlersSayReachesTheEngineBeforeTheirOutcomes(t *testing.T) {
	heard := make(chan string, 10)
	var h *harness
	h = newHarness(t, func(e *fakeEngine, _ *Config) {
		e.outcomes = func(partition.WorkerRef, task.LeaseRef, int, []task.Outcome) {
			h.engine.mu.Lock()
			defer h.engine.mu.Unlock()
			heard <- strings.Join(slices.DeleteFunc(slices.Clone(h.engine.calls), func(s string) bool { return !strings.HasPrefix(s, "news") }), "; ")
		}
	})
	stream := h.worker(t)
	ref := &fenfav1.LeaseRef{Token: 7}
	say(t, stream, &fenfav1.WorkRequest{
		News: []*fenfav1.TaskNews{
			{Lease: ref, Index: 2, Extend: durationpb.New(time.Minute), Progress: &fenfav1.Progress{Ratio: 0.5, Text: "half"}},
			{Lease: ref, Extend: durationpb.New(48 * time.Hour)},
			{Lease: ref, Extend: durationpb.New(-1)},
		},
		Outcomes: []*fenfav1.LeaseOutcomes{{Lease: ref, Outcomes: []*fenfav1.Outcome{{}}}},
	})
	want := "news of 2 of lease 7: 1m0s, 0.5 half; news of 0 of lease 7: 0s, nothing; news of 0 of lease 7: 0s, nothing"
	if got := <-heard; got != want {
		t.Errorf("the engine heard %q, want %q", got, want)
	}
}

func TestARunningTaskShowsItsAttemptAndWhenItsWorkerWasHeard(t *testing.T) {
	began := time.Unix(100, 0)
	h := newHarness(t, func(e *fakeEngine, _ *Config) {
		e.status = func(id task.ID) (partition.TaskStatus, error) {
			return partition.TaskStatus{
				ID: id, State: task.StateRunning, Worker: "w1", History: []partition.Try{{At: began, Took: 2 * time.Second, Worker: "w0"}, {At: began}},
				Running: &partition.Running{StartedAt: began, Deadline: began.Add(time.Minute), Progress: &task.Progress{Ratio: 0.5, Text: "half", At: began}},
			}, nil
		}
	})
	get := func() *fenfav1.TaskStatus {
		resp, err := h.tasks().Get(t.Context(), &fenfav1.GetTaskRequest{Id: someID})
		if err != nil {
			t.Fatal(err)
		}
		return resp.GetStatus()
	}
	if r := get().GetRunning(); r.GetHeardAt() != nil || r.GetStartedAt().GetSeconds() != 100 || r.GetDeadline().GetSeconds() != 160 || r.GetProgress().GetText() != "half" {
		t.Errorf("running %v", r)
	}
	h.worker(t)
	st := get()
	if st.GetRunning().GetHeardAt() == nil {
		t.Error("nobody knows when the worker was heard")
	}
	if past := st.GetHistory(); past[0].GetStartedAt().GetSeconds() != 98 || past[1].GetStartedAt() != nil {
		t.Errorf("history %v", past)
	}
}
