package simulate

import (
	"bytes"
	"strings"
	"testing"

	"github.com/fenfa/fenfa/internal/chart"
	"github.com/fenfa/fenfa/internal/task"
)

func drawn(t *testing.T, cfg Config, results ...*Result) string {
	t.Helper()
	var b bytes.Buffer
	if err := chart.WriteSVG(&b, Charts(cfg, results)...); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestOneResultShowsItsWorkers(t *testing.T) {
	cfg := Config{Workers: 3, Tasks: 1000, Lines: 7, Slow: 1, SlowFactor: 10, Zipf: 1.1, Leave: "w2"}
	got := drawn(t, cfg, simulated(t, task.BalanceP2C, cfg))
	for _, text := range []string{">w1<", ">w3<", "under p2c", "one is 10 times slower", "zipf 1.1", "serves 7 at a time", "w2 leaves", "milliseconds"} {
		if !strings.Contains(got, text) {
			t.Errorf("%q is missing", text)
		}
	}
}

func TestKeysThatMovedHaveAPicture(t *testing.T) {
	for _, cfg := range []Config{{Leave: "w2"}, {Join: "late"}, {Workers: 50, Leave: "w1"}} {
		cfg.Tasks, cfg.Slots = 5000, 10
		moved := simulated(t, task.BalanceConsistentHash, cfg)
		for _, results := range [][]*Result{{moved}, {simulated(t, task.BalanceP2C, cfg), moved}} {
			got := drawn(t, cfg, results...)
			for _, text := range []string{"Keys that got another worker", ">moved<", ">least possible on average<"} {
				if strings.Count(got, text) != 1 {
					t.Errorf("%+v: %d of %q", cfg, strings.Count(got, text), text)
				}
			}
		}
	}
	cfg := Config{Tasks: 1000}
	if got := drawn(t, cfg, simulated(t, task.BalanceConsistentHash, cfg)); strings.Contains(got, "another worker") {
		t.Error("nobody came or went, and yet keys moved")
	}
}

func TestSeveralResultsAreCompared(t *testing.T) {
	cfg := Config{Tasks: 1000, Slow: 2, SlowFactor: 3, Join: "late"}
	var results []*Result
	for _, policy := range task.BalancePolicies() {
		results = append(results, simulated(t, policy, cfg))
	}
	got := drawn(t, cfg, results...)
	for _, text := range append(task.BalancePolicies(), "2 are 3 times slower", "late joins", "possible") {
		if !strings.Contains(got, text) {
			t.Errorf("%q is missing", text)
		}
	}
}

func TestManyWorkersAreACurve(t *testing.T) {
	cfg := Config{Workers: 200, Slots: 5, Tasks: 5000}
	got := drawn(t, cfg, simulated(t, task.BalanceRandom, cfg))
	if strings.Contains(got, ">w7<") || !strings.Contains(got, "<path") {
		t.Error("200 workers have bars of their own")
	}
}

func TestNoResultsHaveNoChart(t *testing.T) {
	if got := Charts(Config{}, nil); got != nil {
		t.Errorf("got %v", got)
	}
}
