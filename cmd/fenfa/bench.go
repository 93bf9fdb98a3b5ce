package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa/internal/bench"
	"github.com/fenfa/fenfa/internal/spell"
	"github.com/fenfa/fenfa/internal/task"
)

func newBench() *cobra.Command {
	var cfg bench.Config
	var runs int
	var benchfmt bool
	var file string
	cmd := &cobra.Command{
		Use: "bench NAME", Short: "Measure a node on this machine",
		Long: `Measure a node on this machine: it runs in a process of its own, durable as always, with
the client and the workers in this process, over loopback. In busy, slow, skew and churn
the workers are processes of their own, and their handlers wait for a fixed time.

  limit    what the storage engine does at most on this disk, without fenfa
  drain    producers and workers at once: tasks a second, the whole way
  pull     drain, by workers that pull with calls over HTTP
  webhook  drain, by a webhook that pushes to this process
  submit   64 producers that each wait for every single confirm
  paced    latencies at a given rate (--rate), as an open loop
  hot      one SKU: every order deducts from one record, with version and op log
  transfer transactions: one unit between two random of 10,000 accounts of different partitions
  backlog  very many tasks waiting: memory, restart, drain
  schedule very many tasks for later: submit, memory, restart, how late they start
  busy     the share of their time that slots are busy while there is always work
  slow     what one worker that is ten times slower costs under a --policy
  skew     what skewed keys cost: the balance of workers, the latency of other keys
  churn    what each worker does while workers come, die and freeze

docs/benchmarks.md says what each number means.`,
		Example: "  fenfa bench drain --with-limit\n  fenfa bench paced --rate 20000 --json\n  fenfa bench submit --runs 10 --benchfmt >old.txt",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("`fenfa bench` needs a NAME").withHint("one of: %s", strings.Join(bench.Names(), ", "))
			}
			return exactly("NAME")(cmd, args)
		},
	}
	out := outputFlags(cmd)
	benchFlags(cmd, &cfg)
	benchServers(cmd, &cfg)
	f := cmd.Flags()
	f.StringVar(&file, "chart", "", "slow, churn: draw the results into this file, as SVG")
	f.IntVar(&runs, "runs", 1, "how often to run it")
	f.BoolVar(&benchfmt, "benchfmt", false, "write the Go benchmark format, for benchstat")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg.Name = args[0]
		if benchfmt && out.json {
			return usagef("--benchfmt and --json do not go together")
		}
		if runs < 1 || runs > 1000 {
			return usagef("--runs is %d: want 1 to 1000", runs)
		}
		if err := checkBenchChart(file, cfg.Name); err != nil {
			return err
		}
		var err error
		if cfg.Binary, err = os.Executable(); err != nil {
			return fmt.Errorf("find own binary: %w", err)
		}
		cfg.Log = cmd.ErrOrStderr()
		if out.json {
			cfg.Log = io.Discard
		}
		policies := []string{cfg.Policy}
		if cfg.Policy == everyPolicy {
			policies = task.BalancePolicies()
		}
		var results []*bench.Result
		for _, cfg.Policy = range policies {
			for range runs {
				result, err := runBench(cmd, cfg, out, benchfmt)
				if err != nil {
					return err
				}
				results = append(results, result)
			}
		}
		if file == "" {
			return nil
		}
		return writeChart(file, bench.Charts(results))
	}
	return cmd
}

// checkBenchChart refuses to draw what is not SVG, or has nothing to draw.
func checkBenchChart(file, name string) error {
	if file != "" && !bench.Drawable(name) {
		return usagef("--chart is for slow and churn: %s has nothing to draw", name)
	}
	return checkChart(file)
}

// benchServers adds the flags of broker and store, which are looked at before the command
// runs.
func benchServers(cmd *cobra.Command, cfg *bench.Config) {
	broker, store := &brokerFlag{}, &storeFlag{}
	f := cmd.Flags()
	f.Var(broker, "broker", "drain, submit, paced: where the node's queues are: embedded, rabbitmq (FENFA_BROKER_URL, or a private server), or rabbitmq=ADDRESS")
	f.StringVar(&cfg.Baseline, "baseline", "", "measure a plain client of the same server too: raw (drain on rabbitmq: confirms and acks) or sql (hot on mysql: UPDATE and INSERT by 64 clients)")
	f.Var(store, "store", "drain, hot, transfer: where the node's state is: embedded, mysql (FENFA_STORE_URL, or a private server), or mysql=ADDRESS,...; each task of drain then writes a record")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		cfg.RabbitMQ, cfg.BrokerURL = broker.rabbitmq, broker.address(os.Getenv)
		cfg.MySQL, cfg.StoreURLs = store.mysql, store.addresses(os.Getenv)
		return errors.Join(broker.check(), store.check())
	}
}

// benchFlags adds a flag for each setting of a benchmark.
func benchFlags(cmd *cobra.Command, cfg *bench.Config) {
	f := cmd.Flags()
	f.IntVar(&cfg.Tasks, "tasks", 0, "tasks in all (default: by benchmark)")
	f.DurationVar(&cfg.Duration, "duration", 0, "submit, paced, busy, slow, skew, churn: how long to submit, instead of --tasks")
	f.IntVar(&cfg.Rate, "rate", 0, "paced: tasks a second (default: 10000); schedule: that come due (default: 5000)")
	f.IntVar(&cfg.Payload, "payload", 0, "bytes of each task's payload (default: 256)")
	f.IntVar(&cfg.Producers, "producers", 0, "goroutines that submit (default: by benchmark)")
	f.IntVar(&cfg.Batch, "batch", 0, "tasks in one submit call; pull: in one call of a worker, too (default: by benchmark)")
	f.IntVar(&cfg.Workers, "workers", 0, "worker sessions; webhook: URLs (default: by benchmark)")
	f.IntVar(&cfg.Concurrency, "concurrency", 0, "handlers at a time in each; pull: calls; webhook: requests (default: by benchmark)")
	f.StringVar(&cfg.Policy, "policy", "", "busy, slow, skew, churn: balancing policy, or all, one after another (default: least_inflight; skew: consistent_hash)")
	f.DurationVar(&cfg.Service, "service", 0, "busy, slow, skew, churn: how long a handler takes (default: by benchmark)")
	f.IntVar(&cfg.Lines, "lines", 0, "slow: tasks that a worker serves at a time; the others wait in their handlers (default: 32)")
	f.StringVar(&cfg.Dir, "data", "", "keep the data in this directory (default: a temporary one, removed afterwards)")
	f.BoolVar(&cfg.WithLimit, "with-limit", false, "drain, hot: measure limit too, on the same disk, and give the ratio")
	f.BoolVar(&cfg.Compare, "compare", false, "backlog: drain a small backlog first, and give the ratio")
}

func runBench(cmd *cobra.Command, cfg bench.Config, out *output, benchfmt bool) (*bench.Result, error) {
	result, err := bench.Run(cmd.Context(), cfg)
	if wrong, ok := errors.AsType[*bench.ConfigError](err); ok {
		fault := usagef("%w", wrong)
		if near, ok := spell.Nearest(cfg.Name, bench.Names()); ok && near != cfg.Name {
			return nil, fault.withHint("did you mean `fenfa bench %s`?", near)
		}
		return nil, fault
	}
	if wrong, ok := errors.AsType[*bench.VerifyError](err); ok {
		return nil, failuref(exitCheck, "%w", wrong)
	}
	if err != nil {
		return nil, err
	}
	return result, out.write(cmd, result, func(w io.Writer) {
		if benchfmt {
			result.WriteBenchfmt(w)
			return
		}
		result.WriteText(w)
	})
}

// newBenchWorker is what benchmarks start as their worker processes.
func newBenchWorker() *cobra.Command {
	var cfg bench.WorkerConfig
	cmd := &cobra.Command{Use: bench.WorkerCommand, Short: "Be a worker of a benchmark", Hidden: true, Args: exactly()}
	f := cmd.Flags()
	f.StringVar(&cfg.Addr, "addr", defaultAddr, "address of the node")
	f.StringVar(&cfg.ID, "id", "", "name of the worker")
	f.IntVar(&cfg.Concurrency, "concurrency", 16, "handlers at a time")
	f.DurationVar(&cfg.Service, "service", 0, "how long a handler takes")
	f.IntVar(&cfg.Lines, "lines", 0, "tasks that are served at a time (0: all)")
	f.Int64Var(&cfg.Epoch, "epoch", 0, "moment from which submits are stamped, in Unix nanoseconds")
	f.StringVar(&cfg.Report, "report", "", "file for what the worker saw")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return bench.RunWorker(cmd.Context(), cfg) }
	return cmd
}
