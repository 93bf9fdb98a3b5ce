package server

import (
	"fmt"
	"slices"
	"testing"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/task"
)

func TestACommitIsHandedOnAndAnswered(t *testing.T) {
	h := newHarness(t)
	c := fenfav1.NewStateServiceClient(h.conn)
	resp, err := c.Commit(t.Context(), &fenfav1.CommitRecordsRequest{
		Id:    someID,
		Reads: []*fenfav1.RecordRead{{Key: "a", Name: "n", Version: 3}},
		Writes: []*fenfav1.RecordWrite{
			{Key: "b", Name: "n", ExpectedVersion: 4, Value: []byte("v")},
			{Key: "c", Name: "n", ExpectedVersion: 5, Delete: true},
		},
	})
	if err != nil || resp.GetTransactionId() != task.DeriveID("tx").String() || !resp.GetDuplicate() {
		t.Errorf("got %v, %v", resp, err)
	}
	id, _ := task.ParseID(someID)
	want := fmt.Sprintf("commit %s %+v %+v", id, []task.Read{{Key: "a", Name: "n", Version: 3}}, []task.Write{
		{Key: "b", Name: "n", Expected: 4, Value: []byte("v")}, {Key: "c", Name: "n", Expected: 5, Delete: true},
	})
	if !slices.Contains(h.engine.calls, want) {
		t.Errorf("calls %q, want %q", h.engine.calls, want)
	}
}

func TestACommitThatCannotBeIsRefusedAtTheDoor(t *testing.T) {
	h := newHarness(t)
	c := fenfav1.NewStateServiceClient(h.conn)
	for name, req := range map[string]*fenfav1.CommitRecordsRequest{
		"id":    {Id: "seven"},
		"both":  {Writes: []*fenfav1.RecordWrite{{Key: "k", Name: "n", Value: []byte("v"), Delete: true}}},
		"large": {Reads: make([]*fenfav1.RecordRead, task.MaxTransaction+1)},
	} {
		if _, err := c.Commit(t.Context(), req); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if len(h.engine.calls) > 0 {
		t.Errorf("calls %q", h.engine.calls)
	}
}
