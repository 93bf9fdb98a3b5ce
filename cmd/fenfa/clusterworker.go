package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
)

// listWorkers is the hint after a worker was not found.
const listWorkers = "`fenfa cluster workers` shows the workers that are connected"

// aboutSetting ends the help of commands that steer a worker.
const aboutSetting = "\n\nWhat is set stays with the worker's id when it connects again, until the worker was away\n" +
	"for an hour or the node ends."

func newClusterWorkers() *cobra.Command {
	cmd := &cobra.Command{
		Use: "workers", Short: "List the workers that are connected to the node",
		Long: "List the workers that are connected to the node. LOAD is slots in use, with prefetched\n" +
			"leases, of all slots. WEIGHT is what counts for now, and behind a slash what it will be\n" +
			"after a slow start; * marks one that `fenfa cluster worker set` has set. TIME is from a hand-out to\n" +
			"its outcome, the longest of the worker's queues. --json has all of it for each queue.",
		Args: exactly(),
	}
	to, out := targetFlags(cmd), outputFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			workers, err := c.Workers(ctx)
			if err != nil {
				return err
			}
			views := make([]workerView, len(workers))
			for i := range workers {
				views[i] = viewWorker(&workers[i])
			}
			return out.write(cmd, map[string][]workerView{"workers": views}, func(w io.Writer) {
				table(w, workerRows(workers, isTerminal(cmd.OutOrStdout())))
			})
		})
	}
	return cmd
}

func newClusterWorker() *cobra.Command {
	return group("worker", "Change what is set of a worker", "Change what is set of a connected worker, at once.", newClusterWorkerSet())
}

func newClusterWorkerSet() *cobra.Command {
	var weight float64
	cmd := &cobra.Command{
		Use: "set ID --weight W", Short: "Set the weight of a connected worker",
		Long: "Set the weight of a connected worker: its share of the load relative to others. It counts\n" +
			"at once, instead of the worker's own; 0 takes it back." + aboutSetting,
		Example: "  fenfa cluster worker set host-7 --weight 2", Args: exactly("ID"),
	}
	to, out := targetFlags(cmd), outputFlags(cmd)
	cmd.Flags().Float64Var(&weight, "weight", 0, "share of the load relative to other workers, more than 0; 0 takes back what was set (needed)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !cmd.Flags().Changed("weight") {
			return usagef("say the weight").withHint("--weight W, where 0 takes back what was set")
		}
		return steer(cmd, to, out, func(ctx context.Context, c *fenfa.Client) (fenfa.WorkerInfo, error) {
			return c.SetWorkerWeight(ctx, args[0], weight)
		})
	}
	return cmd
}

func newClusterQuiet() *cobra.Command {
	cmd := &cobra.Command{
		Use: "quiet ID", Short: "Give a worker nothing new, and keep it connected",
		Long: "Give a worker nothing new. It finishes what it has and stays connected, until\n" +
			"`fenfa cluster resume`." + aboutSetting,
		Args: exactly("ID"),
	}
	to, out := targetFlags(cmd), outputFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return steer(cmd, to, out, func(ctx context.Context, c *fenfa.Client) (fenfa.WorkerInfo, error) {
			return c.SetWorkerQuiet(ctx, args[0], true)
		})
	}
	return cmd
}

func newClusterResume() *cobra.Command {
	cmd := &cobra.Command{
		Use: "resume ID", Short: "Give a quiet worker tasks again",
		Long: "Give a quiet worker tasks again, whether a person or the worker itself has made it quiet.",
		Args: exactly("ID"),
	}
	to, out := targetFlags(cmd), outputFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return steer(cmd, to, out, func(ctx context.Context, c *fenfa.Client) (fenfa.WorkerInfo, error) {
			return c.SetWorkerQuiet(ctx, args[0], false)
		})
	}
	return cmd
}

// steer changes something of a worker and writes how it is now.
func steer(cmd *cobra.Command, to *target, out *output, change func(context.Context, *fenfa.Client) (fenfa.WorkerInfo, error)) error {
	return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
		now, err := change(ctx, c)
		if err != nil {
			return hinted(err, listWorkers, fenfa.CodeNotFound)
		}
		return out.write(cmd, viewWorker(&now), func(w io.Writer) {
			table(w, workerRows([]fenfa.WorkerInfo{now}, isTerminal(cmd.OutOrStdout())))
		})
	})
}

// drainPoll is how often `cluster drain --wait` looks whether the worker is gone.
const drainPoll = 100 * time.Millisecond

func newClusterDrain() *cobra.Command {
	var wait bool
	var most time.Duration
	cmd := &cobra.Command{
		Use: "drain ID", Short: "Send a worker away: it finishes what runs, and ends",
		Long: "Send a worker away. It gets nothing new, finishes the handlers that run, gives back what it\n" +
			"has not begun, and its process ends (Run of the SDK returns). No attempt is counted, and\n" +
			"its tasks go on elsewhere at once. Without --wait the command only asks for it.",
		Example: "  fenfa cluster drain host-7 --wait", Args: exactly("ID"),
	}
	to, out := targetFlags(cmd), outputFlags(cmd)
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until the worker is gone")
	cmd.Flags().DurationVar(&most, "wait-timeout", 5*time.Minute, "how long to wait for that")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if most <= 0 {
			return usagef("--wait-timeout is %v: want more than 0", most)
		}
		client, err := to.dial()
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, client.Close()) }()
		ctx, cancel := context.WithTimeout(cmd.Context(), to.timeout)
		defer cancel()
		worker, err := client.DrainWorker(ctx, args[0])
		if err != nil {
			return hinted(err, listWorkers, fenfa.CodeNotFound)
		}
		view := drainView{workerView: viewWorker(&worker)}
		if wait {
			if err := awaitGone(cmd.Context(), client, to.timeout, most, &worker); err != nil {
				return err
			}
			view.Gone = true
		}
		return out.write(cmd, view, func(w io.Writer) {
			if wait {
				fmt.Fprintf(w, "worker %s is gone\n", worker.ID)
			} else {
				fmt.Fprintf(w, "worker %s drains, with %d tasks in flight\n", worker.ID, worker.InFlight)
			}
		})
	}
	return cmd
}

// drainView is what `cluster drain` writes: the worker as it was when it was sent
// away, and whether it is known to be gone.
type drainView struct {
	workerView
	Gone bool `json:"gone"`
}

// awaitGone waits until the session of a worker has ended. One that connected since
// under the same id is another.
func awaitGone(ctx context.Context, c *fenfa.Client, each, most time.Duration, worker *fenfa.WorkerInfo) error {
	ticker := time.NewTicker(drainPoll)
	defer ticker.Stop()
	late := time.NewTimer(most)
	defer late.Stop()
	for {
		ask, cancel := context.WithTimeout(ctx, each)
		workers, err := c.Workers(ask)
		cancel()
		if err != nil {
			return err
		}
		same := func(w fenfa.WorkerInfo) bool { return w.ID == worker.ID && w.ConnectedAt.Equal(worker.ConnectedAt) }
		at := slices.IndexFunc(workers, same)
		if at < 0 {
			return nil
		}
		select {
		case <-ticker.C:
		case <-late.C:
			return failuref(exitUnavailable, "worker %s still has %d tasks in flight after %v", worker.ID, workers[at].InFlight, most).
				withHint("it goes on draining; wait longer with --wait-timeout, or look with `fenfa cluster workers`")
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
