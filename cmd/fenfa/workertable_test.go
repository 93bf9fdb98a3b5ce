package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
)

func TestWorkersAreShownForAPerson(t *testing.T) {
	later := time.Now().Add(time.Hour)
	for name, c := range map[string]struct {
		worker fenfa.WorkerInfo
		column string
		want   string
	}{
		"load":                 {fenfa.WorkerInfo{InFlight: 5, Slots: 8}, "LOAD", "██████░░░░ 5/8"},
		"nothing to do":        {fenfa.WorkerInfo{Slots: 8}, "LOAD", "░░░░░░░░░░ 0/8"},
		"very little to do":    {fenfa.WorkerInfo{InFlight: 1, Slots: 800}, "LOAD", "█░░░░░░░░░ 1/800"},
		"prefetched":           {fenfa.WorkerInfo{InFlight: 12, Slots: 8}, "LOAD", "██████████ 12/8"},
		"weight":               {fenfa.WorkerInfo{Weight: 2.5, EffectiveWeight: 2.5}, "WEIGHT", "2.5"},
		"slow start":           {fenfa.WorkerInfo{Weight: 2, EffectiveWeight: 0.2}, "WEIGHT", "0.2/2"},
		"set weight":           {fenfa.WorkerInfo{Weight: 2, EffectiveWeight: 2, WeightIsSet: true}, "WEIGHT", "2*"},
		"set, and slow":        {fenfa.WorkerInfo{Weight: 3, EffectiveWeight: 1.0 / 3, WeightIsSet: true}, "WEIGHT", "0.333/3*"},
		"quiet":                {fenfa.WorkerInfo{State: "quiet"}, "STATE", "quiet"},
		"was ejected":          {fenfa.WorkerInfo{State: "active", Serving: []fenfa.WorkerQueue{{Queue: "q", EjectedUntil: time.Now().Add(-time.Second), EjectedFor: "failures"}}}, "STATE", "active"},
		"ejected":              {fenfa.WorkerInfo{State: "active", Serving: []fenfa.WorkerQueue{{Queue: "q", EjectedUntil: later, EjectedFor: "failures"}}}, "STATE", "active, ejected from q for 1h0m0s: failures"},
		"latency not measured": {fenfa.WorkerInfo{Serving: []fenfa.WorkerQueue{{Queue: "q"}}}, "TIME", "-"},
		"longest latency":      {fenfa.WorkerInfo{Serving: []fenfa.WorkerQueue{{Latency: time.Millisecond}, {Latency: 123456789}, {}}}, "TIME", "123ms"},
		"no labels":            {fenfa.WorkerInfo{}, "LABELS", "-"},
		"labels":               {fenfa.WorkerInfo{Labels: map[string]string{"zone": "eu", "gpu": "", "a": "b"}}, "LABELS", "a=b,gpu=,zone=eu"},
	} {
		rows := workerRows([]fenfa.WorkerInfo{c.worker}, true)
		if got := rows[1][slices.Index(rows[0], c.column)]; got != c.want {
			t.Errorf("%s: %s is %q, want %q", name, c.column, got, c.want)
		}
	}
	rows := workerRows([]fenfa.WorkerInfo{{InFlight: 5, Slots: 8}}, false)
	if got := rows[1][slices.Index(rows[0], "LOAD")]; got != "5/8" {
		t.Errorf("for a program the load is %q", got)
	}
}

func TestWorkersAreShownWholeForAProgram(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	b, err := json.Marshal(viewWorker(&fenfa.WorkerInfo{
		ID: "w", State: "active", Prefetch: 3, Weight: 2, EffectiveWeight: 0.5, WeightIsSet: true, Labels: map[string]string{"a": "b"},
		Serving: []fenfa.WorkerQueue{{Queue: "q", InFlight: 2, Latency: 1500 * time.Microsecond, EjectedUntil: at, EjectedFor: "flapping"}, {Queue: "r"}},
	}))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"prefetch":3`, `"effective_weight":0.5`, `"weight_is_set":true`, `"labels":{"a":"b"}`,
		`"serving":[{"queue":"q","in_flight":2,"latency_ms":1.5,"ejected_until":"2023-11-14T22:13:20Z","ejected_for":"flapping"},{"queue":"r","in_flight":0}]`,
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%s is not in %s", want, b)
		}
	}
}

func TestDurationsAreRoughForAPerson(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 7: "7ns", 1234: "1.23µs", 999_999: "1ms", 12_345_678: "12.3ms", 61 * time.Second: "1m1s",
	} {
		if got := rough(d).String(); got != want {
			t.Errorf("%d is %s, want %s", d, got, want)
		}
	}
}

func TestPlacementIsShownInWords(t *testing.T) {
	for want, p := range map[string]fenfa.Placement{
		"-":                        {},
		"require a,b":              {Require: []string{"a", "b"}},
		"prefer c=d":               {Prefer: []string{"c=d"}},
		"require a; prefer c=d,!e": {Require: []string{"a"}, Prefer: []string{"c=d", "!e"}},
	} {
		if got := placementText(p); got != want {
			t.Errorf("%+v is %q, want %q", p, got, want)
		}
	}
}
