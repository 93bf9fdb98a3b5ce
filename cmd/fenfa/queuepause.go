package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
)

func newQueuePause() *cobra.Command {
	cmd := &cobra.Command{
		Use: "pause NAME", Short: "Hand nothing of a queue out until it is resumed",
		Long: "Hand nothing of a queue out until it is resumed, also over restarts of the node. Submits\n" +
			"go on, up to the queue's max_backlog; what workers have they finish.",
		Example: "  fenfa queue pause mail", Args: exactly("NAME"),
	}
	return pausing(cmd, "paused", (*fenfa.Client).PauseQueue)
}

func newQueueResume() *cobra.Command {
	cmd := &cobra.Command{
		Use: "resume NAME", Short: "Hand the tasks of a paused queue out again",
		Example: "  fenfa queue resume mail", Args: exactly("NAME"),
	}
	return pausing(cmd, "resumed", (*fenfa.Client).ResumeQueue)
}

// pausing completes a command that begins a pause, or ends it.
func pausing(cmd *cobra.Command, done string, change func(*fenfa.Client, context.Context, string) (fenfa.Queue, error)) *cobra.Command {
	to, out := targetFlags(cmd), outputFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			now, err := change(c, ctx, args[0])
			if err != nil {
				return hinted(err, listQueues, fenfa.CodeNotFound)
			}
			return out.write(cmd, viewQueue(&now), func(w io.Writer) { fmt.Fprintf(w, "queue %s is %s\n", now.Name, done) })
		})
	}
	return cmd
}
