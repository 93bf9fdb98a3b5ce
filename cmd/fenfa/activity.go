package main

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
)

func newActivity() *cobra.Command {
	return group("activity", "See who has changed what",
		"Each change of settings, dead letters, schedules, tokens and workers that a person or a\n"+
			"program asks for is kept with who asked, when, and how it ended.",
		newActivityList())
}

// activityView is an entry in JSON.
type activityView struct {
	At      string          `json:"at"`
	Actor   string          `json:"actor,omitempty"`
	TokenID string          `json:"token_id,omitempty"`
	Address string          `json:"address,omitempty"`
	Node    string          `json:"node,omitempty"`
	Method  string          `json:"method"`
	On      []string        `json:"on,omitempty"`
	Request json.RawMessage `json:"request,omitempty"`
	Outcome string          `json:"outcome"`
	Message string          `json:"message,omitempty"`
	TookMS  float64         `json:"took_ms"`
}

func viewActivity(a *fenfa.Activity) activityView {
	request, _ := viewBytes([]byte(a.Request))
	return activityView{
		At: timeView(a.At), Actor: a.Actor, TokenID: a.TokenID, Address: a.Address, Node: a.Node, Method: a.Method, On: a.On,
		Request: request, Outcome: a.Outcome, Message: a.Message, TookMS: float64(a.Took.Microseconds()) / 1000,
	}
}

func newActivityList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List who has changed what, newest first",
		Example: "  fenfa activity list --since 1h\n  fenfa activity list --actor ci --method Queue --json", Args: exactly(),
	}
	to, out, part := targetFlags(cmd), outputFlags(cmd), pageFlags(cmd)
	since := cmd.Flags().Duration("since", 24*time.Hour, "only what was changed within this time")
	var filter fenfa.ActivityFilter
	cmd.Flags().StringVar(&filter.Actor, "actor", "", "only what the token with this name has changed")
	cmd.Flags().StringVar(&filter.Method, "method", "", "only methods with this in their name, like Queue or TokenService.Create")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := part.check(); err != nil {
			return err
		}
		if *since <= 0 {
			return usagef("--since is %v: want more than 0", *since)
		}
		filter.Since = time.Now().Add(-*since)
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			all, next, err := c.Activity(ctx, filter, fenfa.Page{Size: part.limit, Token: part.token})
			if err != nil {
				return err
			}
			view := struct {
				Activities []activityView `json:"activities"`
				Next       string         `json:"next,omitempty"`
			}{Activities: make([]activityView, len(all)), Next: next}
			rows := [][]string{{"AT", "ACTOR", "FROM", "METHOD", "ON", "OUTCOME"}}
			for i := range all {
				a := &all[i]
				view.Activities[i] = viewActivity(a)
				rows = append(rows, []string{
					moment(a.At), orDash(a.Actor), orDash(a.Address), a.Method, orDash(clip([]byte(strings.Join(a.On, " ")), 60)), a.Outcome,
				})
			}
			return out.write(cmd, view, func(w io.Writer) { table(w, rows); more(w, next) })
		})
	}
	return cmd
}
