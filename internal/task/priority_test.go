package task_test

import (
	"testing"

	"github.com/fenfa/fenfa/internal/task"
)

func TestPrioritiesAreSwitchedAndTheirLogsStay(t *testing.T) {
	q := task.DefaultQueue("q")
	for i, step := range []struct {
		change task.Switch
		on     bool
		banded bool
	}{
		{"", false, false},
		{task.SwitchOff, false, false},
		{task.SwitchOn, true, true},
		{"", true, true},
		{task.SwitchOff, false, true},
		{task.SwitchOn, true, true},
	} {
		q.Merge(task.Queue{Priorities: step.change})
		if q.Priorities.On() != step.on || q.Banded != step.banded || q.Validate() != nil {
			t.Errorf("step %d: priorities %q, banded %v, %v", i, q.Priorities, q.Banded, q.Validate())
		}
	}
	q.Merge(task.Queue{Priorities: "sometimes"})
	if err := q.Validate(); task.CodeOf(err) != task.CodeInvalidArgument {
		t.Errorf("a switch that is neither on nor off: %v", err)
	}
}
