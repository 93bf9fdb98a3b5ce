package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
)

// haltedView is a key that waits for a person, in JSON.
type haltedView struct {
	Queue   string `json:"queue"`
	Key     string `json:"key"`
	DeadID  string `json:"dead_id"`
	Since   string `json:"since"`
	Waiting int    `json:"waiting"`
	More    bool   `json:"more,omitempty"`
}

func newDeadHalted() *cobra.Command {
	cmd := &cobra.Command{
		Use: "halted QUEUE", Short: "List the keys of a queue that wait for a decision about a dead letter", Args: exactly("QUEUE"),
		Long: "List the keys of a queue with on_dead: halt that wait for a person, with the dead letter\n" +
			"that each waits for and how many tasks wait behind it (100 are counted).",
		Example: "  fenfa dead halted orders\n  fenfa dead halted orders --key SKU-1 --json",
	}
	to, out, part := targetFlags(cmd), outputFlags(cmd), pageFlags(cmd)
	var key string
	cmd.Flags().StringVar(&key, "key", "", "only this key")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := part.check(); err != nil {
			return err
		}
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			keys, next, err := c.HaltedKeys(ctx, args[0], key, fenfa.Page{Size: part.limit, Token: part.token})
			for err == nil && len(keys) == 0 && next != "" {
				keys, next, err = c.HaltedKeys(ctx, args[0], key, fenfa.Page{Size: part.limit, Token: next})
			}
			if err != nil {
				return hinted(err, listQueues, fenfa.CodeNotFound)
			}
			view := struct {
				Keys []haltedView `json:"keys"`
				Next string       `json:"next,omitempty"`
			}{Keys: make([]haltedView, len(keys)), Next: next}
			rows := [][]string{{"KEY", "DEAD LETTER", "SINCE", "WAITING"}}
			for i, k := range keys {
				view.Keys[i] = haltedView{Queue: k.Queue, Key: k.Key, DeadID: k.Dead.String(), Since: timeView(k.Since), Waiting: k.Waiting, More: k.More}
				waiting := fmt.Sprint(k.Waiting)
				if k.More {
					waiting += " or more"
				}
				rows = append(rows, []string{clip([]byte(k.Key), 40), k.Dead.String(), moment(k.Since), waiting})
			}
			return out.write(cmd, view, func(w io.Writer) { table(w, rows); more(w, next) })
		})
	}
	return cmd
}

func newDeadResume() *cobra.Command {
	cmd := &cobra.Command{
		Use: "resume QUEUE KEY", Short: "Let a key go on that waits for a decision about a dead letter", Args: exactly("QUEUE", "KEY"),
		Long: "Let a key go on that waits for a person (on_dead: halt). Its dead letter stays where it\n" +
			"is, and can be requeued or deleted later.",
		Example: "  fenfa dead resume orders SKU-1",
	}
	to, out := targetFlags(cmd), outputFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			if err := c.ResumeKey(ctx, args[0], args[1]); err != nil {
				return hinted(err, "`fenfa dead halted QUEUE` lists the keys that wait", fenfa.CodeFailedPrecondition)
			}
			return out.write(cmd, map[string]string{"queue": args[0], "key": args[1], "result": "resumed"}, func(w io.Writer) { fmt.Fprintln(w, "resumed") })
		})
	}
	return cmd
}
