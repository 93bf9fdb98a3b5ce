package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
)

func newDead() *cobra.Command {
	return group("dead", "Look at dead letters, and decide about them",
		"A dead letter is a task that will not be tried again by itself. It is kept with its\nwhole history until somebody decides, or for as long as its queue's --dead-ttl says.",
		newDeadList(), newDeadShow(), newDeadRequeue(), newDeadDelete(), newDeadHalted(), newDeadResume())
}

// page is which part of a list is wanted.
type page struct {
	limit int
	token string
}

func pageFlags(cmd *cobra.Command) *page {
	p := &page{}
	cmd.Flags().IntVar(&p.limit, "limit", 100, "how many to show at most, 1 to 1000")
	cmd.Flags().StringVar(&p.token, "page", "", "go on where an earlier list ended: the token that it gave")
	return p
}

func (p *page) check() error {
	if p.limit < 1 || p.limit > 1000 {
		return usagef("--limit is %d: want 1 to 1000", p.limit)
	}
	return nil
}

// momentFlag is a flag with a moment: RFC 3339, or how long ago.
type momentFlag time.Time

// String implements pflag.Value.
func (m *momentFlag) String() string { return timeView(time.Time(*m)) }

// Set implements pflag.Value.
func (m *momentFlag) Set(text string) error {
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		*m = momentFlag(time.Now().Add(-ago))
		return nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return fmt.Errorf("want a moment like 2030-01-02T15:04:05Z, or how long ago, like 90m")
	}
	*m = momentFlag(at)
	return nil
}

// Type implements pflag.Value.
func (m *momentFlag) Type() string { return "moment" }

// deadFilterFlags adds the flags that say which dead letters are meant. The queue is
// an argument.
func deadFilterFlags(cmd *cobra.Command) *fenfa.DeadFilter {
	var f fenfa.DeadFilter
	flags := cmd.Flags()
	flags.StringVar(&f.Key, "key", "", "only of this key")
	flags.StringVar(&f.Type, "type", "", "only of this type")
	flags.StringVar(&f.Text, "text", "", "only with this text in the reason, in any case of letters")
	flags.Var((*momentFlag)(&f.Since), "since", "only those that died at this moment (RFC 3339, or like 90m ago) or later")
	flags.Var((*momentFlag)(&f.Until), "until", "only those that died before this moment")
	return &f
}

// atMost accepts up to one argument.
func atMost(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return exactly(name)(cmd, args)
	}
}

func newDeadList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list [QUEUE]", Short: "List dead letters of a queue, or of all queues", Args: atMost("QUEUE"),
		Example: "  fenfa dead list orders\n  fenfa dead list orders --key SKU-1 --text 'no stock' --since 24h --json",
	}
	to, out, part, filter := targetFlags(cmd), outputFlags(cmd), pageFlags(cmd), deadFilterFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := part.check(); err != nil {
			return err
		}
		if len(args) > 0 {
			filter.Queue = args[0]
		}
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			dead, next, err := c.DeadLetters(ctx, *filter, fenfa.Page{Size: part.limit, Token: part.token})
			for err == nil && len(dead) == 0 && next != "" { // nothing among those that one call looks at
				dead, next, err = c.DeadLetters(ctx, *filter, fenfa.Page{Size: part.limit, Token: next})
			}
			if err != nil {
				return hinted(err, listQueues, fenfa.CodeNotFound)
			}
			view := struct {
				Dead []deadView `json:"dead"`
				Next string     `json:"next,omitempty"`
			}{Dead: make([]deadView, len(dead)), Next: next}
			rows := [][]string{{"ID", "QUEUE", "KEY", "DIED AT", "ATTEMPTS", "REASON"}}
			for i := range dead {
				d := &dead[i]
				view.Dead[i] = viewDead(d)
				rows = append(rows, []string{d.Task.ID().String(), d.Task.Queue(), clip([]byte(d.Task.Key()), 40), moment(d.DiedAt), fmt.Sprint(d.Attempts), clip([]byte(d.Reason), 80)})
			}
			return out.write(cmd, view, func(w io.Writer) { table(w, rows); more(w, next) })
		})
	}
	return cmd
}

// more says how to see the rest of a list.
func more(w io.Writer, next string) {
	if next != "" {
		fmt.Fprintf(w, "there are more: --page %s\n", next)
	}
}

func newDeadShow() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show one dead letter with its payload and every attempt", Args: exactly("ID"),
		Example: "  fenfa dead show 0190a5f2-7b1c-7d3e-8f4a-5b6c7d8e9f01",
	}
	to, out := targetFlags(cmd), outputFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := fenfa.ParseID(args[0])
		if err != nil {
			return err
		}
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			d, err := c.DeadLetter(ctx, id)
			if err != nil {
				return hinted(err, deadHint, fenfa.CodeNotFound)
			}
			return out.write(cmd, viewDead(&d), func(w io.Writer) {
				pairs(w, deadRows(&d))
				writeHistory(w, d.History)
			})
		})
	}
	return cmd
}

const deadHint = "`fenfa dead list QUEUE` shows the dead letters of a queue; `fenfa task get` shows any task"

func deadRows(d *fenfa.DeadLetter) [][2]string {
	requeued, key := "", d.Task.Key()
	if d.Requeues > 0 {
		requeued = fmt.Sprintf("%d times before", d.Requeues)
	}
	if d.HaltsKey {
		key += " (waits for a decision about this: requeue or delete it, or fenfa dead resume)"
	}
	rows := [][2]string{
		{"id", d.Task.ID().String()},
		{"queue", d.Task.Queue()},
		{"key", key},
		{"type", d.Task.Type()},
		{"died", moment(d.DiedAt)},
		{"reason", d.Reason},
		{"attempts", fmt.Sprintf("%d failed, handed out %d times", d.Attempts, d.Deliveries)},
		{"requeued", requeued},
	}
	for name, value := range d.Task.Headers() {
		rows = append(rows, [2]string{"header " + name, clip([]byte(value), 200)})
	}
	return append(rows, [2]string{"payload", clip(d.Task.Payload(), 2000)})
}
