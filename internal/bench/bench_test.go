package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEveryBenchmarkHasDefaultsThatAreValid(t *testing.T) {
	for _, name := range Names() {
		c, err := Config{Name: name, Binary: "fenfa"}.withDefaults()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if c.Tasks == 0 && c.Duration == 0 {
			t.Errorf("%s never ends", name)
		}
	}
}

func TestSettingsThatAreGivenWin(t *testing.T) {
	c, err := Config{Name: "submit", Binary: "fenfa", Tasks: 7, Producers: 3, Payload: 100}.withDefaults()
	if err != nil || c.Tasks != 7 || c.Duration != 0 || c.Producers != 3 || c.Payload != 100 || c.Batch != 1 {
		t.Errorf("got %+v, %v", c, err)
	}
	c, err = Config{Name: "submit", Binary: "fenfa", Duration: time.Second}.withDefaults()
	if err != nil || c.Tasks != 0 || c.Duration != time.Second || c.Producers != 64 {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestWrongSettingsAreRefused(t *testing.T) {
	for name, c := range map[string]Config{
		"name":       {Name: "drian", Binary: "fenfa"},
		"binary":     {Name: "drain"},
		"payload":    {Name: "drain", Binary: "fenfa", Payload: 15},
		"batch":      {Name: "drain", Binary: "fenfa", Batch: 10_001},
		"producers":  {Name: "drain", Binary: "fenfa", Producers: -1},
		"both":       {Name: "submit", Binary: "fenfa", Tasks: 1, Duration: time.Second},
		"duration":   {Name: "drain", Binary: "fenfa", Duration: time.Second},
		"tasks":      {Name: "busy", Binary: "fenfa", Tasks: 1},
		"policy":     {Name: "slow", Binary: "fenfa", Policy: "fastest"},
		"no policy":  {Name: "drain", Binary: "fenfa", Policy: "p2c"},
		"service":    {Name: "busy", Binary: "fenfa", Service: time.Hour},
		"no service": {Name: "drain", Binary: "fenfa", Service: time.Second},
		"lines":      {Name: "slow", Binary: "fenfa", Lines: -1},
		"broker":     {Name: "hot", Binary: "fenfa", RabbitMQ: true},
		"address":    {Name: "drain", Binary: "fenfa", BrokerURL: "amqp://h"},
		"baseline":   {Name: "drain", Binary: "fenfa", RabbitMQ: true, Baseline: "cooked"},
		"no server":  {Name: "drain", Binary: "fenfa", Baseline: BaselineRaw},
		"negative":   {Name: "submit", Binary: "fenfa", Duration: -time.Second},
	} {
		wrong := (*ConfigError)(nil)
		if _, err := Run(t.Context(), c); !errors.As(err, &wrong) {
			t.Errorf("%s: got %v, want a ConfigError", name, err)
		}
	}
}

func TestStampTravelsInThePayload(t *testing.T) {
	payload := stamp(256, 3*time.Second, 77)
	if len(payload) != 256 {
		t.Errorf("payload has %d bytes", len(payload))
	}
	if at, n := stamped(payload); at != 3*time.Second || n != 77 {
		t.Errorf("got %v and %d", at, n)
	}
	if at, n := stamped([]byte("short")); at != 0 || n != 0 {
		t.Errorf("a short payload gives %v and %d", at, n)
	}
	if bytes.Equal(payload[minPayload:], stamp(256, 3*time.Second, 78)[minPayload:]) {
		t.Error("payloads of two tasks are equal: they would compress too well")
	}
}

func TestLatenciesMergeStripes(t *testing.T) {
	l := newLatencies()
	for n := range uint64(1000) {
		l.record(n, time.Duration(n+1)*time.Millisecond, 1)
	}
	got := l.spread()
	for _, c := range []struct{ got, want float64 }{{got.P50, 500}, {got.P99, 990}, {got.P999, 999}} {
		if c.got < c.want*0.998 || c.got > c.want*1.002 {
			t.Errorf("spread is %+v", got)
		}
	}
	l.record(1, time.Hour, 1_000_000)
	if got := l.spread().P50; got < 599_000 || got > 601_000 {
		t.Errorf("an hour counts as %v ms, want the most that is kept, 10 minutes", got)
	}
}

func TestLimitRuns(t *testing.T) {
	dir := t.TempDir()
	result, err := Run(t.Context(), Config{Name: "limit", Tasks: 5000, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if result.Tasks != 5000 || result.PerS <= 0 || !result.FSync || result.Settings.Batch != 1000 {
		t.Errorf("result is %+v", result)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("%d files are left, %v", len(left), err)
	}
}

func TestResultHasTheFieldsThatApply(t *testing.T) {
	r := &Result{Name: "drain", Tasks: 10, Seconds: 1.23456, PerS: 8.1234, Settings: Settings{CPUs: 2}}
	r.confirm(Spread{P50: 1.00049, P99: 2, P999: 3})
	r.round()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"name", "tasks", "seconds", "tasks_per_s", "confirm_p50_ms", "confirm_p99_ms", "cpu_s_per_100k", "peak_rss_mib", "fsync", "settings"} {
		if _, ok := got[field]; !ok {
			t.Errorf("there is no field %q", field)
		}
	}
	for _, field := range []string{"start_p50_ms", "kept_pace", "limit_ratio", "verified", "restart_seconds"} {
		if _, ok := got[field]; ok {
			t.Errorf("there is a field %q that does not apply", field)
		}
	}
	if got["seconds"] != 1.235 || got["confirm_p50_ms"] != 1.0 || got["tasks_per_s"] != 8.1 {
		t.Errorf("numbers are not rounded: %s", b)
	}
	var text, line bytes.Buffer
	r.WriteText(&text)
	r.WriteBenchfmt(&line)
	if !strings.HasPrefix(text.String(), "drain: 10 tasks of 0 bytes in 1.2 s") || !strings.Contains(text.String(), "  submit to confirm, p99    2    ms\n") {
		t.Errorf("text is %q", text.String())
	}
	want := "BenchmarkDrain-2 1 8.1 tasks/s 1 confirm-p50-ms 2 confirm-p99-ms 3 confirm-p999-ms 0 cpu-s/100k 0 peak-MiB\n"
	if line.String() != want {
		t.Errorf("line is %q, want %q", line.String(), want)
	}
}
