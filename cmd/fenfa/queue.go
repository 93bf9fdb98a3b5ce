package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
)

func newQueue() *cobra.Command {
	return group("queue", "Look at queues and configure them",
		"A queue is a named stream of tasks with one configuration. Changes take effect at once.",
		newQueueList(), newQueueDescribe(), newQueueSet(), newQueuePause(), newQueueResume(), newQueuePurge())
}

// listQueues is the hint after a queue was not found.
const listQueues = "`fenfa queue list` shows the queues that there are; `fenfa queue set NAME` makes one"

func newQueueList() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List all queues and what is in them", Args: exactly()}
	to, out := targetFlags(cmd), outputFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			queues, err := c.Queues(ctx)
			if err != nil {
				return err
			}
			views := make([]queueView, len(queues))
			rows := [][]string{{"NAME", "ORDER", "BALANCE", "SHARE", "BACKLOG", "SCHEDULED", "RUNNING", "DEAD", "DONE SINCE START", "WORKERS", "PLACEMENT", "PAUSED"}}
			for i := range queues {
				q, s := &queues[i], &queues[i].Stats
				views[i] = viewQueueInfo(q)
				rows = append(rows, []string{
					q.Name, string(q.Order), q.Balance.Policy, fmt.Sprint(q.Share), count(s.BacklogTasks + s.Parked), count(s.Scheduled), count(s.Running),
					count(s.Dead), count(s.DoneTotal), count(s.Workers), placementText(q.Placement), yes(q.Paused),
				})
			}
			return out.write(cmd, map[string][]queueView{"queues": views}, func(w io.Writer) { table(w, rows) })
		})
	}
	return cmd
}

func newQueueDescribe() *cobra.Command {
	cmd := &cobra.Command{Use: "describe NAME", Short: "Show one queue: its settings and what is in it", Args: exactly("NAME")}
	to, out := targetFlags(cmd), outputFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			q, err := c.DescribeQueue(ctx, args[0])
			if err != nil {
				return hinted(err, listQueues, fenfa.CodeNotFound)
			}
			return out.write(cmd, viewQueueInfo(&q), func(w io.Writer) {
				pairs(w, settingRows(&q.Queue))
				fmt.Fprintln(w)
				pairs(w, append(statRows(&q.Stats), waitingRows(q.Stats.Waiting)...))
			})
		})
	}
	return cmd
}

func settingRows(q *fenfa.Queue) [][2]string {
	return [][2]string{
		{"name", q.Name},
		{"order", string(q.Order)},
		{"on_dead", string(q.OnDead)},
		{"balance", balanceText(q.Balance)},
		{"share", fmt.Sprint(q.Share)},
		{"placement", placementText(q.Placement)},
		{"retry", fmt.Sprintf("%d attempts, delays from %s times %v up to %s", q.Retry.MaxAttempts, span(q.Retry.Base), q.Retry.Factor, span(q.Retry.Max))},
		{"timeout", span(q.Timeout)},
		{"batch", fmt.Sprint(q.Batch)},
		{"max_deliveries", fmt.Sprint(q.MaxDeliveries)},
		{"dedupe_window", span(q.DedupeWindow)},
		{"result_ttl", span(q.ResultTTL)},
		{"dead_ttl", ttlText(q.DeadTTL)},
		{"paused", yes(q.Paused)},
		{"priorities", string(q.Priorities)},
		{"concurrency", limitText(q.Concurrency)},
		{"key_concurrency", limitText(q.KeyConcurrency)},
		{"rate", rateText(q.Rate)},
		{"webhook", webhookText(q.Webhook)},
		{"max_backlog", fmt.Sprintf("%d tasks, %d bytes", q.MaxBacklogTasks, q.MaxBacklogBytes)},
	}
}

// yes is a cell that is empty where something is not so.
func yes(is bool) string {
	if is {
		return "yes"
	}
	return ""
}

// balanceText is a policy with the parameters that it has.
func balanceText(b fenfa.Balance) string {
	if b.Policy != fenfa.BalanceConsistentHash {
		return b.Policy
	}
	return fmt.Sprintf("%s (load bound %v, overflow %s)", b.Policy, b.LoadBound, b.Overflow)
}

// placementText is what is asked of workers; - for nothing.
func placementText(p fenfa.Placement) string {
	var texts []string
	if len(p.Require) > 0 {
		texts = append(texts, "require "+strings.Join(p.Require, ","))
	}
	if len(p.Prefer) > 0 {
		texts = append(texts, "prefer "+strings.Join(p.Prefer, ","))
	}
	if len(texts) == 0 {
		return "-"
	}
	return strings.Join(texts, "; ")
}

func statRows(s *fenfa.QueueStats) [][2]string {
	oldest := ""
	if !s.Oldest.IsZero() {
		oldest = fmt.Sprintf("%s (%s ago)", moment(s.Oldest), time.Since(s.Oldest).Round(time.Millisecond))
	}
	return [][2]string{
		{"backlog", fmt.Sprintf("%d tasks, %d bytes", s.BacklogTasks, s.BacklogBytes)},
		{"oldest", oldest},
		{"scheduled", count(s.Scheduled)},
		{"parked", count(s.Parked)},
		{"ready", count(s.Ready)},
		{"running", count(s.Running)},
		{"lanes", fmt.Sprintf("%d wait for a retry, %d for a person", s.BlockedLanes, s.HaltedLanes)},
		{"dead letters", count(s.Dead)},
		{"since start", fmt.Sprintf("%d done, %d attempts failed, %d died, %d cancelled", s.DoneTotal, s.FailedTotal, s.DeadTotal, s.CancelledTotal)},
		{"workers", count(s.Workers)},
		{"start", startText(s)},
		{"limited by", s.LimitedBy},
	}
}

// startText says how long tasks waited for their hand-out lately; empty: there were
// none.
func startText(s *fenfa.QueueStats) string {
	if s.StartP50 == 0 && s.StartP99 == 0 {
		return ""
	}
	return fmt.Sprintf("p50 %v, p99 %v after they could start", rough(s.StartP50), rough(s.StartP99))
}

func newQueueSet() *cobra.Command {
	var q fenfa.Queue
	cmd := &cobra.Command{
		Use: "set NAME", Short: "Create a queue, or change the settings that are given",
		Long: "Create a queue, or change the settings that are given. What is not given stays as it\n" +
			"is, or gets its default when the queue is new.\n\n" +
			"A term on worker labels is name (the worker has that label), !name, name=value or\n" +
			"name!=value; several of them, all of which must be met, are joined by commas.",
		Example: "  fenfa queue set orders --order key --on-dead halt --retry-max-attempts 5\n" +
			"  fenfa queue set render --require gpu --prefer zone=eu-1 --share 2\n" +
			"  fenfa queue set render --require '*'\n" +
			"  fenfa queue set mail --concurrency 20 --rate 300/m --burst 10\n" +
			"  fenfa queue set mail --rate none\n" +
			"  fenfa queue set imports --order none --key-concurrency 2\n" +
			"  fenfa queue set mail --priorities on\n" +
			"  fenfa queue set orders --webhook-url https://shop.example/orders --webhook-secret-file secret", Args: exactly("NAME"),
	}
	to, out := targetFlags(cmd), outputFlags(cmd)
	settingFlags(cmd, &q)
	hook := webhookFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		q.Name = args[0]
		if err := checkSettings(cmd, &q); err != nil {
			return err
		}
		if err := hook.apply(cmd, &q); err != nil {
			return err
		}
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			now, created, err := c.ConfigureQueue(ctx, q)
			if err != nil {
				return err
			}
			view := viewQueue(&now)
			view.Created = &created
			return out.write(cmd, view, func(w io.Writer) {
				fmt.Fprintln(w, map[bool]string{true: "created", false: "changed"}[created])
				pairs(w, settingRows(&now))
			})
		})
	}
	return cmd
}

// settingFlags adds a flag for each setting of a queue.
func settingFlags(cmd *cobra.Command, q *fenfa.Queue) {
	f := cmd.Flags()
	f.StringVar((*string)(&q.Order), "order", "", "key: tasks of a key run one after another; none: no task waits (default of a new queue: key)")
	f.StringVar((*string)(&q.OnDead), "on-dead", "", "what a key does after a dead letter: skip (go on) or halt (default: skip)")
	f.StringVar(&q.Balance.Policy, "balance", "", strings.Join(fenfa.BalancePolicies(), ", ")+" (default: least_inflight)")
	f.Float64Var(&q.Balance.LoadBound, "balance-load-bound", 0, "consistent_hash: most load of one worker over the mean (default: 1.25)")
	f.StringVar(&q.Balance.Overflow, "balance-overflow", "", "consistent_hash: next or wait, when a task's worker is full (default: next)")
	f.Float64Var(&q.Share, "share", 0, "weight against other queues on workers that serve both, 0.001 to 1000 (default: 1)")
	f.StringSliceVar(&q.Placement.Require, "require", nil, "terms on labels that a worker must meet to get the queue's tasks; '*' takes them back")
	f.StringSliceVar(&q.Placement.Prefer, "prefer", nil, "terms on labels of workers that get the queue's tasks first, as long as they have room; '*' takes them back")
	f.DurationVar(&q.Retry.Base, "retry-base", 0, "longest delay after the first failure (default: 1s)")
	f.Float64Var(&q.Retry.Factor, "retry-factor", 0, "growth of the delay with each failure (default: 2)")
	f.DurationVar(&q.Retry.Max, "retry-max", 0, "longest delay (default: 10m)")
	f.IntVar(&q.Retry.MaxAttempts, "retry-max-attempts", 0, "failures until a task is a dead letter (default: 10)")
	f.DurationVar(&q.Timeout, "attempt-timeout", 0, "how long one attempt may take (default: 30s)")
	f.IntVar(&q.Batch, "batch", 0, "most tasks of a key in one lease (default: 256)")
	f.IntVar(&q.MaxDeliveries, "max-deliveries", 0, "hand-outs until a task that kills its workers is a dead letter (default: 20)")
	f.DurationVar(&q.DedupeWindow, "dedupe-window", 0, "how long a repeated submit is recognized (default: 24h)")
	f.DurationVar(&q.ResultTTL, "result-ttl", 0, "how long results are kept at least (default: 24h)")
	f.Var((*ttlFlag)(&q.DeadTTL), "dead-ttl", "how long dead letters are kept, or none: until somebody deletes them (default: none)")
	f.Var((*limitFlag)(&q.Concurrency), "concurrency", "most of its tasks that run at a time; none takes the limit away")
	f.Var((*limitFlag)(&q.KeyConcurrency), "key-concurrency", "with order none: most tasks of one key that run at a time; none takes the limit away")
	f.Var((*rateFlag)(&q.Rate.PerSecond), "rate", "most tasks that start, as 50 or 50/s, 300/m, 1000/h; none takes the limit away")
	f.Var((*limitFlag)(&q.Rate.Burst), "burst", "of the rate: tasks that may start at once after a pause (default, and with none: what the rate allows in 100 ms)")
	f.Var((*switchFlag)(&q.Priorities), "priorities", "on: tasks take weighted turns by their priority, high 6, normal 3, low 1; off: it has no effect (default: off)")
	f.Int64Var(&q.MaxBacklogTasks, "max-backlog-tasks", 0, "tasks from which on submits are refused (default: 100000000)")
	f.Int64Var(&q.MaxBacklogBytes, "max-backlog-bytes", 0, "bytes from which on submits are refused (default: 68719476736)")
}
