package sagas

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
)

var began = time.Date(2024, 3, 1, 10, 0, 0, 0, time.UTC)

// once is an effect so many seconds after the beginning.
func once(second int) effect {
	return effect{count: 1, at: began.Add(time.Duration(second) * time.Second)}
}

// sound are facts of a saga of a, then b and c, then d, in which nothing is wrong.
func sound(status fenfa.SagaStatus) *facts {
	f := &facts{
		id: "s", stages: [][]string{{"a"}, {"b", "c"}, {"d"}}, saga: fenfa.Saga{Status: status},
		did: map[string]effect{"a": once(1), "b": once(3), "c": once(2)}, undid: map[string]effect{},
	}
	phase := map[string]string{"a": "done", "b": "done", "c": "done", "d": "done"}
	undone := map[string]string{}
	if status == fenfa.SagaDone {
		f.did["d"] = once(4)
	} else {
		phase["d"] = "dead"
		maps.Copy(f.undid, map[string]effect{"a": once(7), "b": once(5), "c": once(6)})
		undone = map[string]string{"a": "done", "b": "done", "c": "done"}
	}
	for _, name := range []string{"a", "b", "c", "d"} {
		f.saga.Steps = append(f.saga.Steps, fenfa.SagaStepState{
			Name: name, Run: fenfa.SagaRun{Phase: phase[name]}, Compensation: fenfa.SagaRun{Phase: undone[name]},
		})
	}
	return f
}

func TestTheCheckerSeesMutants(t *testing.T) {
	for _, status := range []fenfa.SagaStatus{fenfa.SagaDone, fenfa.SagaCompensated} {
		if wrong := sound(status).judge(); len(wrong) > 0 {
			t.Errorf("a sound saga is said to be wrong: %q", wrong)
		}
	}
	for _, tc := range []struct {
		name   string
		status fenfa.SagaStatus
		mutate func(f *facts)
		says   string
	}{
		{"a step is doubled", fenfa.SagaDone, func(f *facts) { f.did["b"] = effect{2, once(3).at} }, "2 times"},
		{"a step is lost", fenfa.SagaDone, func(f *facts) { delete(f.did, "b") }, "0 times"},
		{"a step is undone for nothing", fenfa.SagaDone, func(f *facts) { f.undid["a"] = once(9) }, "undone 1 times"},
		{"a compensation is doubled", fenfa.SagaCompensated, func(f *facts) { f.undid["a"] = effect{2, once(7).at} }, "undone 2 times"},
		{"a compensation is lost", fenfa.SagaCompensated, func(f *facts) { delete(f.undid, "a") }, "undone 0 times"},
		{"a null compensation took effect", fenfa.SagaCompensated, func(f *facts) { f.undid["d"] = once(5) }, "undone 1 times"},
		{"a dead step took effect", fenfa.SagaCompensated, func(f *facts) { f.did["d"] = once(4) }, `says that it is "dead"`},
		{"a step came after its compensation", fenfa.SagaCompensated, func(f *facts) { f.did["b"] = once(8) }, "before it was done"},
		{"the oldest is undone first", fenfa.SagaCompensated, func(f *facts) { f.undid["a"] = once(4) }, "a was undone before b"},
		{"a later stage comes first", fenfa.SagaDone, func(f *facts) { f.did["d"] = once(0) }, "d took effect before a"},
		{"it goes on and on", fenfa.SagaDone, func(f *facts) { f.saga.Status = fenfa.SagaRunning }, "has not ended"},
		{"it waits for a person", fenfa.SagaCompensated, func(f *facts) { f.saga.Status = fenfa.SagaHalted }, "has not ended"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := sound(tc.status)
			tc.mutate(f)
			if wrong := strings.Join(f.judge(), "\n"); !strings.Contains(wrong, tc.says) {
				t.Errorf("the checker says %q, want something with %q", wrong, tc.says)
			}
		})
	}
}
