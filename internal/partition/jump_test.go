package partition

import (
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

func TestTasksOfALeaseHaveTheirOwnTimeAlsoAfterTheClockWasPutForward(t *testing.T) {
	r := newRig(t, nil)
	short, long := newTask("loose", "", "short"), newTask("loose", "", "long")
	short.Timeout, long.Timeout = 2*time.Second, time.Minute
	r.deliver(short, long)
	r.one()
	r.now = r.now.Add(time.Hour)
	r.c.skip(time.Hour)
	r.pass(time.Second)
	for _, name := range []string{"short", "long"} {
		if r.at(name) == nil {
			t.Errorf("the attempt at %s ended before its time", name)
		}
	}
	r.settings("loose", func(q *task.Queue) { q.Paused = true })
	r.pass(10 * time.Second)
	if r.at("short") != nil {
		t.Error("the attempt at short did not end")
	}
	if r.at("long") == nil {
		t.Error("the attempt at long ended with that at its neighbour")
	}
}
