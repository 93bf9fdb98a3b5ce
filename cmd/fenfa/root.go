package main

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fenfa/fenfa/internal/spell"
)

// newRoot builds the whole command tree.
func newRoot(std streams) *cobra.Command {
	root := group("fenfa", "Distribute tasks to workers: durable, in order, exactly once in effect",
		"fenfa is a highly available task distribution system: it makes tasks durable before it\n"+
			"says yes, hands them to workers in order where order matters, retries what fails, and\n"+
			"keeps the state that the tasks change consistent.\n\n"+
			"Start a node with `fenfa serve`, or watch the whole system work with `fenfa demo`.")
	root.SilenceErrors, root.SilenceUsage = true, true
	root.DisableSuggestions = true
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetIn(std.in)
	root.SetOut(std.out)
	root.SetErr(std.err)
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(
		newServe(), newDemo(), newDemoWorker(), newBenchWorker(), newSubmit(), newWorker(),
		newTask(), newQueue(), newDead(), newState(), newLock(), newSaga(), newCron(), newCluster(),
		newToken(), newActivity(), newTop(), newBalance(), newBridge(), newBench(), newVersion(), newDocs(),
	)
	return root
}

// group makes a command that only holds others.
func group(use, short, long string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Long: long}
	cmd.AddCommand(commands...)
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return unknownCommand(cmd, args[0])
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !cmd.HasParent() {
			return cmd.Help()
		}
		return usagef("`%s` needs a subcommand", cmd.CommandPath()).withHint("one of: %s", strings.Join(names(cmd), ", "))
	}
	return cmd
}

// names returns the subcommands that are meant for people.
func names(cmd *cobra.Command) []string {
	var known []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			known = append(known, sub.Name())
		}
	}
	return known
}

func unknownCommand(cmd *cobra.Command, name string) error {
	err := usagef("`%s` has no subcommand %q", cmd.CommandPath(), name)
	if near, ok := spell.Nearest(name, names(cmd)); ok {
		return err.withHint("did you mean `%s %s`?", cmd.CommandPath(), near)
	}
	return err.withHint("see `%s --help` for all of them", cmd.CommandPath())
}

// flagError explains a flag that is unknown, or whose value is wrong.
func flagError(cmd *cobra.Command, cause error) error {
	if wrong, ok := errors.AsType[*pflag.InvalidValueError](cause); ok {
		return usagef("--%s is %q: %s", wrong.GetFlag().Name, wrong.GetValue(), wrongValue(wrong)).withHint("see `%s --help`", cmd.CommandPath())
	}
	err := usagef("%s: %v", cmd.CommandPath(), cause)
	name, unknown := strings.CutPrefix(cause.Error(), "unknown flag: --")
	if !unknown {
		return err.withHint("see `%s --help`", cmd.CommandPath())
	}
	name, _, _ = strings.Cut(name, "=")
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			known = append(known, f.Name)
		}
	})
	err = usagef("`%s` has no flag --%s", cmd.CommandPath(), name)
	if near, ok := spell.Nearest(name, known); ok {
		return err.withHint("did you mean --%s?", near)
	}
	return err.withHint("see `%s --help` for all of them", cmd.CommandPath())
}

// wrongValue says what a flag wants, in words of people and not of the parser.
func wrongValue(wrong *pflag.InvalidValueError) string {
	if errors.Is(wrong, strconv.ErrRange) {
		return "the number is out of range"
	}
	switch wrong.GetFlag().Value.Type() {
	case "float64":
		return "want a number"
	case "int", "int64", "uint64":
		return "want a whole number"
	case "duration":
		return "want a duration like 300ms, 1.5s or 2h"
	case "bool":
		return "want true or false"
	default:
		return wrong.Unwrap().Error()
	}
}

// exactly demands the named arguments and no others.
func exactly(arguments ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(arguments):
			return usagef("`%s` needs %s", cmd.CommandPath(), strings.Join(arguments[len(args):], " and ")).
				withHint("usage: %s", cmd.UseLine())
		case len(args) > len(arguments):
			return usagef("`%s` does not take %q", cmd.CommandPath(), args[len(arguments)]).
				withHint("usage: %s", cmd.UseLine())
		}
		return nil
	}
}

// oneOf returns an error when the value of a flag is not one of those known.
func oneOf(flag, value string, known ...string) error {
	if slices.Contains(known, value) {
		return nil
	}
	err := usagef("--%s is %q: want %s", flag, value, strings.Join(known, " or "))
	if near, ok := spell.Nearest(value, known); ok {
		return err.withHint("did you mean %s?", near)
	}
	return err
}
