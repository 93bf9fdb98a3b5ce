package main

import (
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fenfa/fenfa/internal/balance/simulate"
	"github.com/fenfa/fenfa/internal/task"
)

func TestBalanceSimulateShowsWorkersAndWhatWasPossible(t *testing.T) {
	code, stdout, stderr := process(t, "", "balance", "simulate", "--policy", "consistent_hash", "--workers", "5", "--tasks", "5000", "--leave", "w3")
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, text := range []string{"WORKER", "w5 ", "of the possible", "imbalance", "keys moved", "of 100000, least possible 20000 on average"} {
		if !strings.Contains(stdout, text) {
			t.Errorf("%q is missing in:\n%s", text, stdout)
		}
	}
}

func TestBalanceSimulateShortensLongTables(t *testing.T) {
	_, stdout, _ := process(t, "", "balance", "simulate", "--workers", "100", "--slots", "5", "--tasks", "5000")
	if !strings.Contains(stdout, "and 60 more") || strings.Contains(stdout, "w41 ") {
		t.Errorf("got:\n%s", stdout)
	}
}

func TestBalanceSimulateComparesAllPolicies(t *testing.T) {
	chart := filepath.Join(t.TempDir(), "all.svg")
	args := []string{"balance", "simulate", "--policy", "all", "--slow", "1x10", "--tasks", "5000", "--weights", "1,2", "--json", "--chart", chart}
	code, stdout, stderr := process(t, "", args...)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	var view struct {
		Results []simulate.Result `json:"results"`
	}
	if err := json.Unmarshal([]byte(stdout), &view); err != nil {
		t.Fatal(err)
	}
	if len(view.Results) != len(task.BalancePolicies()) {
		t.Fatalf("got %d results", len(view.Results))
	}
	for i, policy := range task.BalancePolicies() {
		r := view.Results[i]
		if r.Policy != policy || r.Tasks != 5000 || len(r.Workers) != 4 || r.Workers[1].Weight != 2 {
			t.Errorf("%s: got %+v", policy, r)
		}
	}
	_, again, _ := process(t, "", args...)
	if again != stdout {
		t.Error("the same flags give another result")
	}
	svg, err := os.ReadFile(chart)
	if err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal(svg, new(struct{})); err != nil || !strings.Contains(string(svg), "round_robin") {
		t.Errorf("the chart is not what it should be: %v", err)
	}
}

func TestBalanceSimulateExplainsWrongFlags(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--policy", "p2d"}, "did you mean p2c?"},
		{[]string{"--policy", "least_inflght"}, "did you mean least_inflight?"},
		{[]string{"--overflow", "nxt"}, "did you mean next?"},
		{[]string{"--slow", "10"}, "as 1x10"},
		{[]string{"--slow", "0x10"}, "as 1x10"},
		{[]string{"--slow", "9x10"}, `--slow is "9x10": want 1 to 4 workers, all that there are, as 1x10`},
		{[]string{"--workers", "0"}, "--workers is 0: want 1 to 10000\n"},
		{[]string{"--keys", "0"}, "--keys is 0: want 1 to 10000000\n"},
		{[]string{"--service", "0s"}, "--service is 0s: want 1us to 1h"},
		{[]string{"--zipf", "0"}, "--zipf is 0: want more than 1 and at most 10"},
		{[]string{"--tasks", "-1"}, "--tasks is -1: want 2 to"},
		{[]string{"--lines", "-1"}, "--lines is -1: want 0 to"},
		{[]string{"--outstanding", "100000", "--tasks", "10"}, "--outstanding is 100000: want 1 to 9, fewer than there are tasks"},
		{[]string{"--weights", "1,x"}, `--weights is "1,x": want numbers from 0.000001 to 1000000, as 5,1,1`},
		{[]string{"--weights", "1,0"}, "--weights has 0: want 0.000001 to 1000000"},
		{[]string{"--zipf", "0.5"}, "--zipf is 0.5: want more than 1"},
		{[]string{"--leave", "w9"}, "--leave is \"w9\": workers are called w1 to w4"},
		{[]string{"--load-bound", "0.5"}, "--load-bound is 0.5"},
		{[]string{"--weights", "1,2,3,4,5"}, "--weights has 5 values for 4 workers"},
		{[]string{"--chart", "x.png"}, "want a file that ends in .svg"},
		{[]string{"--worker", "3"}, "did you mean --workers?"},
		{[]string{"extra"}, "does not take"},
	} {
		code, _, stderr := process(t, "", append([]string{"balance", "simulate"}, c.args...)...)
		if code != exitUsage || !strings.Contains(stderr, c.want) {
			t.Errorf("%v: exit code %d, %s, want %q", c.args, code, strings.TrimSpace(stderr), c.want)
		}
	}
}

func TestBalanceSimulateMeasuresAlsoAFewTasks(t *testing.T) {
	code, stdout, stderr := process(t, "", "balance", "simulate", "--tasks", "10")
	if code != exitOK || strings.Contains(stdout, " 0 tasks/s") {
		t.Errorf("exit code %d, %s:\n%s", code, stderr, stdout)
	}
}

func TestBalanceSimulateWithLinesShowsThePileAtTheSlowWorker(t *testing.T) {
	code, stdout, stderr := process(t, "", "balance", "simulate", "--policy", "round_robin", "--slots", "64", "--lines", "8",
		"--outstanding", "64", "--slow", "1x10", "--tasks", "20000", "--json")
	var view struct {
		Results []simulate.Result `json:"results"`
	}
	if err := json.Unmarshal([]byte(stdout), &view); code != exitOK || err != nil {
		t.Fatalf("exit code %d, %v: %s", code, err, stderr)
	}
	if r := view.Results[0]; r.Lines != 8 || r.Ratio > 0.2 || r.Workers[3].Most < 60 {
		t.Errorf("got %+v", r)
	}
}

func TestBalanceSimulateHelpNamesNoEmptyDefault(t *testing.T) {
	_, stdout, _ := process(t, "", "balance", "simulate", "--help")
	if strings.Contains(stdout, "[]") || !strings.Contains(stdout, "--lines") || !strings.Contains(stdout, "(default: 1)") {
		t.Errorf("got:\n%s", stdout)
	}
}

func TestBalanceSimulateSaysWhenTheChartCannotBeWritten(t *testing.T) {
	code, _, stderr := process(t, "", "balance", "simulate", "--tasks", "100", "--chart", filepath.Join(t.TempDir(), "missing", "x.svg"))
	if code == exitOK || !strings.Contains(stderr, "write chart") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}
