package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fenfa/fenfa/internal/balance/simulate"
	"github.com/fenfa/fenfa/internal/chart"
	"github.com/fenfa/fenfa/internal/task"
)

func newBalance() *cobra.Command {
	return group("balance", "Try out how tasks are spread over workers",
		"Try out how tasks are spread over workers. `fenfa queue set NAME --balance POLICY` sets it.",
		newBalanceSimulate())
}

// everyPolicy is the value of --policy that compares them.
const everyPolicy = "all"

// shownWorkers is how many rows a table has at most; JSON has all.
const shownWorkers = 40

// simulation is what the flags say.
type simulation struct {
	cfg                 simulate.Config
	weights, slow, file string
}

const simulateHelp = `Run the balancing policies against simulated workers. The policies are the very ones
that serve; workers, tasks and time are simulated, so no node is needed and the same
flags always give the same result.

A number of tasks is outstanding at any moment, and each one that is done is followed by
another. Tasks wait for nothing but a slot, and run for random times, exponentially
distributed. With --lines N a worker serves only N of them at a time, whatever its slots:
the others wait in their slots, as handlers do that share a CPU or a database, and tasks
pile up at a slow worker under a policy that does not look.

  tasks      how many a worker ran; "expected" is its share by weight
  load       tasks over the expected: 1 is perfect
  busy       how much of its slots' time tasks ran
  wait       from a task's coming to its slot
  time       from a task's coming to its end
  possible   average throughput with all outstanding tasks in the fastest slots or lines
             there are; by chance, and with few --tasks, more than 100% of it may be made
  imbalance  the highest load of a worker
  keys moved how many keys changed their worker; the least possible, on average, is the
             share of those who left or joined

--json writes {"results":[...]}, one for each policy, with policy, seed, tasks, outstanding,
slots, lines, seconds, tasks_per_s, possible_tasks_per_s, ratio, imbalance, wait_p50_ms,
wait_p99_ms, time_p50_ms, time_p99_ms, movement {keys, moved, least}, and workers, each
with id, weight, tasks, share, expected, load, busy, most (slots taken at once) and the
same four times. Shares and ratios are fractions.`

func newBalanceSimulate() *cobra.Command {
	s := &simulation{}
	cmd := &cobra.Command{
		Use: "simulate", Short: "Run the balancing policies against simulated workers", Args: exactly(),
		Long: simulateHelp,
		Example: "  fenfa balance simulate --policy all --slow 1x10 --chart slow.svg\n" +
			"  fenfa balance simulate --policy weighted --workers 3 --weights 5,1,1\n" +
			"  fenfa balance simulate --policy consistent_hash --workers 10 --zipf 1.1 --leave w3",
	}
	out := outputFlags(cmd)
	s.flags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := s.check(cmd); err != nil {
			return err
		}
		results, err := simulateAll(cmd, s.cfg)
		if err != nil {
			return err
		}
		if s.file != "" {
			if err := writeChart(s.file, simulate.Charts(s.cfg, results)); err != nil {
				return err
			}
		}
		return out.write(cmd, map[string][]*simulate.Result{"results": results}, func(w io.Writer) {
			writeSimulation(w, results)
		})
	}
	return cmd
}

func (s *simulation) flags(f *pflag.FlagSet) {
	cfg := &s.cfg
	f.StringVar(&cfg.Balance.Policy, "policy", task.BalanceLeastInflight, strings.Join(task.BalancePolicies(), ", ")+", or all to compare them")
	f.IntVar(&cfg.Workers, "workers", 4, "number of workers, called w1, w2 and so on")
	f.StringVar(&s.weights, "weights", "", "weights of the workers, as `W1,W2`, repeated when there are fewer of them (default: 1)")
	f.IntVar(&cfg.Slots, "slots", 50, "tasks that each worker runs at a time")
	f.IntVar(&cfg.Lines, "lines", 0, "tasks that each worker serves at a time, whatever its slots; 0: all in its slots")
	f.IntVar(&cfg.Outstanding, "outstanding", 0, "tasks that wait or run at any moment, fewer than --tasks (default: half of all slots)")
	f.IntVar(&cfg.Tasks, "tasks", 100_000, "tasks in all, 2 or more")
	f.IntVar(&cfg.Keys, "keys", 100_000, "number of different keys")
	f.Float64Var(&cfg.Zipf, "zipf", 0, "skew of the keys: the k-th is as frequent as 1/k to this power, more than 1 and at most 10 (default: all the same)")
	f.DurationVar(&cfg.Service, "service", time.Millisecond, "how long a task takes on average")
	f.StringVar(&cfg.Leave, "leave", "", "a worker that leaves after half of the tasks")
	f.StringVar(&cfg.Join, "join", "", "a worker that joins after half of the tasks, with weight 1")
	f.Float64Var(&cfg.Balance.LoadBound, "load-bound", 0, "consistent_hash: most load of one worker over the mean (default: 1.25)")
	f.StringVar(&cfg.Balance.Overflow, "overflow", "", "consistent_hash: next or wait, when a task's worker is full (default: next)")
	f.Uint64Var(&cfg.Seed, "seed", 1, "another seed is another run of the same kind")
	f.StringVar(&s.slow, "slow", "", "`NxF`: the last N workers take F times as long")
	f.StringVar(&s.file, "chart", "", "draw the result into this `FILE`, as SVG")
}

// check refuses what the simulation does not see, or would describe in other words
// than those of the flags.
func (s *simulation) check(cmd *cobra.Command) error {
	if err := oneOf("policy", s.cfg.Balance.Policy, append(task.BalancePolicies(), everyPolicy)...); err != nil {
		return err
	}
	if s.cfg.Balance.Overflow != "" {
		if err := oneOf("overflow", s.cfg.Balance.Overflow, "next", "wait"); err != nil {
			return err
		}
	}
	for _, check := range []func() error{
		func() error { return checkZeros(cmd.Flags()) }, s.readWeights, s.readSlow,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return checkChart(s.file)
}

// checkZeros refuses a 0 that somebody gave: to the simulation it means the default.
func checkZeros(flags *pflag.FlagSet) error {
	for _, c := range []struct{ name, want string }{
		{"workers", fmt.Sprintf("1 to %d", simulate.MaxWorkers)},
		{"slots", fmt.Sprintf("1 to %d", simulate.MaxSlots)},
		{"outstanding", "1 or more, fewer than there are tasks"},
		{"tasks", fmt.Sprintf("2 to %d", simulate.MaxTasks)},
		{"keys", fmt.Sprintf("1 to %d", simulate.MaxKeys)},
		{"zipf", "more than 1 and at most 10"},
		{"service", "1us to 1h"},
		{"load-bound", "1.01 to 100"},
		{"seed", "1 or more"},
	} {
		if f := flags.Lookup(c.name); f.Changed && (f.Value.String() == "0" || f.Value.String() == "0s") {
			return usagef("--%s is %s: want %s", c.name, f.Value, c.want)
		}
	}
	return nil
}

// readWeights takes the weights apart; the simulation checks each.
func (s *simulation) readWeights() error {
	if s.weights == "" {
		return nil
	}
	for one := range strings.SplitSeq(s.weights, ",") {
		weight, err := strconv.ParseFloat(strings.TrimSpace(one), 64)
		if err != nil {
			return usagef("--weights is %q: want numbers from 0.000001 to 1000000, as 5,1,1", s.weights)
		}
		s.cfg.Weights = append(s.cfg.Weights, weight)
	}
	return nil
}

// readSlow takes apart how many workers are slow, and how slow.
func (s *simulation) readSlow() error {
	if s.slow == "" {
		return nil
	}
	count, factor, _ := strings.Cut(s.slow, "x")
	n, errCount := strconv.Atoi(count)
	by, errFactor := strconv.ParseFloat(factor, 64)
	switch {
	case errCount != nil || errFactor != nil || n < 1 || by <= 0:
		return usagef("--slow is %q: want how many workers and how much longer they take, as 1x10", s.slow)
	case n > s.cfg.Workers && s.cfg.Workers > 0:
		return usagef("--slow is %q: want 1 to %d workers, all that there are, as 1x%s", s.slow, s.cfg.Workers, factor)
	}
	s.cfg.Slow, s.cfg.SlowFactor = n, by
	return nil
}

// checkChart refuses a file that a chart cannot be written into.
func checkChart(file string) error {
	if kind := filepath.Ext(file); file != "" && !strings.EqualFold(kind, ".svg") {
		return usagef("--chart is %q: charts are SVG, want a file that ends in .svg", file)
	}
	return nil
}

// simulateAll runs one policy, or every one.
func simulateAll(cmd *cobra.Command, cfg simulate.Config) ([]*simulate.Result, error) {
	policies := []string{cfg.Balance.Policy}
	if cfg.Balance.Policy == everyPolicy {
		policies = task.BalancePolicies()
	}
	results := make([]*simulate.Result, 0, len(policies))
	for _, policy := range policies {
		cfg.Balance.Policy = policy
		r, err := simulate.Run(cmd.Context(), cfg)
		if wrong, ok := errors.AsType[*simulate.ConfigError](err); ok {
			return nil, usagef("--%w", wrong)
		}
		if err != nil {
			return nil, fmt.Errorf("simulate %s: %w", policy, err)
		}
		results = append(results, r)
	}
	return results, nil
}

// writeChart replaces the file only when the chart is whole.
func writeChart(file string, charts []chart.Chart) error {
	var b bytes.Buffer
	if err := chart.WriteSVG(&b, charts...); err != nil {
		return err
	}
	if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil { //nolint:gosec // A picture is for everybody.
		return fmt.Errorf("write chart: %w", err)
	}
	return nil
}

func writeSimulation(w io.Writer, results []*simulate.Result) {
	if len(results) > 1 {
		writeComparison(w, results)
		return
	}
	r := results[0]
	rows := [][]string{{"WORKER", "WEIGHT", "TASKS", "SHARE", "EXPECTED", "LOAD", "BUSY", "WAIT P50", "WAIT P99", "TIME P50", "TIME P99"}}
	for i := range r.Workers {
		one := &r.Workers[i]
		if i == shownWorkers {
			break
		}
		rows = append(rows, []string{
			one.ID, fmt.Sprint(one.Weight), strconv.Itoa(one.Tasks), percent(one.Share), percent(one.Expected), fmt.Sprintf("%.2f", one.Load),
			percent(one.Busy), millis(one.WaitP50), millis(one.WaitP99), millis(one.TimeP50), millis(one.TimeP99),
		})
	}
	table(w, rows)
	if more := len(r.Workers) - shownWorkers; more > 0 {
		fmt.Fprintf(w, "and %d more, all with --json\n", more)
	}
	fmt.Fprintln(w)
	pairs(w, [][2]string{
		{"policy", r.Policy},
		{"throughput", fmt.Sprintf("%.0f tasks/s, %s of the possible %.0f", r.PerS, percent(r.Ratio), r.PossiblePerS)},
		{"imbalance", fmt.Sprintf("%.3f", r.Imbalance)},
		{"wait", "p50 " + millis(r.WaitP50) + ", p99 " + millis(r.WaitP99)},
		{"time", "p50 " + millis(r.TimeP50) + ", p99 " + millis(r.TimeP99)},
		{"keys moved", movement(r)},
	})
}

func writeComparison(w io.Writer, results []*simulate.Result) {
	rows := [][]string{{"POLICY", "TASKS/S", "OF POSSIBLE", "IMBALANCE", "WAIT P50", "WAIT P99", "TIME P50", "TIME P99", "KEYS MOVED"}}
	for _, r := range results {
		rows = append(rows, []string{
			r.Policy, fmt.Sprintf("%.0f", r.PerS), percent(r.Ratio), fmt.Sprintf("%.3f", r.Imbalance),
			millis(r.WaitP50), millis(r.WaitP99), millis(r.TimeP50), millis(r.TimeP99), movement(r),
		})
	}
	table(w, rows)
}

// movement is empty where keys have no worker of their own, or none changed.
func movement(r *simulate.Result) string {
	if r.Movement == nil {
		return ""
	}
	return fmt.Sprintf("%d of %d, least possible %d on average", r.Movement.Moved, r.Movement.Keys, r.Movement.Least)
}

func percent(fraction float64) string { return fmt.Sprintf("%.1f%%", 100*fraction) }

func millis(ms float64) string { return fmt.Sprintf("%.2fms", ms) }
