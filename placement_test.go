package fenfa

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

func TestATaskSaysWhatItAsksOfWorkers(t *testing.T) {
	n := startFake(t)
	c := dial(t, n)
	plain := NewTask("q", 1)
	placed := NewTask("q", 2, Require("gpu"), Prefer("zone=eu"), Require("version!=1", "!old"))
	submit(t, c, plain, placed)
	if got := n.tasks[plain.ID().String()].wire.GetPlacement(); got != nil {
		t.Errorf("a task that asks for nothing says %v", got)
	}
	want := Placement{Require: []string{"gpu", "version!=1", "!old"}, Prefer: []string{"zone=eu"}}
	if got := placed.Placement(); !reflect.DeepEqual(got, want) {
		t.Errorf("the task has %+v", got)
	}
	st, err := c.Task(t.Context(), placed.ID())
	if err != nil || !reflect.DeepEqual(st.Task.Placement(), want) || st.WaitsFor != "a worker with gpu" {
		t.Errorf("the node has %+v, %v", st, err)
	}
}

func TestEmittedTasksKeepWhatTheyAskOfWorkers(t *testing.T) {
	n := startFake(t)
	c := dial(t, n)
	w := c.Worker()
	w.Handle("q", func(_ context.Context, task *Task) error {
		task.Emit(NewTask("next", nil, WithID(DeriveID("next")), Require("gpu")))
		return nil
	})
	task := NewTask("q", nil, Key("k"))
	submit(t, c, task)
	stop := work(t, w)
	n.awaitState(task, done)
	if err := stop(); err != nil {
		t.Error(err)
	}
	if got := n.tasks[DeriveID("next").String()].wire.GetPlacement().GetRequire(); len(got) != 1 || got[0] != "gpu" {
		t.Errorf("the emitted task requires %q", got)
	}
}

func TestAPlacementThatWouldSpoilItsBatchIsRefusedHere(t *testing.T) {
	n := startFake(t)
	c := dial(t, n)
	for name, test := range map[string]struct {
		opt   TaskOption
		code  Code
		field string
	}{
		"long require": {Require(strings.Repeat("a", 300), strings.Repeat("b", 300)), CodeTooLarge, "placement.require"},
		"long prefer":  {Prefer(strings.Repeat("a", 513)), CodeTooLarge, "placement.prefer"},
		"no text":      {Require("a\xff"), CodeInvalidArgument, "placement.require"},
	} {
		_, err := c.Submit(t.Context(), NewTask("q", nil, test.opt))
		if e := fieldOf(err); CodeOf(err) != test.code || e != test.field {
			t.Errorf("%s: %v with field %q", name, err, e)
		}
	}
}

func fieldOf(err error) string {
	e, _ := errors.AsType[*Error](err)
	if e == nil {
		return ""
	}
	return e.Field
}

func TestAPlacementCountsInTheSizeOfABatch(t *testing.T) {
	plain := &fenfav1.Task{}
	placed := &fenfav1.Task{Placement: &fenfav1.Placement{Require: []string{strings.Repeat("a", 100)}, Prefer: []string{strings.Repeat("a", 200)}}}
	if more := sizeOf(placed) - sizeOf(plain); more < 300 {
		t.Errorf("300 bytes of terms count as %d", more)
	}
}
