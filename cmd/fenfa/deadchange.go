package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
)

// deadSelection says which dead letters a command changes: one by its ID, or those
// of a queue that a filter means.
type deadSelection struct {
	filter *fenfa.DeadFilter
	queue  string
	all    bool
	dryRun bool
	step   int
	from   string
}

func selectionFlags(cmd *cobra.Command) *deadSelection {
	s := &deadSelection{filter: deadFilterFlags(cmd)}
	f := cmd.Flags()
	f.StringVar(&s.queue, "queue", "", "those of this queue, instead of one by its ID")
	f.BoolVar(&s.all, "all", false, "those of all queues, instead of one by its ID")
	f.BoolVar(&s.dryRun, "dry-run", false, "change nothing, and count what would be changed")
	f.IntVar(&s.step, "step", 1000, "how many are changed with one call to the node, 1 to 10000")
	f.StringVar(&s.from, "page", "", "go on where an earlier run ended: the token that it gave")
	return s
}

// check reads what is meant: one ID, or a walk.
func (s *deadSelection) check(cmd *cobra.Command, args []string) (id fenfa.ID, one bool, err error) {
	if len(args) == 1 {
		for _, name := range []string{"queue", "all", "key", "type", "text", "since", "until", "dry-run", "page"} {
			if cmd.Flags().Changed(name) {
				return id, false, usagef("--%s is for many dead letters, and ID names one: give one of both", name)
			}
		}
		id, err = fenfa.ParseID(args[0])
		return id, true, err
	}
	if (s.queue == "") == !s.all {
		return id, false, usagef("say which dead letters: ID, --queue QUEUE, or --all")
	}
	if s.step < 1 || s.step > 10_000 {
		return id, false, usagef("--step is %d: want 1 to 10000", s.step)
	}
	s.filter.Queue = s.queue
	return id, false, nil
}

// deadChangeView is what a walk did, in JSON.
type deadChangeView struct {
	Examined int64             `json:"examined"`
	Matched  int64             `json:"matched"`
	Changed  int64             `json:"changed"`
	Refused  int64             `json:"refused"`
	Refusals []deadRefusalView `json:"refusals,omitempty"`
	DryRun   bool              `json:"dry_run,omitempty"`
	Next     string            `json:"next,omitempty"`
}

type deadRefusalView struct {
	ID    string `json:"id"`
	Error string `json:"error"`
}

// walk changes many dead letters, and tells on the way how far it is. A walk that is
// interrupted says where to go on.
func (s *deadSelection) walk(
	cmd *cobra.Command, to *target, out *output, did string,
	change func(context.Context, *fenfa.Client, fenfa.DeadFilter, fenfa.DeadWalk) (fenfa.DeadProgress, error),
) (err error) {
	client, err := to.dial()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	told := int64(0)
	var sum fenfa.DeadProgress
	next := s.from
	for first := true; first || next != ""; first = false {
		err = to.ask(cmd.Context(), client, func(ctx context.Context, c *fenfa.Client) error {
			p, err := change(ctx, c, *s.filter, fenfa.DeadWalk{Step: s.step, From: next, DryRun: s.dryRun, Progress: func(fenfa.DeadProgress) error { return errOneStep }})
			if err == nil || errors.Is(err, errOneStep) {
				addProgress(&sum, &p)
				next, err = p.Next, nil
			}
			return err
		})
		if err != nil {
			if sum.Changed > 0 && next != "" {
				fmt.Fprintf(cmd.ErrOrStderr(), "%d are %s so far; go on with --page %s\n", sum.Changed, did, next)
			}
			return hinted(err, listQueues, fenfa.CodeNotFound)
		}
		if sum.Examined-told >= 50_000 && !out.json && next != "" {
			told = sum.Examined
			fmt.Fprintf(cmd.ErrOrStderr(), "%d looked at, %d %s\n", sum.Examined, sum.Changed, did)
		}
	}
	return s.report(cmd, out, did, &sum)
}

// errOneStep ends a walk after each step, so that each has its own time.
var errOneStep = errors.New("one step")

func addProgress(sum, p *fenfa.DeadProgress) {
	sum.Examined += p.Examined
	sum.Matched += p.Matched
	sum.Changed += p.Changed
	sum.Refused += p.Refused
	sum.Refusals = append(sum.Refusals, p.Refusals[:min(len(p.Refusals), 100-min(100, len(sum.Refusals)))]...)
}

func (s *deadSelection) report(cmd *cobra.Command, out *output, did string, sum *fenfa.DeadProgress) error {
	view := deadChangeView{Examined: sum.Examined, Matched: sum.Matched, Changed: sum.Changed, Refused: sum.Refused, DryRun: s.dryRun}
	for _, r := range sum.Refusals {
		view.Refusals = append(view.Refusals, deadRefusalView{ID: r.ID.String(), Error: r.Err.Message})
	}
	err := out.write(cmd, view, func(w io.Writer) {
		if s.dryRun {
			did = "would be " + did
		}
		fmt.Fprintf(w, "%d %s, of %d that were looked at\n", sum.Changed, did, sum.Examined)
		for _, r := range view.Refusals {
			fmt.Fprintf(w, "not %s: %s\n", r.ID, r.Error)
		}
	})
	if err == nil && sum.Refused > 0 {
		return failuref(exitRefused, "%d dead letters could not be changed", sum.Refused)
	}
	return err
}

func newDeadRequeue() *cobra.Command {
	cmd := &cobra.Command{
		Use: "requeue [ID]", Short: "Take dead letters back into their queues", Args: atMost("ID"),
		Long: "Take one dead letter back into its queue, or all that a filter means. A task keeps its\n" +
			"ID and its history, and counts attempts anew; tasks of one key keep their order. A key\n" +
			"that waits for a person (on_dead: halt) begins with its dead letters; otherwise they\n" +
			"come after those tasks of their key that the node has read.\n\n" +
			"Many are taken back step by step, each step durable when it is told: interrupt it, and\n" +
			"go on later. What dies again meanwhile is not taken back again.",
		Example: "  fenfa dead requeue 0190a5f2-7b1c-7d3e-8f4a-5b6c7d8e9f01\n" +
			"  fenfa dead requeue 0190a5f2-7b1c-7d3e-8f4a-5b6c7d8e9f01 --payload '{\"qty\":1}'\n" +
			"  fenfa dead requeue --queue orders --text timeout --since 2h --dry-run\n" +
			"  fenfa dead requeue --queue orders",
	}
	to, out, sel := targetFlags(cmd), outputFlags(cmd), selectionFlags(cmd)
	var payload, file string
	cmd.Flags().StringVar(&payload, "payload", "", "with ID: go back with this payload instead of its own")
	cmd.Flags().StringVar(&file, "payload-file", "", "with ID: go back with the content of this file as payload")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, one, err := sel.check(cmd, args)
		if err != nil {
			return err
		}
		edits, fromFile := cmd.Flags().Changed("payload"), cmd.Flags().Changed("payload-file")
		if edits && fromFile || !one && (edits || fromFile) {
			return usagef("give --payload or --payload-file, with an ID")
		}
		if !one {
			return sel.walk(cmd, to, out, "requeued", func(ctx context.Context, c *fenfa.Client, f fenfa.DeadFilter, w fenfa.DeadWalk) (fenfa.DeadProgress, error) {
				return c.RequeueAllDead(ctx, f, w)
			})
		}
		content := []byte(payload)
		if fromFile {
			if content, err = os.ReadFile(file); err != nil {
				return failuref(exitUsage, "%w", err)
			}
		}
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			if edits || fromFile {
				err = c.RequeueDeadAs(ctx, id, content)
			} else {
				err = c.RequeueDead(ctx, id)
			}
			return reportOne(cmd, out, id, "requeued", err)
		})
	}
	return cmd
}

func reportOne(cmd *cobra.Command, out *output, id fenfa.ID, did string, err error) error {
	if err != nil {
		return hinted(err, deadHint, fenfa.CodeNotFound)
	}
	return out.write(cmd, map[string]string{"id": id.String(), "result": did}, func(w io.Writer) { fmt.Fprintln(w, did) })
}

func newDeadDelete() *cobra.Command {
	cmd := &cobra.Command{
		Use: "delete [ID]", Short: "Remove dead letters for good", Args: atMost("ID"),
		Long: "Remove one dead letter for good, or with --yes all that a filter means; --dry-run counts\n" +
			"them. A key that waits for a decision about one (on_dead: halt) goes on.",
		Example: "  fenfa dead delete 0190a5f2-7b1c-7d3e-8f4a-5b6c7d8e9f01\n" +
			"  fenfa dead delete --queue orders --until 720h --dry-run\n" +
			"  fenfa dead delete --queue orders --until 720h --yes",
	}
	to, out, sel := targetFlags(cmd), outputFlags(cmd), selectionFlags(cmd)
	var yes bool
	cmd.Flags().BoolVar(&yes, "yes", false, "delete many without a question")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, one, err := sel.check(cmd, args)
		switch {
		case err != nil:
			return err
		case one:
			return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
				return reportOne(cmd, out, id, "deleted", c.DeleteDead(ctx, id))
			})
		case !yes && !sel.dryRun:
			return usagef("this deletes all dead letters that are meant, for good: count them with --dry-run, then give --yes")
		}
		return sel.walk(cmd, to, out, "deleted", func(ctx context.Context, c *fenfa.Client, f fenfa.DeadFilter, w fenfa.DeadWalk) (fenfa.DeadProgress, error) {
			return c.DeleteAllDead(ctx, f, w)
		})
	}
	return cmd
}
