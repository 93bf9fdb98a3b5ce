package saga_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/saga"
	"github.com/fenfa/fenfa/internal/task"
)

func TestStagesFollowEachOther(t *testing.T) {
	w := begin(t, order(nil), `{}`)
	w.want(saga.StatusRunning, "a")
	w.done("a")
	w.want(saga.StatusRunning, "b", "c")
	w.done("c")
	w.want(saga.StatusRunning, "b")
	w.done("b")
	w.done("d")
	w.want(saga.StatusDone)
	w.pass(saga.DefaultRetention)
	if !w.gone {
		t.Error("the saga is kept beyond its retention")
	}
}

func TestADeadStepCompensatesNewestFirst(t *testing.T) {
	for _, tc := range []struct {
		dies string
		undo [][]string // what is compensated at the same time
	}{
		{"a", nil},
		{"b", [][]string{{"undo c"}, {"undo a"}}},
		{"c", [][]string{{"undo b"}, {"undo a"}}},
		{"d", [][]string{{"undo b", "undo c"}, {"undo a"}}},
	} {
		t.Run(tc.dies, func(t *testing.T) {
			w := begin(t, order(nil), `{}`)
			for _, name := range []string{"a", "b", "c", "d"} {
				switch {
				case name == tc.dies:
					w.dead(name, "no")
				case w.tasks[name] != nil:
					w.done(name)
				}
			}
			for _, group := range tc.undo {
				w.want(saga.StatusCompensating, group...)
				for _, name := range group {
					w.done(name)
				}
			}
			w.want(saga.StatusCompensated)
			if want := fmt.Sprintf(`step %q: no`, tc.dies); w.in.State.Reason != want {
				t.Errorf("the reason is %q, want %q", w.in.State.Reason, want)
			}
		})
	}
}

// A compensation begins only when nothing of its stage is under way: what still
// runs could take effect after it.
func TestNothingIsCompensatedWhileAStepRuns(t *testing.T) {
	w := begin(t, order(nil), `{}`)
	w.done("a")
	w.dead("b", "no")
	w.want(saga.StatusCompensating, "c")
	w.done("c")
	w.want(saga.StatusCompensating, "undo c")
	w.done("undo c")
	w.done("undo a")
	w.want(saga.StatusCompensated)
}

func TestMessagesThatRepeatOrComeFromEarlierTriesChangeNothing(t *testing.T) {
	w := begin(t, order(func(d *saga.Definition) { d.Stages[0][0].OnDead = saga.OnDeadHalt }), `{}`)
	w.dead("a", "no")
	w.want(saga.StatusHalted)
	if err := w.operate(saga.Operation{ID: "1", Do: saga.DoRetry}); err != nil {
		t.Fatal(err)
	}
	w.want(saga.StatusRunning, "a")
	again := func() {
		t.Helper()
		for _, m := range w.ended {
			if w.receive(m) {
				t.Errorf("a repeated message changed the saga")
			}
		}
	}
	again() // the first try is not the one that runs
	w.want(saga.StatusRunning, "a")
	w.done("a")
	again()
	w.want(saga.StatusRunning, "b", "c")
	w.dead("c", "no")
	w.done("b")
	again()
	w.want(saga.StatusCompensating, "undo b")
	w.done("undo b")
	w.done("undo a")
	again()
	w.want(saga.StatusCompensated)
}

func TestAnotherSagaOfTheSameIDIsNotMeant(t *testing.T) {
	first, second := begin(t, order(nil), `{}`), &world{t: t, now: start, tasks: map[string]*task.Task{}, seen: map[task.ID]bool{}}
	in, actions, err := saga.Begin(start, saga.Start{ID: "s1", Definition: order(nil), Input: []byte(`{}`), Birth: 78})
	if err != nil {
		t.Fatal(err)
	}
	second.in = in
	second.carryOut(actions)
	first.done("a")
	if second.receive(first.ended[0]) {
		t.Error("the end of an earlier saga's step moved this one")
	}
	if second.tasks["a"].ID == actions.Emits[0].ID && first.seen[actions.Emits[0].ID] {
		t.Error("both sagas gave their step the same task")
	}
}

func TestAHaltedStepWaitsForAPerson(t *testing.T) {
	halts := order(func(d *saga.Definition) { d.Stages[1][0].OnDead = saga.OnDeadHalt })
	reach := func(t *testing.T) *world {
		t.Helper()
		w := begin(t, halts, `{}`)
		w.done("a")
		w.dead("b", "no")
		w.want(saga.StatusHalted, "c")
		w.done("c")
		w.want(saga.StatusHalted)
		return w
	}
	t.Run("retry", func(t *testing.T) {
		w := reach(t)
		for range 2 { // the second is a repeat
			if err := w.operate(saga.Operation{ID: "1", Do: saga.DoRetry, Step: "b"}); err != nil {
				t.Fatal(err)
			}
		}
		w.want(saga.StatusRunning, "b")
		w.done("b")
		w.want(saga.StatusRunning, "d")
	})
	t.Run("skip", func(t *testing.T) {
		w := reach(t)
		if err := w.operate(saga.Operation{ID: "1", Do: saga.DoSkip, Step: "b"}); err != nil {
			t.Fatal(err)
		}
		w.want(saga.StatusRunning, "d")
		w.dead("d", "no")
		w.want(saga.StatusCompensating, "undo c") // what was skipped is not undone
	})
	t.Run("compensate", func(t *testing.T) {
		w := reach(t)
		if err := w.operate(saga.Operation{ID: "1", Do: saga.DoCompensate, Reason: "enough"}); err != nil {
			t.Fatal(err)
		}
		w.want(saga.StatusCompensating, "undo c")
		if w.in.State.Reason != "enough" {
			t.Errorf("the reason is %q", w.in.State.Reason)
		}
	})
}

func TestADeadCompensationWaitsForAPerson(t *testing.T) {
	for _, do := range []saga.Do{saga.DoRetry, saga.DoSkip} {
		w := begin(t, order(nil), `{}`)
		w.done("a")
		w.done("b")
		w.dead("c", "no")
		w.dead("undo b", "cannot")
		w.want(saga.StatusHalted)
		if err := w.operate(saga.Operation{ID: "1", Do: do}); err != nil {
			t.Fatal(err)
		}
		if do == saga.DoRetry {
			w.want(saga.StatusCompensating, "undo b")
			w.done("undo b")
		}
		w.want(saga.StatusCompensating, "undo a")
		w.done("undo a")
		w.want(saga.StatusCompensated)
	}
}

func TestOperationsThatDoNotFitAreRefused(t *testing.T) {
	w := begin(t, order(nil), `{}`)
	for _, tc := range []struct {
		op   saga.Operation
		code task.Code
		says string
	}{
		{saga.Operation{Do: saga.DoRetry}, task.CodeInvalidArgument, "operation id"},
		{saga.Operation{ID: "1", Do: "jump"}, task.CodeInvalidArgument, "jump"},
		{saga.Operation{ID: "1", Do: saga.DoRetry}, task.CodeFailedPrecondition, "running"},
		{saga.Operation{ID: "1", Do: saga.DoSkip, Step: "a"}, task.CodeFailedPrecondition, "step a does not wait"},
		{saga.Operation{ID: "1", Do: saga.DoSkip, Step: "z"}, task.CodeNotFound, "a, b, c, d"},
	} {
		if err := w.operate(tc.op); task.CodeOf(err) != tc.code || !strings.Contains(fmt.Sprint(err), tc.says) {
			t.Errorf("%v: %v (%v), want %v that says %q", tc.op, err, task.CodeOf(err), tc.code, tc.says)
		}
	}
	w.want(saga.StatusRunning, "a")
	w.dead("a", "no")
	if err := w.operate(saga.Operation{ID: "1", Do: saga.DoCompensate}); task.CodeOf(err) != task.CodeFailedPrecondition {
		t.Errorf("compensating what is compensated: %v", err)
	}
}

func TestASagaThatIsDoneCanBeCompensated(t *testing.T) {
	w := begin(t, order(nil), `{}`)
	for _, name := range []string{"a", "b", "c", "d"} {
		w.done(name)
	}
	w.want(saga.StatusDone)
	if err := w.operate(saga.Operation{ID: "1", Do: saga.DoCompensate}); err != nil {
		t.Fatal(err)
	}
	w.want(saga.StatusCompensating, "undo d")
	w.pass(saga.DefaultRetention) // counted from the first end
	if w.gone {
		t.Fatal("a saga that compensates was forgotten")
	}
	for _, name := range []string{"undo d", "undo b", "undo c", "undo a"} {
		w.done(name)
	}
	w.want(saga.StatusCompensated)
	w.pass(saga.DefaultRetention)
	if !w.gone {
		t.Error("the saga is kept beyond its retention")
	}
}

func TestADeadlineTurnsTheSagaBack(t *testing.T) {
	limited := order(func(d *saga.Definition) { d.Deadline = saga.Duration(time.Hour) })
	w := begin(t, limited, `{}`)
	if got := w.tasks["a"].ExpiresAt; !got.Equal(start.Add(time.Hour)) {
		t.Errorf("the step's task expires at %v, not at the deadline", got)
	}
	w.done("a")
	w.done("b")
	w.pass(time.Hour)
	w.want(saga.StatusCompensating, "c")
	w.end("c", saga.Ending{State: task.StateExpired})
	w.want(saga.StatusCompensating, "undo b")
	w.done("undo b")
	if got := w.tasks["undo a"].ExpiresAt; !got.IsZero() {
		t.Errorf("a compensation expires at %v", got)
	}
	w.done("undo a")
	w.want(saga.StatusCompensated)
	if !strings.Contains(w.in.State.Reason, "deadline of 1h0m0s") {
		t.Errorf("the reason is %q", w.in.State.Reason)
	}
}

// A step that halts or is skipped when it is dead does neither after the deadline.
func TestAStepThatExpiresAtTheDeadlineTurnsTheSagaBack(t *testing.T) {
	for _, what := range []saga.OnDead{saga.OnDeadHalt, saga.OnDeadSkip} {
		w := begin(t, order(func(d *saga.Definition) {
			d.Deadline = saga.Duration(time.Hour)
			d.Stages[1][0].OnDead = what
		}), `{}`)
		w.done("a")
		w.done("c")
		w.now = start.Add(time.Hour)
		w.end("b", saga.Ending{State: task.StateExpired})
		w.want(saga.StatusCompensating, "undo c")
	}
}

func TestADeadStepIsSkippedWhereTheDefinitionSaysSo(t *testing.T) {
	w := begin(t, order(func(d *saga.Definition) { d.Stages[0][0].OnDead = saga.OnDeadSkip }), `{}`)
	w.dead("a", "no")
	w.want(saga.StatusRunning, "b", "c")
}

// A compensation of what did not take effect is asked for only where the definition
// wants it, and says so.
func TestNullCompensationsAreAskedForAndSaidToBe(t *testing.T) {
	tried := order(func(d *saga.Definition) { d.Stages[1][0].Compensation.When = saga.WhenTried })
	w := begin(t, tried, `{}`)
	w.done("a")
	w.done("c")
	w.dead("b", "timed out")
	w.want(saga.StatusCompensating, "undo b", "undo c")
	for name, null := range map[string]bool{"undo b": true, "undo c": false} {
		if ref, _ := saga.RefOf(w.tasks[name]); ref.Null != null {
			t.Errorf("%s says null = %v", name, ref.Null)
		}
	}
	w = begin(t, tried, `{}`)
	w.done("a")
	w.done("c")
	w.end("b", saga.Ending{State: task.StateExpired}) // no worker ever had it
	w.want(saga.StatusCompensating, "undo c")
}

func TestATryThatWasHandedOutIsRememberedByLaterOnes(t *testing.T) {
	w := begin(t, order(func(d *saga.Definition) {
		d.Stages[0][0].OnDead = saga.OnDeadHalt
		d.Stages[0][0].Compensation.When = saga.WhenTried
	}), `{}`)
	w.dead("a", "timed out")
	if err := w.operate(saga.Operation{ID: "1", Do: saga.DoRetry}); err != nil {
		t.Fatal(err)
	}
	w.end("a", saga.Ending{State: task.StateExpired})
	if err := w.operate(saga.Operation{ID: "2", Do: saga.DoCompensate}); err != nil {
		t.Fatal(err)
	}
	w.want(saga.StatusCompensating, "undo a")
}

func TestAStepWithoutCompensationIsLeftAsItIs(t *testing.T) {
	w := begin(t, order(func(d *saga.Definition) { d.Stages[1][0].Compensation = nil }), `{}`)
	w.done("a")
	w.done("b")
	w.dead("c", "no")
	w.want(saga.StatusCompensating, "undo a")
}

func TestResultsTravelToLaterStepsAndCompensations(t *testing.T) {
	w := begin(t, order(nil), `{}`)
	w.done("a", `{"n":1}`)
	w.done("b", "not \x00 JSON")
	w.done("c")
	ref, _ := saga.RefOf(w.tasks["d"])
	want := []saga.Result{{"a", []byte(`{"n":1}`)}, {"b", []byte("not \x00 JSON")}}
	if fmt.Sprint(ref.Results) != fmt.Sprint(want) || ref.ID != "s1" || ref.Name != "order" || ref.Step != "d" || ref.Try != 1 {
		t.Errorf("step d is told %+v", ref)
	}
	w.dead("d", "no")
	if ref, _ := saga.RefOf(w.tasks["undo b"]); len(ref.Results) != 2 || !ref.Undo {
		t.Errorf("the compensation of b is told %+v", ref)
	}
}

func TestResultsBeyondTheBoundTurnTheSagaBack(t *testing.T) {
	w := begin(t, order(nil), `{}`)
	w.done("a", strings.Repeat("x", saga.MaxResults))
	w.done("b")
	w.done("c", "y")
	w.want(saga.StatusCompensating, "undo b", "undo c")
	if !strings.Contains(w.in.State.Reason, "65537 bytes") {
		t.Errorf("the reason is %q", w.in.State.Reason)
	}
}

func TestATaskThatCannotBeMadeIsADeadStep(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(s *saga.Step)
		says   string
	}{
		{"key", func(s *saga.Step) { s.Key = "${input.sku}" }, `there is no "sku"`},
		{"payload", func(s *saga.Step) { s.Payload = []byte(`{"x":"${results.a.n}"}`) }, `step "a" has no result`},
		{"size", func(s *saga.Step) { s.Key = "${input.long}" }, "key has 600 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := begin(t, order(func(d *saga.Definition) { tc.change(&d.Stages[1][0]) }), `{"long":"`+strings.Repeat("k", 600)+`"}`)
			w.done("a")
			w.want(saga.StatusCompensating, "undo a") // c was not begun
			if !strings.Contains(w.in.State.Reason, tc.says) {
				t.Errorf("the reason is %q, want one that says %q", w.in.State.Reason, tc.says)
			}
		})
	}
}

func TestACompensationThatCannotBeMadeHalts(t *testing.T) {
	w := begin(t, order(func(d *saga.Definition) {
		d.Stages[0][0].Compensation.Payload = []byte(`"${results.a.receipt}"`)
	}), `{}`)
	w.done("a", `{}`)
	w.dead("b", "no")
	w.done("c")
	w.done("undo c")
	w.want(saga.StatusHalted)
}

func TestATaskThatCannotBeSubmittedIsADeadStep(t *testing.T) {
	w := begin(t, order(nil), `{}`)
	w.done("a")
	for _, e := range slices.Clone(w.actions.Emits) {
		ref, _ := saga.RefOf(&e)
		delete(w.tasks, ref.Step)
		actions, changed := w.in.Fail(w.now, &e, "there is no queue")
		if !changed {
			t.Errorf("%s: nothing changed", ref.Step)
		}
		w.carryOut(actions)
	}
	w.want(saga.StatusCompensating, "undo a")
	timer := w.in.State
	if _, changed := w.in.Fail(w.now, &task.Task{Queue: saga.Queue}, ""); changed || timer.Status != saga.StatusCompensating {
		t.Error("a message that could not be submitted changed the saga")
	}
}

func TestTheTimelineSaysWhatHappened(t *testing.T) {
	w := begin(t, &saga.Definition{Name: "n", Stages: []saga.Stage{{step("a")}, {step("b")}}}, `{}`)
	w.done("a")
	w.dead("b", "line one\nline two")
	w.done("undo a")
	var lines []string
	for _, e := range w.in.State.Events {
		line := e.What
		if e.Step != "" {
			line += " " + e.Step
		}
		if e.Undo {
			line += " undo"
		}
		lines = append(lines, line)
	}
	want := "started, began a, done a, began b, dead b, compensating, began a undo, done a undo, ended"
	if got := strings.Join(lines, ", "); got != want {
		t.Errorf("the timeline is %s\nwant %s", got, want)
	}
	if text := w.in.State.Events[4].Text; text != "line one line two" {
		t.Errorf("the error reads %q", text)
	}
}

func TestALargeStateLosesOldEventsAndFits(t *testing.T) {
	d := &saga.Definition{Name: "long"}
	for i := range saga.MaxSteps {
		d.Stages = append(d.Stages, saga.Stage{{Name: fmt.Sprint("s", i), Queue: "q", Key: "${input.k}", Compensation: &saga.Compensation{}}})
	}
	w := begin(t, d, `{"k":"`+strings.Repeat("<", 512)+`"}`) // each is six bytes in JSON
	for i := range saga.MaxSteps - 1 {
		w.end(fmt.Sprint("s", i), saga.Ending{State: task.StateDone, Result: []byte(strings.Repeat("\x00", saga.MaxResults/saga.MaxSteps))})
	}
	w.dead(fmt.Sprint("s", saga.MaxSteps-1), strings.Repeat("<", 4000))
	for i := saga.MaxSteps - 2; i >= 0; i-- {
		w.done(fmt.Sprint("undo s", i))
	}
	w.want(saga.StatusCompensated)
	if w.in.State.Dropped == 0 {
		t.Error("no event was dropped")
	}
}

func TestTheFirstReasonStays(t *testing.T) {
	w := begin(t, order(nil), `{}`)
	w.done("a")
	w.dead("b", "no")
	w.done("c", strings.Repeat("x", saga.MaxResults+1)) // would turn the saga back by itself
	w.want(saga.StatusCompensating, "undo c")
	if want := `step "b": no`; w.in.State.Reason != want {
		t.Errorf("the reason is %q, want %q", w.in.State.Reason, want)
	}
}
