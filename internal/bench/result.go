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

	CPUNode   *float64 `json:"cpu_node_s_per_100k,omitempty"`   // on RabbitMQ: of cpu_s_per_100k, the node's
	CPUClient *float64 `json:"cpu_client_s_per_100k,omitempty"` // on RabbitMQ: of cpu_s_per_100k, that of producers and workers
	CPUBroker *float64 `json:"cpu_broker_s_per_100k,omitempty"` // on a private RabbitMQ: the server's, beside cpu_s_per_100k

	StoreStatements *float64 `json:"store_statements_per_1000,omitempty"` // on MySQL: sent for 1,000 tasks, BEGIN and COMMIT among them
	StoreCommits    *float64 `json:"store_commits_per_1000,omitempty"`    // on MySQL: transactions for 1,000 tasks
	StoreCPU        *float64 `json:"cpu_store_s_per_100k,omitempty"`      // on a private MariaDB: the server's, beside cpu_s_per_100k

	BaselinePerS      *float64 `json:"baseline_per_s,omitempty"`      // a plain client on the same server
	BaselineRatio     *float64 `json:"baseline_ratio,omitempty"`      // tasks_per_s over that
	BaselineCPUClient *float64 `json:"baseline_cpu_client,omitempty"` // s per 100,000 messages
	BaselineCPUBroker *float64 `json:"baseline_cpu_broker,omitempty"` // of a private server

	Verified  *bool    `json:"verified,omitempty"`  // hot: stock and op log are right; transfer: the sum of the accounts is
	Conflicts *float64 `json:"conflicts,omitempty"` // transfer: commits that met another one and were tried again

	FinishP50  *float64 `json:"finish_p50_ms,omitempty"` // slow
	FinishP99  *float64 `json:"finish_p99_ms,omitempty"`
	FinishP999 *float64 `json:"finish_p999_ms,omitempty"`

	BusyShare *float64 `json:"busy_share,omitempty"`       // busy: of all slots' time that was spent in handlers
	Nominal   *float64 `json:"nominal_share,omitempty"`    // busy: what busy_share would be if handlers took no longer than they wait
	LeastBusy *float64 `json:"least_busy_share,omitempty"` // busy: of the worker where it was least
	HandlerMs *float64 `json:"handler_ms,omitempty"`       // busy: what a handler took, on average

	ClosedPerS *float64 `json:"closed_per_s,omitempty"` // slow: with as many tasks outstanding as one worker has slots
	FastRatio  *float64 `json:"fast_ratio,omitempty"`   // slow: closed_per_s over what the fast workers alone can do
	SlowShare  *float64 `json:"slow_share,omitempty"`   // slow: of the paced tasks that the slow worker got

	PeakLoad       *float64 `json:"peak_load,omitempty"`           // skew: Zipf keys: most in flight at one worker over the mean, averaged over the run
	BoundP99       *float64 `json:"bound_p99,omitempty"`           // skew: Zipf keys: most in flight at one worker over what the load bound allows, p99 of the looks
	ZipfStartP99   *float64 `json:"zipf_start_p99_ms,omitempty"`   // skew: Zipf keys
	OthersStartP99 *float64 `json:"others_start_p99_ms,omitempty"` // skew: of the other keys, while one has nearly all of the load
	OthersRatio    *float64 `json:"others_ratio,omitempty"`        // skew: that over start_p99_ms

	FillPerS       *float64 `json:"fill_per_s,omitempty"`      // backlog
	FullRSSMiB     *float64 `json:"full_rss_mib,omitempty"`    // backlog, schedule: of the node with all tasks waiting
	RestartSeconds *float64 `json:"restart_seconds,omitempty"` // backlog, schedule: process start until ready, all tasks waiting
	EmptyPerS      *float64 `json:"empty_per_s,omitempty"`     // backlog: drain of a small backlog
	DrainRatio     *float64 `json:"drain_ratio,omitempty"`     // backlog: tasks_per_s / empty_per_s

	PlainPerS   *float64 `json:"plain_per_s,omitempty"`          // schedule: submit of tasks that may run at once
	PlainCPU    *float64 `json:"plain_cpu_s_per_100k,omitempty"` // schedule: of that
	SubmitRatio *float64 `json:"submit_ratio,omitempty"`         // schedule: tasks_per_s over that
	StoredPerS  *float64 `json:"stored_per_s,omitempty"`         // schedule: from the first submit until all are on the schedule
	LateP50     *float64 `json:"late_p50_ms,omitempty"`          // schedule: from when a task is due to its start
	LateP99     *float64 `json:"late_p99_ms,omitempty"`
	LateMax     *float64 `json:"late_max_ms,omitempty"`

	Curves []Curve `json:"curves,omitempty"` // churn: one for each worker

	Settings Settings `json:"settings"`
}

// Curve is what one worker did over time.
type Curve struct {
	Worker string  `json:"worker"`
	Points []Point `json:"points"`
}

// Point is the rate of a worker at a moment since the load began.
type Point struct {
	Seconds float64 `json:"s"`
	PerS    float64 `json:"tasks_per_s"`
}

// Settings is how a benchmark was run.
type Settings struct {
	Payload     int    `json:"payload"`
	Policy      string `json:"policy,omitempty"`
	Service     string `json:"service,omitempty"`
	Lines       int    `json:"lines,omitempty"`
	Producers   int    `json:"producers,omitempty"`
	Batch       int    `json:"batch,omitempty"`
	Workers     int    `json:"workers,omitempty"`
	Concurrency int    `json:"concurrency,omitempty"`
	Rate        int    `json:"rate,omitempty"`
	Broker      string `json:"broker,omitempty"`
	Store       string `json:"store,omitempty"`

	Seconds float64 `json:"duration_s,omitempty"`

	CPUs int    `json:"cpus"`
	Go   string `json:"go"`
}

// Spread is a distribution of durations, in milliseconds.
type Spread struct{ P50, P99, P999 float64 }

func settingsOf(c Config) Settings {
	service := ""
	if c.Service > 0 {
		service = c.Service.String()
	}
	broker := ""
	if c.RabbitMQ {
		broker = "rabbitmq"
	}
	store := ""
	if c.MySQL {
		store = "mysql"
	}
	return Settings{
		Broker: broker, Store: store, Policy: c.Policy, Service: service, Lines: c.Lines, Seconds: c.Duration.Seconds(),
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

func (r *Result) finish(s Spread) {
	r.FinishP50, r.FinishP99, r.FinishP999 = &s.P50, &s.P99, &s.P999
}

// round keeps as many digits as are worth reading.
func (r *Result) round() {
	for _, f := range []*float64{
		&r.Seconds, &r.CPUPer100k, r.ConfirmP50, r.ConfirmP99, r.ConfirmP999, r.StartP50, r.StartP99, r.StartP999,
		r.LimitRatio, r.RestartSeconds, r.DrainRatio, r.FinishP50, r.FinishP99, r.FinishP999, r.BusyShare, r.Nominal, r.LeastBusy, r.HandlerMs,
		r.FastRatio, r.SlowShare, r.PeakLoad, r.BoundP99, r.ZipfStartP99, r.OthersStartP99, r.OthersRatio,
		r.CPUNode, r.CPUClient, r.CPUBroker, r.BaselineRatio, r.BaselineCPUClient, r.BaselineCPUBroker,
		r.StoreStatements, r.StoreCommits, r.StoreCPU, r.PlainCPU, r.SubmitRatio, r.LateP50, r.LateP99, r.LateMax,
	} {
		if f != nil {
			*f = math.Round(*f*1000) / 1000
		}
	}
	for _, f := range []*float64{&r.PerS, &r.PeakRSSMiB, r.LimitPerS, r.FillPerS, r.FullRSSMiB, r.EmptyPerS, r.ClosedPerS, r.BaselinePerS, r.PlainPerS, r.StoredPerS} {
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
		{"submit to end, p50", "ms", "finish-p50-ms", r.FinishP50},
		{"submit to end, p99", "ms", "finish-p99-ms", r.FinishP99},
		{"submit to end, p99.9", "ms", "finish-p999-ms", r.FinishP999},
		{"slots busy", "of their time", "busy", r.BusyShare},
		{"slots busy, by nominal times", "of their time", "nominal", r.Nominal},
		{"least busy worker", "of its slots' time", "least-busy", r.LeastBusy},
		{"mean handler", "ms", "handler-ms", r.HandlerMs},
		{"rate of the closed loop", "tasks/s", "closed/s", r.ClosedPerS},
		{"that over what the fast workers can do", "", "fast-ratio", r.FastRatio},
		{"share of the slow worker", "", "slow-share", r.SlowShare},
		{"Zipf keys: most in flight over the mean", "", "peak-load", r.PeakLoad},
		{"Zipf keys: most in flight over the load bound, p99", "", "bound-p99", r.BoundP99},
		{"Zipf keys: submit to start, p99", "ms", "zipf-start-p99-ms", r.ZipfStartP99},
		{"beside a hot key: submit to start, p99", "ms", "others-start-p99-ms", r.OthersStartP99},
		{"that over even keys", "", "others-ratio", r.OthersRatio},
		{"CPU", "s per 100,000 tasks", "cpu-s/100k", &r.CPUPer100k},
		{"of that, the node", "s per 100,000 tasks", "cpu-node-s/100k", r.CPUNode},
		{"of that, producers and workers", "s per 100,000 tasks", "cpu-client-s/100k", r.CPUClient},
		{"CPU of the broker", "s per 100,000 tasks", "cpu-broker-s/100k", r.CPUBroker},
		{"statements to the databases", "per 1,000 tasks", "statements/1000", r.StoreStatements},
		{"commits in the databases", "per 1,000 tasks", "commits/1000", r.StoreCommits},
		{"CPU of the databases", "s per 100,000 tasks", "cpu-store-s/100k", r.StoreCPU},
		{"plain client on the same server", "a second", "baseline/s", r.BaselinePerS},
		{"rate over that", "", "baseline-ratio", r.BaselineRatio},
		{"CPU of the plain client", "s per 100,000 messages", "baseline-cpu-client-s/100k", r.BaselineCPUClient},
		{"CPU of the broker with it", "s per 100,000 messages", "baseline-cpu-broker-s/100k", r.BaselineCPUBroker},
		{"most memory of the node", "MiB", "peak-MiB", &r.PeakRSSMiB},
		{"limit of the disk", "tasks/s", "limit/s", r.LimitPerS},
		{"rate over limit", "", "limit-ratio", r.LimitRatio},
		{"fill", "tasks/s", "fill/s", r.FillPerS},
		{"memory when full", "MiB", "full-MiB", r.FullRSSMiB},
		{"submit of plain tasks", "tasks/s", "plain/s", r.PlainPerS},
		{"CPU of that", "s per 100,000 tasks", "plain-cpu-s/100k", r.PlainCPU},
		{"rate over plain", "", "submit-ratio", r.SubmitRatio},
		{"until all are on the schedule", "tasks/s", "stored/s", r.StoredPerS},
		{"due to start, p50", "ms", "late-p50-ms", r.LateP50},
		{"due to start, p99", "ms", "late-p99-ms", r.LateP99},
		{"due to start, most", "ms", "late-max-ms", r.LateMax},
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
		fmt.Fprintf(&b, "  state verified: %t\n", *r.Verified)
	}
	if r.Conflicts != nil {
		fmt.Fprintf(&b, "  conflicts: %.0f\n", *r.Conflicts)
	}
	fmt.Fprint(out, b.String())
}

// WriteBenchfmt writes the result as a line of the Go benchmark format, which
// benchstat reads.
func (r *Result) WriteBenchfmt(out io.Writer) {
	name := strings.ToUpper(r.Name[:1]) + r.Name[1:]
	if r.Settings.Broker != "" {
		name += "/broker=" + r.Settings.Broker
	}
	if r.Settings.Store != "" {
		name += "/store=" + r.Settings.Store
	}
	if r.Settings.Policy != "" {
		name += "/policy=" + r.Settings.Policy
	}
	fmt.Fprintf(out, "Benchmark%s-%d 1", name, r.Settings.CPUs)
	for _, n := range r.numbers() {
		if n.value != nil {
			fmt.Fprintf(out, " %v %s", *n.value, n.benchfmt)
		}
	}
	fmt.Fprintln(out)
}
