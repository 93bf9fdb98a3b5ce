package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/fenfa/fenfa/internal/mariadbserver"
	"github.com/fenfa/fenfa/internal/pull"
	"github.com/fenfa/fenfa/internal/rabbitmqserver"
	"github.com/fenfa/fenfa/internal/task"
)

// Config says what is measured. A zero number means the default of the benchmark.
type Config struct {
	Name        string
	Tasks       int           // submitted in all
	Duration    time.Duration // instead of Tasks: how long tasks are submitted
	Rate        int           // paced: tasks a second; schedule: that come due
	Payload     int           // bytes, at least 16
	Producers   int           // goroutines that submit
	Batch       int           // tasks in one submit call, where a benchmark submits in batches; pull: in one call of a worker, too
	Workers     int           // worker sessions
	Concurrency int           // handlers at a time in each; pull: calls; webhook: requests to each of the URLs, which are as many as workers
	Policy      string        // busy, slow, skew, churn: balancing policy of the queue
	Service     time.Duration // busy, slow, skew, churn: what a handler takes
	Lines       int           // slow: tasks that a worker serves at a time, whatever its slots
	Dir         string        // where the node's data goes; default: a temporary directory
	WithLimit   bool          // drain, hot: measure limit first, on the same disk
	Compare     bool          // backlog: drain a small backlog first

	RabbitMQ  bool   // drain, submit, paced: the node uses RabbitMQ, instead of its embedded broker
	BrokerURL string // address of its servers; empty: a private server is started
	Baseline  string // drain on RabbitMQ, hot on MySQL: also measure this; BaselineRaw, BaselineSQL or nothing

	MySQL     bool     // drain, hot: the node uses databases, instead of its embedded store
	StoreURLs []string // addresses of empty ones, one for each shard; none: a private server is started

	Binary string    // the fenfa binary, started as the node
	Log    io.Writer // what is being done, for a person; nil: nowhere

	place      *rabbitmqserver.Place // nil: the node uses its embedded broker
	storePlace *mariadbserver.Place  // nil: the node uses its embedded store
}

// BaselineRaw is a plain client of the same server: the same tasks as messages, with
// confirms and acks, and nothing else.
const BaselineRaw = "raw"

// BaselineSQL is what the database does by itself on one hot row: 64 clients, each
// with a conditional UPDATE and an INSERT into a log in one transaction.
const BaselineSQL = "sql"

// minPayload holds the moment of the submit.
const minPayload = 16

// ConfigError says which setting of a benchmark is wrong.
type ConfigError struct{ reason string }

// Error names the setting and what it should be.
func (e *ConfigError) Error() string { return e.reason }

func configErrorf(format string, args ...any) error {
	return &ConfigError{fmt.Sprintf(format, args...)}
}

// Names returns the benchmarks there are.
func Names() []string {
	return []string{"limit", "drain", "submit", "paced", "pull", "webhook", "hot", "transfer", "backlog", "schedule", "busy", "slow", "skew", "churn"}
}

// defaults returns the settings of a benchmark that were not given. They suit a
// machine with two cores.
func defaults(name string) Config {
	c := Config{Payload: 256, Producers: 4, Batch: 256, Workers: 2, Concurrency: 4096}
	switch name {
	case "limit":
		c.Tasks = 2_000_000
	case "drain":
		c.Tasks = 1_000_000
	case "pull":
		c.Tasks, c.Concurrency = 300_000, 4
	case "webhook":
		c.Tasks, c.Workers, c.Concurrency = 100_000, 1, 64
	case "submit":
		c.Duration, c.Producers, c.Batch, c.Workers = 10*time.Second, 64, 1, 0
	case "paced":
		c.Duration, c.Rate, c.Batch, c.Concurrency = 20*time.Second, 10_000, 1, 256
	case "hot":
		c.Tasks, c.Payload, c.Producers, c.Batch, c.Concurrency = 500_000, 64, 16, 64, 16
	case "transfer":
		c.Tasks, c.Producers, c.Batch, c.Workers = 20_000, 64, 1, 0
	case "backlog":
		c.Tasks, c.Batch = 1_000_000, 1000
	case "schedule":
		c.Tasks, c.Rate, c.Concurrency = 2_000_000, 5_000, 256
	case "busy":
		c.Duration, c.Workers, c.Concurrency, c.Service, c.Policy = 10*time.Second, 4, 50, time.Millisecond, task.BalanceLeastInflight
	case "slow":
		c.Duration, c.Workers, c.Concurrency, c.Service, c.Policy = 10*time.Second, 4, 256, 20*time.Millisecond, task.BalanceLeastInflight
		c.Lines, c.Batch = 32, 16
	case "skew":
		c.Duration, c.Workers, c.Concurrency, c.Service, c.Policy = 8*time.Second, 4, 50, time.Millisecond, task.BalanceConsistentHash
		c.Rate, c.Batch = 5_000, 1
	case "churn":
		c.Duration, c.Workers, c.Concurrency, c.Service, c.Policy = 30*time.Second, 4, 16, 5*time.Millisecond, task.BalanceLeastInflight
		c.Rate, c.Batch = 3_000, 1
	}
	return c
}

// withDefaults fills in what was not given, and validates.
func (c Config) withDefaults() (Config, error) {
	if !slices.Contains(Names(), c.Name) {
		return c, configErrorf("benchmark %q is not known: want one of %s", c.Name, strings.Join(Names(), ", "))
	}
	d := defaults(c.Name)
	if c.RabbitMQ && d.Tasks > 0 {
		d.Tasks = rabbitTasks
	}
	if c.MySQL && d.Tasks > 0 {
		d.Tasks = min(d.Tasks, mysqlTasks)
	}
	if c.Tasks == 0 && c.Duration == 0 {
		c.Tasks, c.Duration = d.Tasks, d.Duration
	}
	for _, f := range []struct{ field, standard *int }{
		{&c.Rate, &d.Rate},
		{&c.Payload, &d.Payload},
		{&c.Producers, &d.Producers},
		{&c.Batch, &d.Batch},
		{&c.Workers, &d.Workers},
		{&c.Concurrency, &d.Concurrency},
		{&c.Lines, &d.Lines},
	} {
		if *f.field == 0 {
			*f.field = *f.standard
		}
	}
	if c.Policy == "" {
		c.Policy = d.Policy
	}
	if c.Service == 0 {
		c.Service = d.Service
	}
	if c.Log == nil {
		c.Log = io.Discard
	}
	return c, c.validate()
}

// timed reports whether a benchmark can end after a duration; fleets whether its
// workers are processes of their own, whose handlers take time.
func timed(name string) bool { return name == "submit" || name == "paced" || fleets(name) }

func fleets(name string) bool {
	return slices.Contains([]string{"busy", "slow", "skew", "churn"}, name)
}

// overHTTP reports whether the workers of a benchmark are reached by HTTP.
func overHTTP(name string) bool { return name == "pull" || name == "webhook" }

// brokered reports whether a benchmark may run on another broker.
func brokered(name string) bool { return name == "drain" || name == "submit" || name == "paced" }

// rabbitTasks is how many tasks a benchmark on RabbitMQ takes if nobody says so.
const rabbitTasks = 300_000

// mysqlTasks is the same of a benchmark on databases.
const mysqlTasks = 100_000

func (c Config) validate() error {
	for _, v := range []struct {
		name             string
		got, least, most int
	}{
		{"tasks", c.Tasks, 0, 1_000_000_000},
		{"rate", c.Rate, 0, 10_000_000},
		{"payload", c.Payload, minPayload, 1 << 20},
		{"producers", c.Producers, 1, 100_000},
		{"batch", c.Batch, 1, 10_000},
		{"workers", c.Workers, 0, 1000},
		{"concurrency", c.Concurrency, 1, 100_000},
		{"lines", c.Lines, 0, 100_000},
	} {
		if v.got < v.least || v.got > v.most {
			return configErrorf("%s is %d: want %d to %d", v.name, v.got, v.least, v.most)
		}
	}
	switch {
	case c.Duration < 0:
		return configErrorf("duration is %v: want 0 or more", c.Duration)
	case c.Tasks > 0 && c.Duration > 0:
		return configErrorf("tasks and duration do not go together: one of them ends the benchmark")
	case c.Duration > 0 && !timed(c.Name):
		return configErrorf("%s ends after tasks, not after a duration", c.Name)
	case c.Tasks > 0 && fleets(c.Name):
		return configErrorf("%s ends after a duration, not after tasks", c.Name)
	case c.Policy != "" && !fleets(c.Name):
		return configErrorf("%s has no policy: busy, slow, skew and churn have", c.Name)
	case c.Name == "schedule" && c.Workers == 0:
		return configErrorf("schedule needs at least one worker")
	case overHTTP(c.Name) && (c.Workers == 0 || c.Batch > pull.MaxTasks):
		return configErrorf("%s needs at least one worker, and at most %d tasks in a call", c.Name, pull.MaxTasks)
	case c.Name == "slow" && c.Workers < 2:
		return configErrorf("slow needs 2 workers or more: one of them is slow")
	case c.Name == "churn" && c.Workers < leastChurn:
		return configErrorf("churn needs %d workers or more: some of them end", leastChurn)
	case c.Name == "churn" && c.Duration < leastChurnTime:
		return configErrorf("churn needs %v or more: a frozen worker is dead only after 3s", leastChurnTime)
	case c.Lines > 0 && c.Name != "slow":
		return configErrorf("%s has no lines: slow has", c.Name)
	case c.Policy != "" && !slices.Contains(task.BalancePolicies(), c.Policy):
		return configErrorf("policy %q is not known: want one of %s", c.Policy, strings.Join(task.BalancePolicies(), ", "))
	case c.Service < 0 || c.Service > time.Minute:
		return configErrorf("service is %v: want 0 to 1m", c.Service)
	case c.Service > 0 && !fleets(c.Name):
		return configErrorf("the handlers of %s take no time: those of busy, slow, skew and churn do", c.Name)
	case c.RabbitMQ && !brokered(c.Name):
		return configErrorf("%s is not for RabbitMQ: drain, submit and paced are", c.Name)
	case c.BrokerURL != "" && !c.RabbitMQ:
		return configErrorf("an address of a broker is for a benchmark on RabbitMQ")
	case c.MySQL && c.Name != "drain" && c.Name != "hot" && c.Name != "transfer":
		return configErrorf("%s is not for MySQL: drain, hot and transfer are", c.Name)
	case len(c.StoreURLs) > 0 && !c.MySQL:
		return configErrorf("addresses of databases are for a benchmark on MySQL")
	case c.Baseline != "" && c.Baseline != BaselineRaw && c.Baseline != BaselineSQL:
		return configErrorf("baseline %q is not known: want %s or %s", c.Baseline, BaselineRaw, BaselineSQL)
	case c.Baseline == BaselineRaw && (c.Name != "drain" || !c.RabbitMQ):
		return configErrorf("the baseline raw is for drain on RabbitMQ")
	case c.Baseline == BaselineSQL && (c.Name != "hot" || !c.MySQL):
		return configErrorf("the baseline sql is for hot on MySQL")
	case c.Baseline != "" && c.Workers == 0:
		return configErrorf("a baseline needs at least one worker: it consumes as many times")
	case c.Binary == "" && c.Name != "limit":
		return configErrorf("the path of the fenfa binary is not set")
	}
	return nil
}
