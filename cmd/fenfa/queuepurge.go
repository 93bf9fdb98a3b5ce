package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
)

// purgeTimeout is how long a purge may take.
const purgeTimeout = 24 * time.Hour

func newQueuePurge() *cobra.Command {
	var (
		states []string
		p      fenfa.Purge
		dry    bool
		sure   bool
	)
	cmd := &cobra.Command{
		Use: "purge NAME", Short: "Cancel tasks of a queue that wait",
		Long: "Cancel the tasks of a queue that wait, all of them or those that the flags mean. Tasks that run stay, and so do those that are\n" +
			"submitted after it began. It says how many there are and asks before it begins; where\n" +
			"standard input is not a terminal, --yes is needed. Cancelled tasks are counted and keep\n" +
			"their marks: `fenfa task get` shows them. It cannot be taken back.",
		Example: "  fenfa queue purge mail --dry-run\n" +
			"  fenfa queue purge mail --state scheduled --reason 'campaign called off' --yes\n" +
			"  fenfa queue purge mail --type newsletter --until 24h --yes",
		Args: exactly("NAME"),
	}
	to, out := targetFlags(cmd), outputFlags(cmd)
	cmd.Flags().StringSliceVar(&states, "state", nil, "queued (could start now) or scheduled (waits for its time); may be given twice (default: both)")
	cmd.Flags().StringVar(&p.Key, "key", "", "only tasks of this key")
	cmd.Flags().StringVar(&p.Type, "type", "", "only tasks of this type")
	cmd.Flags().StringVar(&p.Text, "text", "", "only tasks whose payload has this text")
	cmd.Flags().Var((*momentFlag)(&p.Since), "since", "only those accepted at this moment (RFC 3339, or like 90m ago) or later")
	cmd.Flags().Var((*momentFlag)(&p.Until), "until", "only those accepted before this moment")
	cmd.Flags().StringVar(&p.Reason, "reason", "", "why, for those who look at a task (default: purged)")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only say how many there are")
	cmd.Flags().BoolVar(&sure, "yes", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		for _, s := range states {
			switch s {
			case string(fenfa.StateQueued):
				p.Queued = true
			case string(fenfa.StateScheduled):
				p.Scheduled = true
			default:
				return usagef("--state %q is not known", s).withHint("want queued or scheduled")
			}
		}
		var would fenfa.Purged
		err := to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) (err error) {
			would, err = c.PreviewPurge(ctx, args[0], p)
			return hinted(err, listQueues, fenfa.CodeNotFound)
		})
		if err != nil || dry {
			return orElse(err, func() error { return writePurged(cmd, out, args[0], would, true) })
		}
		if !sure {
			if err := confirmPurge(cmd, args[0], would); err != nil {
				return err
			}
		}
		to.timeout = purgeTimeout
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			did, err := c.PurgeQueue(ctx, args[0], p)
			if err != nil {
				return fmt.Errorf("%d tasks were cancelled: %w", did.Queued+did.Scheduled, err)
			}
			return writePurged(cmd, out, args[0], did, false)
		})
	}
	return cmd
}

// orElse returns the error, and without one what f returns.
func orElse(err error, f func() error) error {
	if err != nil {
		return err
	}
	return f()
}

// confirmPurge asks a person. Without one it refuses.
func confirmPurge(cmd *cobra.Command, queue string, would fenfa.Purged) error {
	if !isTerminal(cmd.InOrStdin()) {
		return usagef("purging queue %q would cancel %s", queue, purgedText(would)).withHint("say --yes to do that")
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "Cancel %s of queue %s? [y/N] ", purgedText(would), queue)
	line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil && line == "" {
		return failuref(exitRefused, "nothing was cancelled: %w", err)
	}
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
		return failuref(exitRefused, "nothing was cancelled")
	}
	return nil
}

func purgedText(p fenfa.Purged) string {
	text := fmt.Sprintf("%d tasks (%d queued, %d scheduled)", p.Queued+p.Scheduled, p.Queued, p.Scheduled)
	switch {
	case p.More:
		return "at least " + text
	case p.Unread:
		return text + "; tasks in the broker's log behind those that stay were not looked at"
	}
	return text
}

// purgedView is what a purge has cancelled, or would, in JSON.
type purgedView struct {
	Queue     string `json:"queue"`
	Queued    int64  `json:"queued"`
	Scheduled int64  `json:"scheduled"`
	DryRun    bool   `json:"dry_run,omitempty"`
	Unread    bool   `json:"unread,omitempty"` // tasks in the broker's log behind those that stay were not looked at
	More      bool   `json:"more,omitempty"`   // the dry run took long, and has counted a part
}

func writePurged(cmd *cobra.Command, out *output, queue string, p fenfa.Purged, dry bool) error {
	return out.write(cmd, purgedView{queue, p.Queued, p.Scheduled, dry, p.Unread, p.More}, func(w io.Writer) {
		verb := "cancelled"
		if dry {
			verb = "would cancel"
		}
		fmt.Fprintf(w, "%s %s\n", verb, purgedText(p))
	})
}
