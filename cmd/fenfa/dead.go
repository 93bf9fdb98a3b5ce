package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
)

func newDead() *cobra.Command {
	return group("dead", "Look at dead letters",
		"A dead letter is a task that will not be tried again by itself. It is kept with its\nwhole history until somebody decides.",
		newDeadList(), newDeadShow())
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

func newDeadList() *cobra.Command {
	cmd := &cobra.Command{Use: "list QUEUE", Short: "List the dead letters of a queue", Args: exactly("QUEUE")}
	to, out, part := targetFlags(cmd), outputFlags(cmd), pageFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := part.check(); err != nil {
			return err
		}
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			dead, next, err := c.DeadLetters(ctx, args[0], fenfa.Page{Size: part.limit, Token: part.token})
			if err != nil {
				return hinted(err, listQueues, fenfa.CodeNotFound)
			}
			view := struct {
				Dead []deadView `json:"dead"`
				Next string     `json:"next,omitempty"`
			}{Dead: make([]deadView, len(dead)), Next: next}
			rows := [][]string{{"ID", "KEY", "DIED AT", "ATTEMPTS", "REASON"}}
			for i := range dead {
				d := &dead[i]
				view.Dead[i] = viewDead(d)
				rows = append(rows, []string{d.Task.ID().String(), clip([]byte(d.Task.Key()), 40), moment(d.DiedAt), fmt.Sprint(d.Attempts), clip([]byte(d.Reason), 80)})
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
	cmd := &cobra.Command{Use: "show ID", Short: "Show one dead letter with its payload and every attempt", Args: exactly("ID")}
	to, out := targetFlags(cmd), outputFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := fenfa.ParseID(args[0])
		if err != nil {
			return err
		}
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			d, err := c.DeadLetter(ctx, id)
			if err != nil {
				return hinted(err, "`fenfa dead list QUEUE` shows the dead letters of a queue; `fenfa task get` shows any task", fenfa.CodeNotFound)
			}
			return out.write(cmd, viewDead(&d), func(w io.Writer) {
				pairs(w, [][2]string{
					{"id", d.Task.ID().String()},
					{"queue", d.Task.Queue()},
					{"key", d.Task.Key()},
					{"type", d.Task.Type()},
					{"died", moment(d.DiedAt)},
					{"reason", d.Reason},
					{"attempts", fmt.Sprintf("%d failed, handed out %d times", d.Attempts, d.Deliveries)},
					{"payload", clip(d.Task.Payload(), 2000)},
				})
				writeHistory(w, d.History)
			})
		})
	}
	return cmd
}
