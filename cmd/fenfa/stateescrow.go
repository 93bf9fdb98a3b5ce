package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
)

func newStateEscrow() *cobra.Command {
	cmd := &cobra.Command{
		Use: "escrow KEY NAME", Short: "Declare a record a bounded counter, or anew", Args: exactly("KEY", "NAME"),
		Long: "Declare a record escrow: a number that never leaves its bounds, and that transactions add\n" +
			"to without conflicts, by \"add\" in `fenfa state commit` or by a handler. Plain writes of it\n" +
			"are refused from then on. One of --new and --version says what the record is now; a counter\n" +
			"that is declared anew gets another value and other bounds. On a conflict nothing is changed,\n" +
			"and the exit code is that of a refusal.",
		Example: "  fenfa state escrow SKU-1 stock --value 100 --new\n  fenfa state escrow SKU-1 stock --value 80 --max 500 --version 17\n  fenfa state escrow SKU-1 stock --delete --version 18",
	}
	to, out := targetFlags(cmd), outputFlags(cmd)
	var x fenfa.Escrow
	var fresh, remove bool
	var version uint64
	var most int64
	f := cmd.Flags()
	f.Int64Var(&x.Value, "value", 0, "the counter's value")
	f.Int64Var(&x.Min, "min", 0, "the value never goes below it")
	f.Int64Var(&most, "max", 0, "the value never goes above it; without the flag there is no such bound")
	f.BoolVar(&fresh, "new", false, "the record must not exist")
	f.Uint64Var(&version, "version", 0, "the version that the record must have")
	f.BoolVar(&remove, "delete", false, "delete the counter; needs --version")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case fresh == (version > 0):
			return usagef("say which version is expected").withHint("one of --new, --version N")
		case remove && (fresh || f.Changed("value") || f.Changed("min") || f.Changed("max")):
			return usagef("--delete needs --version, and nothing else")
		case f.Changed("max"):
			x.Max = &most
		}
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			commit, done := c.State().NewCommit(), "declared"
			if remove {
				commit, done = commit.DeleteEscrow(args[0], args[1], version), "deleted"
			} else {
				commit.Escrow(args[0], args[1], x, version)
			}
			if _, err := commit.Do(ctx); err != nil {
				return hinted(err, fmt.Sprintf("read it again with `fenfa state get %s %s`, and decide anew", args[0], args[1]), fenfa.CodeConflict)
			}
			view := struct {
				Key  string `json:"key"`
				Name string `json:"name"`
				Done string `json:"done"`
			}{args[0], args[1], done}
			return out.write(cmd, view, func(w io.Writer) { fmt.Fprintln(w, done) })
		})
	}
	return cmd
}
