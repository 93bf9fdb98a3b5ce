package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/top"
)

func newTop() *cobra.Command {
	cmd := &cobra.Command{
		Use: "top", Short: "Watch queues and workers, and steer workers", Args: exactly(),
		Long: "Watch a node: rates, backlogs and start latencies of its queues, and state, load, rate\n" +
			"and heartbeat of its workers. The keys are at the bottom of the screen, and ? explains\n" +
			"them and the columns: sort, filter, drain or quiet a worker.\n\n" +
			"With --once, or where standard output is no terminal, it writes one plain text of the\n" +
			"same figures after one interval, since a rate is the difference of two looks. With\n" +
			"--json it writes one JSON document for each interval, one a line; --once ends after the\n" +
			"first one.\n\n" +
			"NO_COLOR=1 keeps colours away.",
		Example: "fenfa top\nfenfa top --once --interval 5s\nfenfa top --json | jq .total",
	}
	to, out := targetFlags(cmd), outputFlags(cmd)
	interval := cmd.Flags().Duration("interval", time.Second, "time between two looks, at least 100ms")
	once := cmd.Flags().Bool("once", false, "look once, and write plain text")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		client, err := to.dial()
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, client.Close()) }()
		cfg := top.Config{
			Source: &watched{client: client}, Addr: to.addr, Interval: *interval, Timeout: to.timeout,
			NoColour: os.Getenv("NO_COLOR") != "",
		}
		if *interval < 100*time.Millisecond {
			return usagef("--interval is %v: want 100ms or more", *interval)
		}
		if !out.json && !*once && isTerminal(cmd.InOrStdin()) && isTerminal(cmd.OutOrStdout()) && os.Getenv("TERM") != "dumb" {
			return top.Run(cmd.Context(), cfg)
		}
		return follow(cmd, cfg, out, *once || !out.json)
	}
	return cmd
}

// errSeen ends what was to look once.
var errSeen = errors.New("seen")

// follow writes figures as text or JSON.
func follow(cmd *cobra.Command, cfg top.Config, out *output, once bool) error {
	err := top.Follow(cmd.Context(), cfg, func(f *top.Figures, cause error) error {
		if cause != nil && (once || !out.json) {
			return cause
		}
		var err error
		switch {
		case cause != nil:
			err = out.write(cmd, viewAway(cause), nil)
		case out.json:
			err = out.write(cmd, viewFigures(f), nil)
		default:
			err = top.Write(cmd.OutOrStdout(), f)
		}
		if err == nil && once {
			err = errSeen
		}
		return err
	})
	if errors.Is(err, errSeen) {
		return nil
	}
	return err
}

// watched is a node as `fenfa top` looks at it. It implements top.Source.
type watched struct {
	client *fenfa.Client
}

// Snapshot asks for everything at the same time, so that it fits together.
func (w *watched) Snapshot(ctx context.Context) (top.Snapshot, error) {
	var (
		health  fenfa.Health
		queues  []fenfa.QueueInfo
		workers []fenfa.WorkerInfo
	)
	asks, ctx := errgroup.WithContext(ctx)
	asks.Go(func() (err error) { health, err = w.client.Health(ctx); return err })
	asks.Go(func() (err error) { queues, err = w.client.Queues(ctx); return err })
	asks.Go(func() (err error) { workers, err = w.client.Workers(ctx); return err })
	if err := asks.Wait(); err != nil {
		return top.Snapshot{}, err
	}
	s := top.Snapshot{
		At: time.Now(),
		Node: top.Node{
			Name: health.Node, Version: health.Version, Ready: health.Ready, Problems: health.Problems,
			StartedAt: health.StartedAt, Partitions: health.Partitions,
		},
		Queues: make([]top.Queue, len(queues)), Workers: make([]top.Worker, len(workers)),
	}
	for i := range queues {
		s.Queues[i] = watchedQueue(&queues[i])
	}
	for i := range workers {
		s.Workers[i] = watchedWorker(&workers[i])
	}
	return s, nil
}

func watchedQueue(q *fenfa.QueueInfo) top.Queue {
	s := &q.Stats
	return top.Queue{
		Name: q.Name, Policy: q.Balance.Policy, Backlog: s.BacklogTasks, Oldest: s.Oldest,
		Scheduled: s.Scheduled, Parked: s.Parked, Running: s.Running, Blocked: s.BlockedLanes, Halted: s.HaltedLanes, Dead: s.Dead,
		DoneTotal: s.DoneTotal, FailedTotal: s.FailedTotal, DeadTotal: s.DeadTotal, CancelledTotal: s.CancelledTotal, Paused: q.Paused,
		StartP50: s.StartP50, StartP99: s.StartP99, Workers: s.Workers,
	}
}

func watchedWorker(w *fenfa.WorkerInfo) top.Worker {
	worker := top.Worker{
		ID: w.ID, State: w.State, Slots: w.Slots, InFlight: w.InFlight, Weight: w.Weight, EffectiveWeight: w.EffectiveWeight,
		Labels: w.Labels, ConnectedAt: w.ConnectedAt, HeartbeatAge: w.HeartbeatAge,
		DoneTotal: w.DoneTotal, FailedTotal: w.FailedTotal, Serving: make([]top.Serving, len(w.Queues)),
	}
	for i, queue := range w.Queues {
		worker.Serving[i].Queue = queue
		// A queue that does not exist yet is served, and nothing is known of it.
		if at := slices.IndexFunc(w.Serving, func(s fenfa.WorkerQueue) bool { return s.Queue == queue }); at >= 0 {
			s := &w.Serving[at]
			worker.Serving[i] = top.Serving{Queue: queue, InFlight: s.InFlight, Latency: s.Latency, EjectedUntil: s.EjectedUntil, EjectedFor: s.EjectedFor}
		}
	}
	return worker
}

// Drain implements top.Source.
func (w *watched) Drain(ctx context.Context, worker string) error {
	_, err := w.client.DrainWorker(ctx, worker)
	return err
}

// SetQuiet implements top.Source.
func (w *watched) SetQuiet(ctx context.Context, worker string, quiet bool) error {
	_, err := w.client.SetWorkerQuiet(ctx, worker, quiet)
	return err
}
