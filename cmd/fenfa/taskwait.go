package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
)

func newTaskWait() *cobra.Command {
	cmd := &cobra.Command{
		Use: "wait ID...", Short: "Wait until tasks have ended, and show how",
		Long: "Wait until tasks have ended, and write a line for each as soon as it has: its ID, how it ended,\n" +
			"and its result or error; with --json an object a line. The node says so by itself, and is asked\n" +
			"again after a break.\n\n" +
			"The exit code is 0 when all are done, 9 when one is dead, cancelled or expired, 10 when one has\n" +
			"not ended within --wait-timeout, 4 when one is not known.",
		Example: "  fenfa task wait 0190a5f2-7b1c-7d3e-8f4a-5b6c7d8e9f01 --wait-timeout 1m\n" +
			"  fenfa submit --queue mail '{\"n\":1}' '{\"n\":2}' | xargs fenfa task wait",
		Args: cobra.MinimumNArgs(1),
	}
	to, out := targetFlags(cmd), outputFlags(cmd)
	most := cmd.Flags().Duration("wait-timeout", 5*time.Minute, "how long to wait at most")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ids := make([]fenfa.ID, len(args))
		for i, text := range args {
			var err error
			if ids[i], err = fenfa.ParseID(text); err != nil {
				return err
			}
		}
		if *most <= 0 {
			return usagef("--wait-timeout is %v: want more than 0", *most)
		}
		return to.waitFor(cmd, ids, *most, func(s *fenfa.TaskStatus) error {
			return out.write(cmd, viewTask(s), func(w io.Writer) { writeEnd(w, s) })
		})
	}
	return cmd
}

// writeEnd writes how a task has ended on one line.
func writeEnd(w io.Writer, s *fenfa.TaskStatus) {
	line := s.ID.String() + "  " + string(s.State)
	if s.Error != "" && s.State != fenfa.StateDone {
		line += "  " + clip([]byte(s.Error), 500)
	} else if len(s.Result) > 0 {
		line += "  " + clip(s.Result, 2000)
	}
	fmt.Fprintln(w, line)
}

// waitFor shows each of the tasks when it has ended, and returns how the command is
// to end.
func (t *target) waitFor(cmd *cobra.Command, ids []fenfa.ID, most time.Duration, show func(*fenfa.TaskStatus) error) (err error) {
	client, err := t.dial()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	// Without a node there is nothing to wait for: a wait would go on until there is one.
	err = t.ask(cmd.Context(), client, func(ctx context.Context, c *fenfa.Client) error {
		_, err := c.Health(ctx)
		return err
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), most)
	defer cancel()
	ends := &endings{left: map[fenfa.ID]bool{}}
	for _, id := range ids {
		ends.left[id] = true
	}
	for s, err := range client.WaitAll(ctx, ids...) {
		if s == nil && ctx.Err() != nil {
			break
		}
		if err := ends.add(s, err, show); err != nil {
			return err
		}
	}
	if err := cmd.Context().Err(); err != nil {
		return context.Cause(cmd.Context())
	}
	return ends.verdict(most)
}

// endings is how the tasks that a command waited for have ended.
type endings struct {
	left    map[fenfa.ID]bool // have not
	unknown error
	failed  []string // ended otherwise than done
}

func (e *endings) add(s *fenfa.TaskStatus, err error, show func(*fenfa.TaskStatus) error) error {
	if s == nil {
		return err
	}
	delete(e.left, s.ID)
	if err != nil {
		e.unknown = errors.Join(e.unknown, err)
		return nil
	}
	if s.State != fenfa.StateDone {
		e.failed = append(e.failed, fmt.Sprintf("%s is %s", s.ID, s.State))
	}
	return show(s)
}

// verdict is the error of the command, nil: all are done.
func (e *endings) verdict(most time.Duration) error {
	switch {
	case e.unknown != nil:
		return hinted(e.unknown, "results are kept for the queue's result_ttl; is it the right node?", fenfa.CodeNotFound)
	case len(e.failed) > 0:
		return failuref(exitEnded, "%d tasks are not done: %s", len(e.failed), strings.Join(e.failed[:min(len(e.failed), 5)], ", ")).
			withHint("`fenfa task get ID` shows why")
	case len(e.left) > 0:
		return failuref(exitWaited, "%d tasks have not ended within %v", len(e.left), most).
			withHint("wait longer with --wait-timeout, or look with `fenfa task get ID`")
	}
	return nil
}
