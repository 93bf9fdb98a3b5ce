package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
)

// historyFlags say which changes are shown.
type historyFlags struct {
	after        uint64
	newest       bool
	since, until when
	page         *page
}

func newStateHistory() *cobra.Command {
	cmd := &cobra.Command{
		Use: "history KEY [NAME]", Short: "List the changes of a key's records, from the op log",
		Long: `List the changes of a record, or of all records of the key, from the op log: the oldest
first, or with --newest the newest. The changes of a record are found one from the other,
however long the op log is; with the key alone that needs no more than 64 records of it.

A time is like 2026-01-05T10:00:00Z, or how long ago: 90m, 36h.`,
		Example: "  fenfa state history SKU-1 stock --newest --limit 10\n  fenfa state history SKU-1 --since 2026-01-05T10:00:00Z --until 2026-01-05T11:00:00Z",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return nil
			}
			return exactly("KEY", "NAME")(cmd, args)
		},
	}
	to, out := targetFlags(cmd), outputFlags(cmd)
	h := &historyFlags{page: pageFlags(cmd)}
	f := cmd.Flags()
	f.Uint64Var(&h.after, "after", 0, "oldest first: only changes with a greater sequence number")
	f.BoolVar(&h.newest, "newest", false, "the newest changes first")
	f.Var(&h.since, "since", "only changes at that time or later, or no longer ago")
	f.Var(&h.until, "until", "only changes before that time, or longer ago")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := h.check(); err != nil {
			return err
		}
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			name := ""
			if len(args) > 1 {
				name = args[1]
			}
			p, err := c.State().HistoryPage(ctx, args[0], name, h.options())
			if err != nil {
				return err
			}
			return writeChanges(cmd, out, &p)
		})
	}
	return cmd
}

func (h *historyFlags) check() error {
	switch {
	case h.newest && h.after != 0:
		return usagef("--after is for the oldest changes first: go on with --page")
	case !h.newest && h.page.token != "":
		return usagef("--page is for --newest: go on with --after")
	}
	return h.page.check()
}

func (h *historyFlags) options() fenfa.HistoryOptions {
	now := time.Now()
	return fenfa.HistoryOptions{
		Newest: h.newest, Since: h.since.at(now), Until: h.until.at(now), Size: h.page.limit, After: h.after, Token: h.page.token,
	}
}

// writeChanges shows a page of a history.
func writeChanges(cmd *cobra.Command, out *output, p *fenfa.HistoryPage) error {
	view := struct {
		Changes   []changeView `json:"changes"`
		NextAfter uint64       `json:"next_after,omitempty"`
		NextPage  string       `json:"next_page,omitempty"`
	}{Changes: make([]changeView, len(p.Changes)), NextAfter: p.After, NextPage: p.Token}
	rows := [][]string{{"SEQ", "AT", "OP", "NAME", "VERSION", "TASK", "WORKER", "VALUE"}}
	for i := range p.Changes {
		ch := &p.Changes[i]
		view.Changes[i] = viewChange(ch)
		rows = append(rows, []string{
			strconv.FormatUint(ch.Seq, 10), moment(ch.At), ch.Op, ch.Name, fmt.Sprintf("%d→%d", ch.VersionBefore, ch.VersionAfter),
			idText(ch.TaskID), ch.Worker, clip(ch.Value, 60),
		})
	}
	return out.write(cmd, view, func(w io.Writer) {
		table(w, rows)
		if p.After != 0 {
			fmt.Fprintf(w, "there are more: --after %d\n", p.After)
		}
		if p.Token != "" {
			fmt.Fprintf(w, "there are more: --page %s\n", p.Token)
		}
	})
}

// when is a flag with a time: a moment, or how long ago.
type when struct {
	text   string
	moment time.Time
	ago    time.Duration
}

// Set implements pflag.Value.
func (w *when) Set(text string) error {
	at, err := time.Parse(time.RFC3339, text)
	if err == nil {
		*w = when{text: text, moment: at}
		return nil
	}
	ago, err := time.ParseDuration(text)
	if err != nil || ago <= 0 {
		return errors.New("want a time like 2026-01-05T10:00:00Z, or how long ago, like 90m")
	}
	*w = when{text: text, ago: ago}
	return nil
}

// String implements pflag.Value.
func (w *when) String() string { return w.text }

// Type implements pflag.Value.
func (*when) Type() string { return "time" }

// at is the moment that is meant; the zero time: none was given.
func (w *when) at(now time.Time) time.Time {
	if w.ago != 0 {
		return now.Add(-w.ago)
	}
	return w.moment
}
