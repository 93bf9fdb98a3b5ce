package bench

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestANodeIsToldItsStore(t *testing.T) {
	c := Config{Name: "hot"}
	if got := c.storeEnv(); !slices.Equal(got, []string{"FENFA_STORE_URL="}) {
		t.Errorf("without databases: %v", got)
	}
	if used, err := c.storeCPU(); used != 0 || err != nil {
		t.Errorf("no server used %v, %v", used, err)
	}
}

func TestBenchmarksOnDatabasesAreChecked(t *testing.T) {
	for name, wrong := range map[string]Config{
		"submit":                {Name: "submit", MySQL: true},
		"addresses of nothing":  {Name: "hot", StoreURLs: []string{"mysql://h/d"}},
		"sql without databases": {Name: "hot", Baseline: BaselineSQL},
		"sql of drain":          {Name: "drain", MySQL: true, Baseline: BaselineSQL},
		"raw without RabbitMQ":  {Name: "drain", MySQL: true, Baseline: BaselineRaw},
		"a baseline of its own": {Name: "hot", MySQL: true, Baseline: "nosql"},
	} {
		wrong.Binary = "fenfa"
		if _, err := wrong.withDefaults(); !errors.As(err, new(*ConfigError)) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	c, err := Config{Name: "hot", Binary: "fenfa", MySQL: true, Baseline: BaselineSQL}.withDefaults()
	if err != nil || c.Tasks != mysqlTasks {
		t.Errorf("%d tasks, %v", c.Tasks, err)
	}
	c, err = Config{Name: "transfer", Binary: "fenfa", MySQL: true}.withDefaults()
	if want := defaults("transfer").Tasks; err != nil || c.Tasks != want {
		t.Errorf("%d transfers, want %d as elsewhere, %v", c.Tasks, want, err)
	}
}

func TestTasksAreDealtOutToEntities(t *testing.T) {
	p := producing{keys: 3}
	if a, b, c := p.keyOf(1), p.keyOf(4), p.keyOf(2); a != b || a == c {
		t.Errorf("keys %s, %s, %s", a, b, c)
	}
	if got := (&producing{key: "one"}).keyOf(7); got != "one" {
		t.Errorf("got %s", got)
	}
}

func TestResultsOnDatabasesHaveANameOfTheirOwn(t *testing.T) {
	commits := 1.5
	r := Result{Name: "hot", StoreCommits: &commits, Settings: settingsOf(Config{MySQL: true})}
	var out strings.Builder
	r.WriteBenchfmt(&out)
	if !strings.HasPrefix(out.String(), "BenchmarkHot/store=mysql-") || !strings.Contains(out.String(), " 1.5 commits/1000") {
		t.Errorf("got %s", out.String())
	}
}
