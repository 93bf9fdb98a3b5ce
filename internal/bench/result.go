package bench

import (
	"fmt"
	"io"
	"math"
	"runtime"
	"strings"
	"text/tabwriter"
)

// Result is what a benchmark measured. Fields that do not apply are absent.
type Result struct {
	Name     string  `json:"name"`
	Tasks    int     `json:"tasks"`
	Seconds  float64 `json:"seconds"`
	PerS     float64 `json:"tasks_per_s"`
	KeptPace *bool   `json:"kept_pace,omitempty"`

	ConfirmP50  *float64 `json:"confirm_p50_ms,omitempty"`
	ConfirmP99  *float64 `json:"confirm_p99_ms,omitempty"`
	ConfirmP999 *float64 `json:"confirm_p999_ms,omitempty"`
	StartP50    *float64 `json:"start_p50_ms,omitempty"`
	StartP99    *float64 `json:"start_p99_ms,omitempty"`
	StartP999   *float64 `json:"start_p999_ms,omitempty"`

	CPUPer100k float64 `json:"cpu_s_per_100k"`
	PeakRSSMiB float64 `json:"peak_rss_mib"`
	FSync      bool    `json:"fsync"`

	LimitPerS  *float64 `json:"limit_per_s,omitempty"`
	LimitRatio *float64 `json:"limit_ratio,omitempty"`

	Verified *bool `json:"verified,omitempty"` // hot: stock and op log are right

	FillPerS       *float64 `json:"fill_per_s,omitempty"`      // backlog
	FullRSSMiB     *float64 `json:"full_rss_mib,omitempty"`    // backlog: of the node with all tasks waiting
	RestartSeconds *float64 `json:"restart_seconds,omitempty"` // backlog: process start until ready, all tasks waiting
	EmptyPerS      *float64 `json:"empty_per_s,omitempty"`     // backlog: drain of a small backlog
	DrainRatio     *float64 `json:"drain_ratio,omitempty"`     // backlog: tasks_per_s / empty_per_s

	Settings Settings `json:"settings"`
}

// Settings is how a benchmark was run.
type Settings struct {
	Payload     int    `json:"payload"`
	Producers   int    `json:"producers,omitempty"`
	Batch       int    `json:"batch,omitempty"`
	Workers     int    `json:"workers,omitempty"`
	Concurrency int    `json:"concurrency,omitempty"`
	Rate        int    `json:"rate,omitempty"`
	CPUs        int    `json:"cpus"`
	Go          string `json:"go"`
}

// Spread is a distribution of durations, in milliseconds.
type Spread struct{ P50, P99, P999 float64 }

func settingsOf(c Config) Settings {
	return Settings{
		Payload: c.Payload, Producers: c.Producers, Batch: c.Batch, Workers: c.Workers, Concurrency: c.Concurrency, Rate: c.Rate,
		CPUs: runtime.GOMAXPROCS(0), Go: runtime.Version(),
	}
}

// confirm and start fill in distributions.
func (r *Result) confirm(s Spread) {
	r.ConfirmP50, r.ConfirmP99, r.ConfirmP999 = &s.P50, &s.P99, &s.P999
}

func (r *Result) start(s Spread) {
	r.StartP50, r.StartP99, r.StartP999 = &s.P50, &s.P99, &s.P999
}

// round keeps as many digits as are worth reading.
func (r *Result) round() {
	for _, f := range []*float64{
		&r.Seconds, &r.CPUPer100k, r.ConfirmP50, r.ConfirmP99, r.ConfirmP999, r.StartP50, r.StartP99, r.StartP999,
		r.LimitRatio, r.RestartSeconds, r.DrainRatio,
	} {
		if f != nil {
			*f = math.Round(*f*1000) / 1000
		}
	}
	for _, f := range []*float64{&r.PerS, &r.PeakRSSMiB, r.LimitPerS, r.FillPerS, r.FullRSSMiB, r.EmptyPerS} {
		if f != nil {
			*f = math.Round(*f*10) / 10
		}
	}
}

// number is one measured number, with its unit for a person and for benchstat.
type number struct {
	name, unit, benchfmt string
	value                *float64
}

func (r *Result) numbers() []number {
	return []number{
		{"rate", "tasks/s", "tasks/s", &r.PerS},
		{"submit to confirm, p50", "ms", "confirm-p50-ms", r.ConfirmP50},
		{"submit to confirm, p99", "ms", "confirm-p99-ms", r.ConfirmP99},
		{"submit to confirm, p99.9", "ms", "confirm-p999-ms", r.ConfirmP999},
		{"submit to start, p50", "ms", "start-p50-ms", r.StartP50},
		{"submit to start, p99", "ms", "start-p99-ms", r.StartP99},
		{"submit to start, p99.9", "ms", "start-p999-ms", r.StartP999},
		{"CPU", "s per 100,000 tasks", "cpu-s/100k", &r.CPUPer100k},
		{"most memory of the node", "MiB", "peak-MiB", &r.PeakRSSMiB},
		{"limit of the disk", "tasks/s", "limit/s", r.LimitPerS},
		{"rate over limit", "", "limit-ratio", r.LimitRatio},
		{"fill", "tasks/s", "fill/s", r.FillPerS},
		{"memory when full", "MiB", "full-MiB", r.FullRSSMiB},
		{"restart when full", "s", "restart-s", r.RestartSeconds},
		{"drain of a small backlog", "tasks/s", "empty/s", r.EmptyPerS},
		{"rate over that", "", "drain-ratio", r.DrainRatio},
	}
}

// WriteText writes the result for a person. The writer keeps its own errors.
func (r *Result) WriteText(out io.Writer) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d tasks of %d bytes in %.1f s, durable: %t\n", r.Name, r.Tasks, r.Settings.Payload, r.Seconds, r.FSync)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, n := range r.numbers() {
		if n.value != nil {
			fmt.Fprintf(w, "  %s\t%v\t%s\n", n.name, *n.value, n.unit)
		}
	}
	// A strings.Builder takes everything.
	_ = w.Flush()
	if r.KeptPace != nil {
		fmt.Fprintf(&b, "  kept pace: %t\n", *r.KeptPace)
	}
	if r.Verified != nil {
		fmt.Fprintf(&b, "  stock and op log verified: %t\n", *r.Verified)
	}
	fmt.Fprint(out, b.String())
}

// WriteBenchfmt writes the result as a line of the Go benchmark format, which
// benchstat reads.
func (r *Result) WriteBenchfmt(out io.Writer) {
	name := strings.ToUpper(r.Name[:1]) + r.Name[1:]
	fmt.Fprintf(out, "Benchmark%s-%d 1", name, r.Settings.CPUs)
	for _, n := range r.numbers() {
		if n.value != nil {
			fmt.Fprintf(out, " %v %s", *n.value, n.benchfmt)
		}
	}
	fmt.Fprintln(out)
}
