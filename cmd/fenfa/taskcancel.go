package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
)

// mostCancelled is how many tasks one call cancels.
const mostCancelled = 1000

func newTaskCancel() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "cancel ID...", Short: "Cancel tasks: those that wait at once, those that run by asking their handlers to stop",
		Long: "Cancel tasks. One that waits, for a worker, for its time or behind others, is cancelled at\n" +
			"once, and the order of the others stays. Of one that runs the handler is asked to stop: it\n" +
			"is shown as stopping, and is cancelled unless the handler finishes it all the same. A task\n" +
			"that has ended keeps its state. A step of a saga that is cancelled counts as failed.\n\n" +
			"Where a task cannot be cancelled, the others are, and the exit code is that of the first\n" +
			"that was not.",
		Example: "  fenfa task cancel 0190a5f2-7b1c-7d3e-8f4a-5b6c7d8e9f01\n" +
			"  fenfa task cancel --reason 'ordered twice' $(cat ids.txt)",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("`%s` needs ID", cmd.CommandPath()).withHint("usage: %s", cmd.UseLine())
			}
			return nil
		},
	}
	to, out := targetFlags(cmd), outputFlags(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why, for those who look at the task (default: cancelled)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ids := make([]fenfa.ID, len(args))
		for i, arg := range args {
			var err error
			if ids[i], err = fenfa.ParseID(arg); err != nil {
				return err
			}
		}
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			var all []fenfa.Cancelled
			for left := ids; len(left) > 0; left = left[min(len(left), mostCancelled):] {
				results, err := c.CancelAll(ctx, left[:min(len(left), mostCancelled)], reason)
				if err != nil {
					return hinted(err, "`fenfa task get` shows a task; is it the right node?", fenfa.CodeNotFound)
				}
				all = append(all, results...)
			}
			return writeCancelled(cmd, out, all)
		})
	}
	return cmd
}

// cancelView is what became of one task, in JSON.
type cancelView struct {
	ID       string          `json:"id"`
	State    fenfa.LifeState `json:"state,omitempty"`
	Stopping bool            `json:"stopping,omitempty"`
	Error    string          `json:"error,omitempty"`
}

func writeCancelled(cmd *cobra.Command, out *output, all []fenfa.Cancelled) error {
	var first error
	views := make([]cancelView, len(all))
	rows := [][]string{{"ID", "STATE", ""}}
	for i, r := range all {
		views[i] = cancelView{ID: r.ID.String(), State: r.State, Stopping: r.Stopping}
		note := ""
		switch {
		case r.Err != nil:
			if first == nil {
				first = r.Err
			}
			views[i].State, views[i].Error, note = "", r.Err.Error(), r.Err.Error()
		case r.Stopping:
			note = "its handler was asked to stop"
		}
		rows = append(rows, []string{r.ID.String(), string(views[i].State), note})
	}
	if err := out.write(cmd, map[string][]cancelView{"tasks": views}, func(w io.Writer) { table(w, rows) }); err != nil {
		return err
	}
	return first
}
