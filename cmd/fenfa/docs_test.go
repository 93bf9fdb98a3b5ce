package main

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func TestReferenceIsFresh(t *testing.T) {
	want := reference(newRoot(streams{in: strings.NewReader(""), out: io.Discard, err: io.Discard}))
	got, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/cli.md is stale: run `make generate`")
	}
}

func TestEveryCommandSaysWhatItDoes(t *testing.T) {
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Short == "" {
			t.Errorf("`%s` has no description", cmd.CommandPath())
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" && !f.Hidden {
				t.Errorf("`%s` has a flag --%s without a description", cmd.CommandPath(), f.Name)
			}
		})
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(newRoot(streams{in: strings.NewReader(""), out: io.Discard, err: io.Discard}))
}

// A promise of the command line: what looks at things does so for programs too.
func TestEveryCommandThatShowsSomethingHasJSON(t *testing.T) {
	without := map[string]bool{"serve": true, "worker": true, "demo-worker": true, "bench-worker": true, "docs": true, "help": true, "completion": true}
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if without[cmd.Name()] {
			return
		}
		if !cmd.HasSubCommands() && cmd.Flags().Lookup("json") == nil {
			t.Errorf("`%s` has no --json", cmd.CommandPath())
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(newRoot(streams{in: strings.NewReader(""), out: io.Discard, err: io.Discard}))
}
