package saga_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/saga"
	"github.com/fenfa/fenfa/internal/task"
)

func TestDefinitionsThatAreWrongSayWhere(t *testing.T) {
	second := func(change func(s *saga.Step)) func(d *saga.Definition) {
		return func(d *saga.Definition) { change(&d.Stages[1][0]) }
	}
	for _, tc := range []struct {
		name   string
		change func(d *saga.Definition)
		field  string
		says   string
	}{
		{"no name", func(d *saga.Definition) { d.Name = "" }, "name", "not a name"},
		{"deadline", func(d *saga.Definition) { d.Deadline = -1 }, "deadline", "out of range"},
		{"retention", func(d *saga.Definition) { d.Retention = saga.Duration(9000 * time.Hour) }, "retention", "out of range"},
		{"no steps", func(d *saga.Definition) { d.Stages = nil }, "steps", "0 steps"},
		{"empty group", func(d *saga.Definition) { d.Stages[1] = nil }, "steps", "no steps"},
		{"too many", func(d *saga.Definition) {
			for i := range saga.MaxSteps {
				d.Stages = append(d.Stages, saga.Stage{step(fmt.Sprint("x", i))})
			}
		}, "steps", "54 steps"},
		{"name of a step", second(func(s *saga.Step) { s.Name = "a b" }), "steps[1].name", "not a name"},
		{"twice", second(func(s *saga.Step) { s.Name = "a" }), "steps[1].name", `name "a"`},
		{"no queue", second(func(s *saga.Step) { s.Queue = "" }), "steps[1].queue", "no name"},
		{"queue of the node", second(func(s *saga.Step) { s.Queue = saga.Queue }), "steps[1].queue", "belongs to the node"},
		{"on_dead", second(func(s *saga.Step) { s.OnDead = "stop" }), "steps[1].on_dead", "compensate, halt or skip"},
		{"type", second(func(s *saga.Step) { s.Type = strings.Repeat("t", 252) }), "steps[1].type", "252 bytes"},
		{"key", second(func(s *saga.Step) { s.Key = "${results.d.x}" }), "steps[1].key", "earlier step"},
		{"key of a neighbour", second(func(s *saga.Step) { s.Key = "${results.c.x}" }), "steps[1].key", "earlier step"},
		{"long key", second(func(s *saga.Step) { s.Key = strings.Repeat("k", 513) }), "steps[1].key", "513 bytes"},
		{"payload", second(func(s *saga.Step) { s.Payload = []byte(`{"x":"${results.b}"}`) }), "steps[1].payload", "earlier step"},
		{"timeout", second(func(s *saga.Step) { s.Timeout = saga.Duration(25 * time.Hour) }), "steps[1].timeout", "out of range"},
		{"retry", second(func(s *saga.Step) { s.Retry = &saga.Retry{MaxAttempts: -1} }), "steps[1].retry", "negative"},
		{"retry max", second(func(s *saga.Step) { s.Retry = &saga.Retry{Base: 2, Max: 1} }), "steps[1].retry.max", "less than"},
		{"retry factor", second(func(s *saga.Step) { s.Retry = &saga.Retry{Factor: 0.5} }), "steps[1].retry", "factor"},
		{"undo queue", second(func(s *saga.Step) { s.Compensation.Queue = "-" }), "steps[1].compensation.queue", "letters"},
		{"undo type", second(func(s *saga.Step) { s.Compensation.Type = strings.Repeat("t", 257) }), "steps[1].compensation.type", "257 bytes"},
		{"undo when", second(func(s *saga.Step) { s.Compensation.When = "always" }), "steps[1].compensation.when", "done or tried"},
		{"undo payload", second(func(s *saga.Step) { s.Compensation.Payload = []byte(`"${results.d}"`) }), "steps[1].compensation.payload", "earlier step"},
		{"size", second(func(s *saga.Step) { s.Payload = []byte(`"` + strings.Repeat("x", saga.MaxDefinition) + `"`) }), "", "bytes as JSON"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var e *task.Error
			err := order(tc.change).Validate()
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Fatalf("%v, want an error that says %q", err, tc.says)
			}
			if !errors.As(err, &e) || e.Field != tc.field {
				t.Errorf("the error names another field than %q: %+v", tc.field, e)
			}
		})
	}
}

func TestACompensationMayUseTheResultOfItsStep(t *testing.T) {
	d := order(func(d *saga.Definition) { d.Stages[1][0].Compensation.Payload = []byte(`"${results.b.receipt}"`) })
	if err := d.Validate(); err != nil {
		t.Fatal(err)
	}
	w := begin(t, d, `{}`)
	w.done("a")
	w.done("b", `{"receipt":"r1"}`)
	w.dead("c", "no")
	if got := string(w.tasks["undo b"].Payload); got != `"r1"` {
		t.Errorf("the payload is %s", got)
	}
}

func TestVersionsNameTheContent(t *testing.T) {
	d := order(nil)
	if again := order(nil).Version(); again != d.Version() || len(again) != 12 {
		t.Errorf("the same content has versions %s and %s", d.Version(), again)
	}
	if other := order(func(d *saga.Definition) { d.Stages[1][0].Key = "k" }).Version(); other == d.Version() {
		t.Error("another content has the same version")
	}
	b, err := order(func(d *saga.Definition) { d.Deadline = saga.Duration(90 * time.Second) }).Encode()
	if err != nil || !bytes.Contains(b, []byte(`"deadline":"1m30s"`)) {
		t.Errorf("%s (%v)", b, err)
	}
	back, err := saga.DecodeDefinition(b)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := back.Encode(); err != nil || !bytes.Equal(b, again) {
		t.Errorf("%s is read as %s (%v)", b, again, err)
	}
}

func TestQueuesAreNamedOnce(t *testing.T) {
	d := order(func(d *saga.Definition) {
		d.Stages[1][0].Queue = "q-a"
		d.Stages[1][0].Compensation.Queue = "undo"
	})
	if got := fmt.Sprint(d.Queues()); got != "[q-a undo q-c q-d]" {
		t.Error(got)
	}
}

func TestStepsAskForWhatTheDefinitionSays(t *testing.T) {
	d := order(func(d *saga.Definition) {
		a := &d.Stages[0][0]
		a.Key, a.Timeout, a.Retry = "${input.sku}", saga.Duration(time.Minute), &saga.Retry{MaxAttempts: 3, Base: saga.Duration(time.Hour)}
		a.Compensation = &saga.Compensation{Queue: "other", Type: "release", Timeout: saga.Duration(time.Second)}
	})
	w := begin(t, d, `{"sku":"A"}`)
	do := w.tasks["a"]
	if do.Queue != "q-a" || do.Key != "A" || do.Type != "a" || do.Timeout != time.Minute || string(do.Payload) != `{"sku":"A"}` {
		t.Errorf("the step's task: %+v", do)
	}
	if want := (task.RetryPolicy{Base: time.Hour, Factor: 2, Max: time.Hour, MaxAttempts: 3}); *do.Retry != want {
		t.Errorf("its retry policy: %+v", do.Retry)
	}
	w.done("a")
	w.dead("b", "no")
	w.done("c")
	w.done("undo c")
	undo := w.tasks["undo a"]
	if undo.Queue != "other" || undo.Key != "A" || undo.Type != "release" || undo.Timeout != time.Second || undo.Retry.MaxAttempts != 10_000 {
		t.Errorf("the compensation's task: %+v", undo)
	}
	if w.seen[do.ID] && do.ID == undo.ID {
		t.Error("a step and its compensation are one task")
	}
}

func TestStartsThatAreWrongAreRefused(t *testing.T) {
	for _, s := range []saga.Start{
		{Definition: order(nil)},
		{ID: strings.Repeat("i", saga.MaxID+1), Definition: order(nil)},
		{ID: "s", Definition: &saga.Definition{}},
		{ID: "s", Definition: order(nil), Input: make([]byte, saga.MaxInput+1)},
	} {
		if _, _, err := saga.Begin(start, s); err == nil {
			t.Errorf("a saga began with id of %d bytes and input of %d", len(s.ID), len(s.Input))
		}
	}
}

func TestValuesComeBackByteForByte(t *testing.T) {
	for _, v := range []string{`{"a":1}`, `{ "a" : 1 }`, "plain", "", "\x00\xff", `{"base64":"eA=="}`, `"<&>"`, "7", "null"} {
		b, err := json.Marshal(struct{ V saga.Value }{saga.Value(v)})
		if err != nil {
			t.Fatal(err)
		}
		var back struct{ V saga.Value }
		if err := json.Unmarshal(b, &back); err != nil || string(back.V) != v {
			t.Errorf("%q is written as %s and read as %q (%v)", v, b, back.V, err)
		}
	}
}

func TestOnlyStepsTellTheirSaga(t *testing.T) {
	plain := task.Task{Queue: "q", Headers: []task.Header{{Name: "a", Value: "b"}}}
	if _, ok := saga.MessageOf(&plain, &saga.Ending{}); ok || saga.IsStep(&plain) {
		t.Error("a task without the header belongs to a saga")
	}
	w := begin(t, order(nil), `{}`)
	good := w.tasks["a"].Headers[0].Value
	for cut := range good {
		broken := task.Task{Headers: []task.Header{{Name: saga.Header, Value: good[:cut]}}}
		if _, ok := saga.RefOf(&broken); ok {
			t.Errorf("a header that was cut at byte %d is read", cut)
		}
	}
	for _, m := range []task.Task{{Type: "other"}, {Type: "ended"}, {Type: "deadline", Payload: []byte{1, 2}}} {
		if _, changed, err := w.in.Receive(start, &m); err == nil || changed {
			t.Errorf("message %q with %d bytes was taken", m.Type, len(m.Payload))
		}
	}
}

func TestRecordsThatDoNotFitTogetherAreRefused(t *testing.T) {
	w := begin(t, order(nil), `{}`)
	state, err := w.in.State.Encode()
	if err != nil {
		t.Fatal(err)
	}
	other := begin(t, &saga.Definition{Name: "n", Stages: []saga.Stage{{step("a")}}}, `{}`)
	begun, err := other.in.Begun.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, pair := range [][2][]byte{{begun, state}, {nil, state}, {begun, nil}, {[]byte("{}"), state}} {
		if _, err := saga.Decode(pair[0], pair[1]); err == nil {
			t.Error("records of two sagas were read as one")
		}
	}
}
