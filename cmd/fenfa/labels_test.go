package main

import (
	"maps"
	"slices"
	"testing"

	"github.com/fenfa/fenfa"
)

func TestALabelMayBeANameAlone(t *testing.T) {
	for text, want := range map[string]map[string]string{
		"gpu":            {"gpu": ""},
		"gpu=":           {"gpu": ""},
		"gpu=a100":       {"gpu": "a100"},
		"gpu, zone=eu=1": {"gpu": "", "zone": "eu=1"},
	} {
		labels := labelFlag{}
		if err := labels.Set(text); err != nil || !maps.Equal(labels, want) {
			t.Errorf("%q is %v, %v; want %v", text, labels, err, want)
		}
	}
	labels := labelFlag{"zone": "eu", "gpu": ""}
	if got := labels.String(); got != "gpu=,zone=eu" {
		t.Errorf("they are shown as %q", got)
	}
	for _, text := range []string{"", "=x", "gpu,", " =x"} {
		if err := labels.Set(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func TestAWorkerWithANameAloneGetsTasksThatRequireIt(t *testing.T) {
	n := serveNode(t, t.TempDir())
	n.ok(t, &queueView{}, "queue", "set", "render", "--require", "gpu")
	startWorker(t, n, "--queue", "render", "--exec", "true", "--label", "gpu", "--label", "zone=eu")
	var submitted struct{ Tasks []submittedView }
	n.ok(t, &submitted, "submit", "--queue", "render", "a")
	if got := awaitTask(t, n, submitted.Tasks[0].ID, "done"); got.WaitsFor != "" {
		t.Errorf("it is done and waits for %q", got.WaitsFor)
	}
	var workers struct{ Workers []workerView }
	n.ok(t, &workers, "cluster", "workers")
	if want := map[string]string{"gpu": "", "zone": "eu"}; len(workers.Workers) != 1 || !maps.Equal(workers.Workers[0].Labels, want) {
		t.Errorf("workers are %+v, want labels %v", workers.Workers, want)
	}
}

func TestAPolicyIsShownWithTheParametersThatItHas(t *testing.T) {
	for _, policy := range fenfa.BalancePolicies() {
		want := policy
		if policy == fenfa.BalanceConsistentHash {
			want += " (load bound 1.25, overflow wait)"
		}
		rows := settingRows(&fenfa.Queue{Balance: fenfa.Balance{Policy: policy, LoadBound: 1.25, Overflow: fenfa.OverflowWait}})
		if !slices.Contains(rows, [2]string{"balance", want}) {
			t.Errorf("%s: rows are %v", policy, rows)
		}
	}
}
