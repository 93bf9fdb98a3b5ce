package fenfa

import (
	"testing"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

func TestAnAnswerFindsItsTasksBehindHoles(t *testing.T) {
	b := &batch{tasks: []*fenfav1.Task{{Id: "a"}, nil, {Id: "c"}, nil, {Id: "e"}}, holes: 2}
	if req := b.request(); len(req.GetTasks()) != 3 || req.GetTasks()[2].GetId() != "e" || !b.sent {
		t.Fatalf("request %v", req)
	}
	exception := func(i uint32) *fenfav1.SubmitStreamResponse {
		return &fenfav1.SubmitStreamResponse{Exceptions: []*fenfav1.SubmitException{{Index: i, Result: &fenfav1.SubmitResult{Duplicate: true, State: fenfav1.TaskState_TASK_STATE_DONE}}}}
	}
	if !b.answer(exception(2)) {
		t.Fatal("the answer was refused")
	}
	for i, want := range map[int]bool{0: false, 2: false, 4: true} {
		if r := b.result(i, SubmitResult{}); r.Duplicate != want || r.Err != nil {
			t.Errorf("task %d: %+v, want a duplicate: %v", i, r, want)
		}
	}
	if b.answer(exception(3)) || b.answer(exception(1<<31)) {
		t.Error("an answer about a task that was not sent was taken")
	}
}

func TestAnAnswerOutOfOrderBreaksTheStream(t *testing.T) {
	c, err := Dial("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	b := c.batcher
	if err := b.answered(&fenfav1.SubmitStreamResponse{Sequence: 1}); CodeOf(err) != CodeInternal {
		t.Errorf("an answer to nothing: %v", err)
	}
	b.inFlight = []*batch{{sequence: 5, tasks: make([]*fenfav1.Task, 1), settled: make(chan struct{})}}
	if err := b.answered(&fenfav1.SubmitStreamResponse{Sequence: 6}); CodeOf(err) != CodeInternal {
		t.Errorf("an answer to a later request: %v", err)
	}
	if err := b.answered(&fenfav1.SubmitStreamResponse{Sequence: 5, Exceptions: []*fenfav1.SubmitException{{Index: 1}}}); CodeOf(err) != CodeInternal {
		t.Errorf("an answer about a task that is not in the request: %v", err)
	}
}

func TestABatchThatWasSentDoesNotGrow(t *testing.T) {
	b := &batch{tasks: make([]*fenfav1.Task, 1)}
	if b.full(2) {
		t.Error("a batch with room is full")
	}
	b.request()
	if !b.full(2) {
		t.Error("a batch that was on the wire takes more tasks")
	}
	if !(&batch{bytes: maxBatchBytes}).full(2) {
		t.Error("a batch of the most bytes takes more tasks")
	}
}
