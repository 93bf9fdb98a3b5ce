package partition

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// search returns the payloads of what a search finds, sorted.
func (r *engineRig) search(f TaskFilter, limit int) (names []string) {
	r.t.Helper()
	token := ""
	for range 1000 {
		p, err := r.e.Tasks(r.t.Context(), f, limit, token)
		if err != nil {
			r.t.Fatal(err)
		}
		if len(p.Tasks) > limit {
			r.t.Fatalf("%d on a page of %d", len(p.Tasks), limit)
		}
		for _, st := range p.Tasks {
			name := st.ID.String()
			if st.Task != nil {
				name = string(st.Task.Payload)
			}
			names = append(names, fmt.Sprint(st.State, " ", name))
		}
		if token = p.Next; token == "" {
			slices.Sort(names)
			return names
		}
	}
	r.t.Fatal("it goes on without end")
	return nil
}

// TestTasksAreFoundInEveryStateOfTheirLife has tasks wait, run, fail and end.
func TestTasksAreFoundInEveryStateOfTheirLife(t *testing.T) {
	inBubble(t, 3, func(r *engineRig) {
		t := r.t
		r.configure(task.Queue{Name: "keyed", OnDead: task.OnDeadHalt, Batch: 1})
		for i := range 4 {
			r.submit(newTask("loose", "", fmt.Sprint("done ", i)))
		}
		r.submit(newTask("keyed", "k", "bad"), newTask("keyed", "k", "parked 1"), newTask("keyed", "k", "parked 2"))
		r.work(dies)
		later := newTask("loose", "", "later")
		later.RunAt = time.Now().Add(time.Hour)
		r.submit(later)
		retries := newTask("loose", "", "retries")
		retries.Type = "odd"
		r.submit(retries)
		r.work(fails(time.Hour)) // a row of the schedule
		r.submit(newTask("loose", "", "runs"))
		r.wait(time.Second)
		second := time.Now()
		r.submit(newTask("keyed", "j", "runs too"), newTask("keyed", "j", "ready"))
		var ended []string
		for i := range 4 {
			ended = append(ended, "done "+task.DeriveID(fmt.Sprint("done ", i)).String())
		}
		slices.Sort(ended)
		waits := []string{"queued parked 1", "queued parked 2", "ready ready", "running runs", "running runs too", "scheduled later", "scheduled retries"}
		for _, c := range []struct {
			name string
			f    TaskFilter
			want []string
		}{
			{"all", TaskFilter{}, slices.Concat([]string{"dead bad"}, ended, waits)},
			{"done", TaskFilter{State: task.StateDone}, ended},
			{"dead", TaskFilter{State: task.StateDead}, []string{"dead bad"}},
			{"running", TaskFilter{State: task.StateRunning}, []string{"running runs", "running runs too"}},
			{"scheduled", TaskFilter{State: task.StateScheduled}, []string{"scheduled later", "scheduled retries"}},
			{"of a queue", TaskFilter{Queue: "keyed"}, []string{"dead bad", "queued parked 1", "queued parked 2", "ready ready", "running runs too"}},
			{"of a key", TaskFilter{Key: "k"}, []string{"dead bad", "queued parked 1", "queued parked 2"}},
			{"of a type", TaskFilter{Type: "odd"}, []string{"scheduled retries"}},
			{"with a text", TaskFilter{Text: "arked"}, []string{"queued parked 1", "queued parked 2"}},
			{"young", TaskFilter{Since: second}, []string{"ready ready", "running runs too"}},
			{"old", TaskFilter{Until: second, Queue: "keyed"}, []string{"dead bad", "queued parked 1", "queued parked 2"}},
			{"none", TaskFilter{State: task.StateCancelled}, nil},
		} {
			for _, limit := range []int{1, 3, 1000} {
				if got := r.search(c.f, limit); !slices.Equal(got, c.want) {
					t.Errorf("%s, pages of %d: %q, want %q", c.name, limit, got, c.want)
				}
			}
		}
		r.work(done)
	})
}

func TestASearchSaysWhatItDoesNotSee(t *testing.T) {
	inBubble(t, 1, func(r *engineRig) {
		t := r.t
		said := func(f TaskFilter) string {
			p, err := r.e.Tasks(t.Context(), f, 10, "")
			if err != nil {
				t.Fatal(err)
			}
			return strings.Join(p.Incomplete, "; ")
		}
		if got := said(TaskFilter{}); got != "" {
			t.Errorf("of an empty node: %s", got)
		}
		r.submit(newTask("loose", "", "1"))
		if got := said(TaskFilter{}); !strings.Contains(got, `queue "loose"`) || strings.Contains(got, "keyed") {
			t.Errorf("with a backlog: %s", got)
		}
		if got := said(TaskFilter{State: task.StateRunning}); got != "" {
			t.Errorf("of what runs: %s", got)
		}
		if got := said(TaskFilter{State: task.StateDone, Text: "x"}); !strings.Contains(got, "the payload is not kept") {
			t.Errorf("of what is done: %s", got)
		}
		r.work(done)
	})
}

// TestWhatWasNotReadYetIsFoundInTheLog has a window that is full of tasks that wait, and
// looks at those behind it.
func TestWhatWasNotReadYetIsFoundInTheLog(t *testing.T) {
	inBubble(t, 2, func(r *engineRig) {
		t := r.t
		r.stop()
		r.window = 4
		r.start(2)
		r.w.mu.Lock()
		r.w.closed = true
		r.w.mu.Unlock()
		var want []string
		for i := range 30 {
			n := newTask("loose", fmt.Sprint("key ", i%3), fmt.Sprint("waits ", i))
			n.Type = fmt.Sprint("type ", i%2)
			r.submit(n)
			want = append(want, fmt.Sprint("waits ", i))
		}
		later := newTask("loose", "key 0", "later")
		later.RunAt = time.Now().Add(time.Hour)
		r.submit(later, newTask("keyed", "k", "of another queue"))
		r.wait(time.Second)
		payloads := func(f TaskFilter, limit int) (names []string) {
			for _, found := range r.search(f, limit) {
				_, name, _ := strings.Cut(found, " ")
				names = append(names, name)
			}
			slices.Sort(names)
			return names
		}
		if p, err := r.e.Tasks(t.Context(), TaskFilter{}, 1, ""); err != nil || len(p.Incomplete) > 0 {
			t.Errorf("%v, %v", p.Incomplete, err)
		}
		slices.Sort(want)
		for _, limit := range []int{1, 7, 1000} {
			if got := payloads(TaskFilter{Text: "waits"}, limit); !slices.Equal(got, want) {
				t.Errorf("pages of %d: %q", limit, got)
			}
			if got := payloads(TaskFilter{Queue: "loose", Type: "type 1", Key: "key 1"}, limit); !slices.Equal(got, []string{"waits 1", "waits 13", "waits 19", "waits 25", "waits 7"}) {
				t.Errorf("pages of %d, of a type: %q", limit, got)
			}
			if got := r.search(TaskFilter{State: task.StateScheduled}, limit); !slices.Equal(got, []string{"scheduled later"}) {
				t.Errorf("pages of %d, scheduled: %q", limit, got)
			}
			if got := payloads(TaskFilter{Queue: "keyed"}, limit); !slices.Equal(got, []string{"of another queue"}) {
				t.Errorf("pages of %d, of a queue: %q", limit, got)
			}
		}
	})
}

func TestTasksThatEndedAreFoundByTheirType(t *testing.T) {
	inBubble(t, 2, func(r *engineRig) {
		t := r.t
		for i := range 6 {
			n := newTask("loose", "", fmt.Sprint("done ", i))
			n.Type = fmt.Sprint("type ", i%3)
			r.submit(n)
		}
		r.work(done)
		want := []string{"done " + task.DeriveID("done 1").String(), "done " + task.DeriveID("done 4").String()}
		slices.Sort(want)
		if got := r.search(TaskFilter{Type: "type 1"}, 4); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		p, err := r.e.Tasks(t.Context(), TaskFilter{Type: "type 1", Text: "x"}, 4, "")
		if err != nil || len(p.Tasks) != 0 || !strings.Contains(strings.Join(p.Incomplete, " "), "payload is not kept") {
			t.Errorf("with a text: %d tasks, %q, %v", len(p.Tasks), p.Incomplete, err)
		}
	})
}

func TestOneCallOfASearchLooksAtABoundedPart(t *testing.T) {
	inBubble(t, 1, func(r *engineRig) {
		t := r.t
		for i := range 60 {
			tasks := make([]task.Task, 100)
			for n := range tasks {
				tasks[n] = newTask("loose", "", fmt.Sprint(i, " ", n))
			}
			r.submit(tasks...)
		}
		r.work(done)
		p, err := r.e.Tasks(t.Context(), TaskFilter{State: task.StateCancelled}, 1000, "")
		if err != nil || len(p.Tasks) != 0 || p.Next == "" {
			t.Errorf("%d tasks, next %q, %v", len(p.Tasks), p.Next, err)
		}
		if got := r.search(TaskFilter{State: task.StateDone}, 1000); len(got) != 6000 || len(slices.Compact(got)) != 6000 {
			t.Errorf("%d found", len(got))
		}
	})
}

func TestWrongSearchesAreRefused(t *testing.T) {
	inBubble(t, 4, func(r *engineRig) {
		t := r.t
		for name, c := range map[string]struct {
			f     TaskFilter
			limit int
			token string
			code  task.Code
		}{
			"limit":         {TaskFilter{}, 0, "", task.CodeInvalidArgument},
			"queue":         {TaskFilter{Queue: "nowhere"}, 1, "", task.CodeNotFound},
			"token":         {TaskFilter{}, 1, "0:6162", task.CodeInvalidArgument},
			"stage":         {TaskFilter{}, 1, (&searchCursor{stage: stages}).token(), task.CodeInvalidArgument},
			"another queue": {TaskFilter{Queue: "loose"}, 1, (&searchCursor{queue: "keyed"}).token(), task.CodeInvalidArgument},
			"another key":   {TaskFilter{Key: "k"}, 1, (&searchCursor{part: (task.PartitionOf("k", 4) + 1) % 4}).token(), task.CodeInvalidArgument},
		} {
			_, err := r.e.Tasks(t.Context(), c.f, c.limit, c.token)
			if task.CodeOf(err) != c.code {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
