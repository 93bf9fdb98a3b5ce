package task

import (
	"strings"
	"testing"
	"time"
)

func TestWhatMakesTasksTheSame(t *testing.T) {
	base := func(change func(*Task)) Task {
		x := Task{Queue: "q", Key: "k", Type: "t", Payload: []byte(`{"a":1,"b":{"c":2}}`), Unique: &Unique{Args: []string{"b", "a"}}}
		if change != nil {
			change(&x)
		}
		return x
	}
	ref := func(x Task) ID {
		r, err := x.Seal()
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := UniqueOf(&x); !ok || got != r {
			t.Errorf("sealed as %+v, read as %+v", r, got)
		}
		return r.ID
	}
	want := ref(base(nil))
	for name, c := range map[string]struct {
		change func(*Task)
		same   bool
	}{
		"another id":         {func(x *Task) { x.ID = DeriveID("x") }, true},
		"other white space":  {func(x *Task) { x.Payload = []byte(`{ "b": {"c": 2}, "a": 1, "d": 0 }`) }, true},
		"names in any order": {func(x *Task) { x.Unique.Args = []string{"a", "b", "a"} }, true},
		"a header":           {func(x *Task) { x.Headers = []Header{{"x", "y"}} }, true},
		"another queue":      {func(x *Task) { x.Queue = "p" }, false},
		"another key":        {func(x *Task) { x.Key = "l" }, false},
		"another type":       {func(x *Task) { x.Type = "u" }, false},
		"another value":      {func(x *Task) { x.Payload = []byte(`{"a":2,"b":{"c":2}}`) }, false},
		"a missing field":    {func(x *Task) { x.Payload = []byte(`{"a":1}`) }, false},
		"fewer fields":       {func(x *Task) { x.Unique.Args = []string{"a"} }, false},
		"the payload":        {func(x *Task) { x.Unique.Args = nil }, false},
		"a text":             {func(x *Task) { x.Unique.Args, x.Unique.By = nil, "x" }, false},
	} {
		if got := ref(base(c.change)); (got == want) != c.same {
			t.Errorf("%s: the same %v, want %v", name, got == want, c.same)
		}
	}
	if _, ok := UniqueOf(&Task{Headers: []Header{{HeadUnique, "zz 1"}}}); ok {
		t.Error("nonsense was read")
	}
}

func TestUniquenessThatCannotBeIsRefused(t *testing.T) {
	for name, x := range map[string]Task{
		"no object":    {Payload: []byte(`[1]`), Unique: &Unique{Args: []string{"a"}}},
		"no JSON":      {Payload: []byte(`x`), Unique: &Unique{Args: []string{"a"}}},
		"both":         {Unique: &Unique{Args: []string{"a"}, By: "b"}},
		"long text":    {Unique: &Unique{By: strings.Repeat("x", MaxKey+1)}},
		"many names":   {Unique: &Unique{Args: make([]string, MaxUniqueArgs+1)}},
		"long period":  {Unique: &Unique{Period: MaxDelay + time.Second}},
		"no such past": {Unique: &Unique{Period: -1}},
		"no period":    {Unique: &Unique{States: StatesOf(StateQueued, StateDone)}},
		"no end":       {Unique: &Unique{States: StatesOf(StateQueued), Period: time.Hour}},
		"no state":     {Unique: &Unique{States: StatesOf(StateUnknown)}},
		"ready":        {Unique: &Unique{States: StatesOf(StateReady)}},
	} {
		if _, err := x.Seal(); CodeOf(err) != CodeInvalidArgument && CodeOf(err) != CodeTooLarge || len(x.Headers) > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStatesThatWereChosenTravelWithTheTask(t *testing.T) {
	for _, c := range []struct {
		states StateSet
		period time.Duration
		want   StateSet
		words  int // of the header
	}{
		{0, 0, StatesOf(StateQueued, StateScheduled, StateRunning), 2},
		{0, time.Hour, StatesOf(StateQueued, StateScheduled, StateRunning, StateDone, StateDead, StateCancelled, StateExpired), 2},
		{StatesOf(StateRunning, StateQueued, StateScheduled), 0, StatesOf(StateQueued, StateScheduled, StateRunning), 2},
		{StatesOf(StateQueued), 0, StatesOf(StateQueued), 3},
		{StatesOf(StateQueued, StateExpired), time.Hour, StatesOf(StateQueued, StateExpired), 3},
	} {
		x := Task{Unique: &Unique{States: c.states, Period: c.period}}
		sealed, err := x.Seal()
		if err != nil {
			t.Fatal(err)
		}
		got, ok := UniqueOf(&x)
		if !ok || got != sealed || got.States != c.want || got.HoldsUntilEnd() != c.want.Has(StateRunning) {
			t.Errorf("%v, %v: got %+v", c.states, c.period, got)
		}
		// Repeats of submits from before states could be chosen are the same bytes.
		if words := len(strings.Fields(x.Headers[0].Value)); words != c.words {
			t.Errorf("%v, %v: the header is %q", c.states, c.period, x.Headers[0].Value)
		}
	}
}
