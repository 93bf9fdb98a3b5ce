package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
)

func newTaskList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "Search tasks by queue, state, key, type, time and payload", Args: exactly(),
		Long: "Search tasks, in no particular order. The node looks at a bounded part of them at a time,\n" +
			"so that a search does not hurt it: many tasks take a while. What it cannot look at, such\n" +
			"as tasks in the broker's log that it has not read, it says.",
		Example: "  fenfa task list --queue orders --state running\n  fenfa task list --key SKU-1 --text '\"qty\":3' --since 2h --json",
	}
	to, out, part := targetFlags(cmd), outputFlags(cmd), pageFlags(cmd)
	var filter fenfa.TaskFilter
	f := cmd.Flags()
	f.StringVar(&filter.Queue, "queue", "", "only of this queue")
	f.StringVar((*string)(&filter.State), "state", "", "only in this state: queued, scheduled, ready, running, done, dead, cancelled, expired")
	f.StringVar(&filter.Key, "key", "", "only of this key")
	f.StringVar(&filter.Type, "type", "", "only of this type")
	f.StringVar(&filter.Text, "text", "", "only with this text in the payload")
	f.Var((*momentFlag)(&filter.Since), "since", "only those accepted at this moment (RFC 3339, or like 90m ago) or later")
	f.Var((*momentFlag)(&filter.Until), "until", "only those accepted before this moment")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := part.check(); err != nil {
			return err
		}
		page, err := firstFound(cmd.Context(), to, filter, fenfa.Page{Size: part.limit, Token: part.token})
		if err != nil {
			return hinted(err, listQueues, fenfa.CodeNotFound)
		}
		return writeTasks(cmd, out, page)
	}
	return cmd
}

// firstFound returns the first page of a search that has tasks, or the last one. Each
// call has the whole timeout: one looks at a bounded part only.
func firstFound(ctx context.Context, to *target, filter fenfa.TaskFilter, at fenfa.Page) (page fenfa.TaskPage, err error) {
	client, err := to.dial()
	if err != nil {
		return page, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	for {
		err = to.ask(ctx, client, func(ctx context.Context, c *fenfa.Client) (err error) {
			page, err = c.Tasks(ctx, filter, at)
			return err
		})
		if err != nil || len(page.Tasks) > 0 || page.Next == "" {
			return page, err
		}
		at.Token = page.Next
	}
}

// writeTasks shows a page of a search.
func writeTasks(cmd *cobra.Command, out *output, page fenfa.TaskPage) error {
	view := struct {
		Tasks      []taskView `json:"tasks"`
		Next       string     `json:"next,omitempty"`
		Incomplete []string   `json:"incomplete,omitempty"`
	}{Tasks: make([]taskView, len(page.Tasks)), Next: page.Next, Incomplete: page.Incomplete}
	rows := [][]string{{"ID", "STATE", "QUEUE", "KEY", "CREATED", "ATTEMPTS", "PAYLOAD"}}
	for i, t := range page.Tasks {
		view.Tasks[i] = viewTask(t)
		payload := ""
		if t.Task != nil {
			payload = clip(t.Task.Payload(), 60)
		}
		rows = append(rows, []string{t.ID.String(), string(t.State), t.Queue, clip([]byte(t.Key), 40), moment(t.CreatedAt), fmt.Sprint(t.Attempts), payload})
	}
	return out.write(cmd, view, func(w io.Writer) {
		table(w, rows)
		for _, why := range page.Incomplete {
			fmt.Fprintf(w, "incomplete: %s\n", why)
		}
		more(w, page.Next)
	})
}
