package saga_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/saga"
	"github.com/fenfa/fenfa/internal/task"
)

var start = time.Date(2024, 3, 1, 10, 0, 0, 0, time.UTC)

// world carries out what a saga asks for. Tasks wait until the test ends them;
// what it does is remembered, so that it can be checked.
type world struct {
	t       testing.TB
	now     time.Time
	in      *saga.Instance
	tasks   map[string]*task.Task // open ones, by "step" or "undo step"
	timers  []task.Task
	ended   []task.Task // messages that were delivered, to be delivered again
	seen    map[task.ID]bool
	order   []string // what took effect, in this order
	gone    bool
	actions saga.Actions // the latest
}

func begin(tb testing.TB, d *saga.Definition, input string) *world {
	tb.Helper()
	w := &world{t: tb, now: start, tasks: map[string]*task.Task{}, seen: map[task.ID]bool{}}
	in, actions, err := saga.Begin(w.now, saga.Start{ID: "s1", Definition: d, Input: []byte(input), Birth: 77})
	if err != nil {
		tb.Fatal(err)
	}
	w.in = in
	w.carryOut(actions)
	return w
}

func nameOf(ref *saga.Ref) string {
	if ref.Undo {
		return "undo " + ref.Step
	}
	return ref.Step
}

func (w *world) carryOut(actions saga.Actions) {
	w.t.Helper()
	w.actions = actions
	w.gone = w.gone || actions.Forget
	for i := range actions.Emits {
		e := &actions.Emits[i]
		if w.seen[e.ID] {
			w.t.Errorf("task %s of type %s was emitted twice", e.ID, e.Type)
		}
		w.seen[e.ID] = true
		ref, ok := saga.RefOf(e)
		if !ok {
			w.timers = append(w.timers, *e)
			continue
		}
		name := nameOf(&ref)
		if w.tasks[name] != nil {
			w.t.Errorf("%s was begun while it runs", name)
		}
		w.tasks[name] = e
	}
	w.reload()
}

// reload goes through the records, as every transition does.
func (w *world) reload() {
	w.t.Helper()
	begun, err := w.in.Begun.Encode()
	if err != nil {
		w.t.Fatal(err)
	}
	state, err := w.in.State.Encode()
	if err != nil {
		w.t.Fatal(err)
	}
	if w.in, err = saga.Decode(begun, state); err != nil {
		w.t.Fatal(err)
	}
}

// open lists the tasks that run.
func (w *world) open() string { return fmt.Sprint(slices.Sorted(maps.Keys(w.tasks))) }

func (w *world) receive(m task.Task) bool {
	w.t.Helper()
	actions, changed, err := w.in.Receive(w.now, &m)
	if err != nil {
		w.t.Fatal(err)
	}
	w.carryOut(actions)
	return changed
}

// end ends a task that runs.
func (w *world) end(name string, end saga.Ending) {
	w.t.Helper()
	t := w.tasks[name]
	if t == nil {
		w.t.Fatalf("%s does not run; what runs: %s", name, w.open())
	}
	delete(w.tasks, name)
	w.now = w.now.Add(time.Second)
	m, ok := saga.MessageOf(t, &end)
	if !ok {
		w.t.Fatalf("the task of %s tells nobody", name)
	}
	if end.State == task.StateDone {
		w.order = append(w.order, name)
	}
	if !w.receive(m) {
		w.t.Errorf("the end of %s changed nothing", name)
	}
	w.ended = append(w.ended, m)
}

func (w *world) done(name string, result ...string) {
	w.t.Helper()
	e := saga.Ending{State: task.StateDone, Deliveries: 1, Worker: "w1"}
	if len(result) > 0 {
		e.Result = []byte(result[0])
	}
	w.end(name, e)
}

func (w *world) dead(name, why string) {
	w.t.Helper()
	w.end(name, saga.Ending{State: task.StateDead, Attempts: 1, Deliveries: 1, Worker: "w1", Error: why})
}

// pass delivers the timers that are due until then.
func (w *world) pass(d time.Duration) {
	w.t.Helper()
	w.now = w.now.Add(d)
	timers := w.timers
	w.timers = nil
	for _, m := range timers {
		if m.RunAt.After(w.now) {
			w.timers = append(w.timers, m)
			continue
		}
		w.receive(m)
	}
}

func (w *world) operate(op saga.Operation) error {
	w.t.Helper()
	actions, _, err := w.in.Operate(w.now, &op)
	w.carryOut(actions)
	return err
}

func (w *world) want(status saga.Status, open ...string) {
	w.t.Helper()
	slices.Sort(open)
	if got := w.open(); w.in.State.Status != status || got != fmt.Sprint(open) {
		w.t.Fatalf("the saga is %s (%s) and runs %s, want %s and %v", w.in.State.Status, w.in.State.Reason, got, status, open)
	}
}

// pick returns one of the tasks that run.
func (w *world) pick(rng *rand.Rand) string {
	open := slices.Sorted(maps.Keys(w.tasks))
	if len(open) == 0 {
		return ""
	}
	return open[rng.IntN(len(open))]
}

func step(name string) saga.Step {
	return saga.Step{Name: name, Queue: "q-" + name, Compensation: &saga.Compensation{}}
}

// order is a saga of a, then b and c at the same time, then d.
func order(change func(d *saga.Definition)) *saga.Definition {
	d := &saga.Definition{Name: "order", Stages: []saga.Stage{{step("a")}, {step("b"), step("c")}, {step("d")}}}
	if change != nil {
		change(d)
	}
	return d
}
