package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
)

// explanationView is why a task is where it is, in JSON.
type explanationView struct {
	ID          string          `json:"id"`
	State       fenfa.LifeState `json:"state"`
	Queue       string          `json:"queue,omitempty"`
	Key         string          `json:"key,omitempty"`
	Reason      fenfa.Reason    `json:"reason"`
	Text        string          `json:"text"`
	BlockingID  string          `json:"blocking_id,omitempty"`
	Worker      string          `json:"worker,omitempty"`
	Since       string          `json:"since,omitempty"`
	NextAt      string          `json:"next_at,omitempty"`
	Attempt     int             `json:"attempt,omitempty"`
	MaxAttempts int             `json:"max_attempts,omitempty"`
	Error       string          `json:"error,omitempty"`
	Ahead       int64           `json:"ahead,omitempty"`
}

func newTaskExplain() *cobra.Command {
	cmd := &cobra.Command{
		Use: "explain ID", Short: "Say in one sentence why a task is where it is", Args: exactly("ID"),
		Long: "Say in one sentence why a task is where it is: what it waits for, behind which task, until\n" +
			"when. Exit code 4 says that the node does not know it.",
		Example: "  fenfa task explain 0190a5f2-7b1c-7d3e-8f4a-5b6c7d8e9f01",
	}
	to, out := targetFlags(cmd), outputFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := fenfa.ParseID(args[0])
		if err != nil {
			return err
		}
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			x, err := c.Explain(ctx, id)
			if err != nil {
				return err
			}
			view := explanationView{
				ID: id.String(), State: x.State, Queue: x.Queue, Key: x.Key, Reason: x.Reason, Text: x.Text, Worker: x.Worker,
				Since: timeView(x.Since), NextAt: timeView(x.NextAt), Attempt: x.Attempt, MaxAttempts: x.MaxAttempts, Error: x.Error, Ahead: x.Ahead,
			}
			if x.Blocking != (fenfa.ID{}) {
				view.BlockingID = x.Blocking.String()
			}
			err = out.write(cmd, view, func(w io.Writer) { fmt.Fprintf(w, "task %s: %s\n", id, x.Text) })
			if err == nil && x.Reason == fenfa.ReasonUnknown {
				return failuref(exitNotFound, "task %s is not known", id)
			}
			return err
		})
	}
	return cmd
}
