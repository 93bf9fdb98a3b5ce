package fenfa

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// append1 adds its payload to the record "text" of its key.
func append1(ctx context.Context, task *Task) error {
	text, _, err := task.State().GetRaw(ctx, "text")
	if err != nil {
		return err
	}
	task.State().PutRaw("text", append(slices.Clip(text), task.Payload()...))
	return task.Return(text)
}

func TestAConflictRunsTheTaskAndWhatFollowsAgain(t *testing.T) {
	for _, travel := range []bool{true, false} {
		t.Run(fmt.Sprint("records travel: ", travel), func(t *testing.T) {
			n := startFake(t)
			n.knobs.noTravel = !travel
			c := dial(t, n)
			var tasks []*Task
			for i := range 6 {
				tasks = append(tasks, NewTask("q", strconv.Itoa(i), Key("k")))
			}
			meddled := 0
			n.knobs.before = func(task *fakeTask) {
				// Somebody else writes the record just before tasks 0, 3 and 5 commit.
				if p := string(task.wire.GetPayload()); strings.Contains("035", p) && meddled < 3 && p == string("035"[meddled]) {
					meddled++
					var text string
					if r := n.records[fakeKey{"k", "text"}]; r != nil {
						text = string(r.value)
					}
					n.put("k", "text", text+"!")
				}
			}
			var conflicts atomic.Int32
			w := c.Worker(OnEvent(func(e Event) {
				if e.Kind == EventConflict {
					conflicts.Add(1)
				}
			}))
			w.Handle("q", append1)
			submit(t, c, tasks...)
			stop := work(t, w)
			n.awaitState(tasks[5], done)
			if err := stop(); err != nil {
				t.Error(err)
			}
			if got := string(n.records[fakeKey{"k", "text"}].value); got != "!012!34!5" {
				t.Errorf("the record is %q", got)
			}
			for i, want := range []string{"!", "!0", "!01", "!012!", "!012!3", "!012!34!"} {
				have := n.tasks[tasks[i].ID().String()]
				if string(have.result) != want || have.effects != 1 || have.attempts != 0 {
					t.Errorf("task %d: result %q, %d effects, %d failures; want result %q", i, have.result, have.effects, have.attempts, want)
				}
			}
			if conflicts.Load() < 3 {
				t.Errorf("%d conflicts, want 3", conflicts.Load())
			}
		})
	}
}

func TestUnorderedTasksMeetConflictsEachByItself(t *testing.T) {
	n := startFake(t)
	n.unordered("q")
	c := dial(t, n)
	var tasks []*Task
	for i := range 20 {
		tasks = append(tasks, NewTask("q", strconv.Itoa(i%10), Key("k")))
	}
	w := c.Worker(Concurrency(4))
	w.Handle("q", append1)
	submit(t, c, tasks...)
	stop := work(t, w)
	n.await("all have ended", func() bool {
		for _, task := range tasks {
			if n.state(task.ID()) != done {
				return false
			}
		}
		return true
	})
	if err := stop(); err != nil {
		t.Error(err)
	}
	if got := string(n.records[fakeKey{"k", "text"}].value); len(got) != len(tasks) {
		t.Errorf("the record is %q: an update was lost or doubled", got)
	}
}

func TestATaskThatConflictsTooOftenFails(t *testing.T) {
	for _, order := range []string{"key", "none"} {
		t.Run(order, func(t *testing.T) {
			n := startFake(t)
			n.with(func() { n.queues["q"] = &fenfav1.Queue{Order: order} })
			c := dial(t, n)
			var runs atomic.Int32
			n.knobs.before = func(task *fakeTask) {
				if task.attempts == 0 && string(task.wire.GetPayload()) == "b" {
					n.put("k", "text", "x")
				}
			}
			w := c.Worker()
			w.Handle("q", func(ctx context.Context, task *Task) error {
				if string(task.Payload()) == "b" {
					runs.Add(1)
				}
				return append1(ctx, task)
			})
			tasks := []*Task{NewTask("q", "a", Key("j")), NewTask("q", "b", Key("k")), NewTask("q", "c", Key("k"))}
			submit(t, c, tasks...)
			stop := work(t, w)
			have := n.awaitState(tasks[1], done)
			n.awaitState(tasks[2], done)
			if err := stop(); err != nil {
				t.Error(err)
			}
			if len(have.errs) != 1 || !strings.HasPrefix(have.errs[0], "conflict") {
				t.Errorf("errors %q, want one conflict", have.errs)
			}
			if runs.Load() < 1+maxConflicts {
				t.Errorf("it ran %d times, want at least %d", runs.Load(), 1+maxConflicts)
			}
		})
	}
}

func TestVersionsTravelAsReadsAndWrites(t *testing.T) {
	for _, travel := range []bool{true, false} {
		t.Run(fmt.Sprint("records travel: ", travel), func(t *testing.T) {
			n := startFake(t)
			n.knobs.noTravel = !travel
			n.with(func() {
				n.put("k", "read", "r")
				n.put("k", "written", "w")
				n.put("k", "blind", "b")
				n.put("k", "gone", "g")
			})
			c := dial(t, n)
			w := c.Worker()
			w.Handle("q", func(ctx context.Context, task *Task) error {
				s := task.State()
				for range 2 {
					if v, ok, err := s.GetRaw(ctx, "read"); err != nil || !ok || string(v) != "r" {
						return fmt.Errorf("read: %q %v %w", v, ok, err)
					}
				}
				if _, ok, err := s.GetRaw(ctx, "absent"); err != nil || ok {
					return fmt.Errorf("absent: %v %w", ok, err)
				}
				if _, _, err := s.GetRaw(ctx, "written"); err != nil {
					return err
				}
				s.Put("written", map[string]int{"n": 1})
				var v map[string]int
				if err := s.Get(ctx, "written", &v); err != nil || v["n"] != 1 {
					return fmt.Errorf("own write: %v %w", v, err)
				}
				s.Put("written", "w2")
				s.PutRaw("blind", []byte("b2"))
				s.Delete("gone")
				if _, ok, err := s.GetRaw(ctx, "gone"); err != nil || ok {
					return fmt.Errorf("own delete: %v %w", ok, err)
				}
				s.Delete("never")
				s.Put("new", "n")
				return nil
			})
			task := NewTask("q", nil, Key("k"))
			submit(t, c, task)
			stop := work(t, w)
			have := n.awaitState(task, done)
			if err := stop(); err != nil {
				t.Error(err)
			}
			got := map[string]string{}
			for _, r := range have.reads {
				got["read "+r.GetName()] = fmt.Sprintf("%d %v", r.GetVersion(), r.GetChained())
			}
			for _, w := range have.writes {
				got["write "+w.GetName()] = fmt.Sprintf("%d %v %v %s", w.GetExpectedVersion(), w.GetChained(), w.GetDelete(), w.GetValue())
			}
			want := map[string]string{
				"read read": "1 false", "read absent": "0 false", "write written": "2 false false w2", "write blind": "3 false false b2",
				"write gone": "4 false true ", "write never": "0 false true ", "write new": "0 false false n",
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
			if travel && n.gets > 0 {
				t.Errorf("%d records were fetched although all had travelled", n.gets)
			}
		})
	}
}

func TestLaterTasksOfALeaseBuildOnEarlierOnes(t *testing.T) {
	n := startFake(t)
	c := dial(t, n)
	w := c.Worker()
	w.Handle("q", func(ctx context.Context, task *Task) error {
		s := task.State()
		switch string(task.Payload()) {
		case "write":
			s.Put("a", "1")
			s.Put("b", "1")
			s.Delete("nothing")
		case "read":
			v, ok, err := s.GetRaw(ctx, "a")
			if err != nil || !ok || string(v) != "1" {
				return fmt.Errorf("a is %q %v %w", v, ok, err)
			}
			if _, ok, err := s.GetRaw(ctx, "nothing"); ok || err != nil {
				return fmt.Errorf("nothing is there: %v %w", ok, err)
			}
			s.Put("b", "2")
			s.Delete("a")
		case "absent":
			if _, ok, err := s.GetRaw(ctx, "a"); err != nil || ok {
				return fmt.Errorf("a is still there: %v %w", ok, err)
			}
			s.Put("a", "3")
		}
		return nil
	})
	tasks := []*Task{NewTask("q", "write", Key("k")), NewTask("q", "read", Key("k")), NewTask("q", "absent", Key("k"))}
	submit(t, c, tasks...)
	stop := work(t, w)
	n.awaitState(tasks[2], done)
	if err := stop(); err != nil {
		t.Error(err)
	}
	second, third := n.tasks[tasks[1].ID().String()], n.tasks[tasks[2].ID().String()]
	if len(second.reads) != 1 || second.reads[0].GetName() != "nothing" || second.reads[0].GetChained() {
		t.Errorf("reads of the second task: %v", second.reads)
	}
	for _, w := range append(second.writes, third.writes...) {
		if !w.GetChained() || w.GetExpectedVersion() != 0 {
			t.Errorf("write %v does not build on the one before", w)
		}
	}
	if second.deliveries != 1 || second.attempts != 0 || third.attempts != 0 {
		t.Errorf("the chain broke: %+v %+v", second, third)
	}
}

func TestATaskThatOnlyReadsDependsOnWhatItRead(t *testing.T) {
	n := startFake(t)
	n.with(func() { n.put("k", "r", "old") })
	changed := false
	n.knobs.before = func(*fakeTask) {
		if !changed {
			changed = true
			n.put("k", "r", "new")
		}
	}
	c := dial(t, n)
	seen := make(chan string, 2)
	w := c.Worker()
	w.Handle("q", func(ctx context.Context, task *Task) error {
		v, _, err := task.State().GetRaw(ctx, "r")
		seen <- string(v)
		return err
	})
	task := NewTask("q", nil, Key("k"))
	submit(t, c, task)
	stop := work(t, w)
	n.awaitState(task, done)
	if err := stop(); err != nil {
		t.Error(err)
	}
	if len(seen) != 2 || <-seen != "old" || <-seen != "new" {
		t.Error("the task was not run again over the record that changed after it had read it")
	}
}
