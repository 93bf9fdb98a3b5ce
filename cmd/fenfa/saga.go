package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
)

const listDefinitions = "`fenfa saga definitions` shows all that there are"

func newSaga() *cobra.Command {
	return group("saga", "Run long transactions of tasks, each with its undo",
		"A saga is a row of steps, which are tasks of ordinary queues. When one is dead, what was\n"+
			"done is undone by compensations, newest first. Each transition takes effect once.",
		newSagaDefine(), newSagaDefinitions(), newSagaStart(), newSagaList(), newSagaShow(),
		newSagaRetry(), newSagaSkip(), newSagaCompensate())
}

func newSagaDefine() *cobra.Command {
	cmd := &cobra.Command{
		Use: "define FILE", Short: "Store a definition of a saga, from YAML", Args: exactly("FILE"),
		Long: "Store a definition of a saga, from YAML; - reads standard input. From now on it is the\n" +
			"latest of its name; sagas that run keep the one they began with.",
		Example: "  fenfa saga define order.yaml",
	}
	to, out := targetFlags(cmd), outputFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		content, err := readFile(cmd, args[0])
		if err != nil {
			return err
		}
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			now, created, err := c.Sagas().DefineYAML(ctx, content)
			if err != nil {
				return err
			}
			view := struct {
				definitionView
				Created bool `json:"created"`
			}{viewDefinition(&now), created}
			return out.write(cmd, view, func(w io.Writer) {
				what := "defined"
				if !created {
					what = "nothing changed:"
				}
				fmt.Fprintf(w, "%s saga %s, version %s, %s\n", what, now.Name, now.Version, plural(int64(countSteps(&now)), "step"))
			})
		})
	}
	return cmd
}

// readFile reads a file, or with - standard input.
func readFile(cmd *cobra.Command, name string) ([]byte, error) {
	if name == "-" {
		b, err := io.ReadAll(cmd.InOrStdin())
		if err != nil {
			return nil, fmt.Errorf("read standard input: %w", err)
		}
		return b, nil
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("open input: %w", err)
	}
	return b, nil
}

func newSagaDefinitions() *cobra.Command {
	cmd := &cobra.Command{Use: "definitions", Short: "List the latest definitions", Args: exactly(), Example: "  fenfa saga definitions"}
	to, out := targetFlags(cmd), outputFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			all, err := c.Sagas().Definitions(ctx)
			if err != nil {
				return err
			}
			view := struct {
				Definitions []definitionView `json:"definitions"`
			}{make([]definitionView, len(all))}
			rows := [][]string{{"NAME", "VERSION", "DEADLINE", "STEPS"}}
			for i := range all {
				view.Definitions[i] = viewDefinition(&all[i])
				rows = append(rows, []string{all[i].Name, all[i].Version, durationText(all[i].Deadline), stepNames(&all[i])})
			}
			return out.write(cmd, view, func(w io.Writer) { table(w, rows) })
		})
	}
	return cmd
}

// stepNames are the steps in short: "reserve, (pay | label), ship".
func stepNames(d *fenfa.SagaDefinition) string {
	stages := make([]string, len(d.Stages))
	for i, stage := range d.Stages {
		names := make([]string, len(stage))
		for j := range stage {
			names[j] = stage[j].Name
		}
		if stages[i] = strings.Join(names, " | "); len(names) > 1 {
			stages[i] = "(" + stages[i] + ")"
		}
	}
	return strings.Join(stages, ", ")
}

func countSteps(d *fenfa.SagaDefinition) (n int) {
	for _, stage := range d.Stages {
		n += len(stage)
	}
	return n
}

func newSagaStart() *cobra.Command {
	cmd := &cobra.Command{
		Use: "start NAME ID [INPUT]", Short: "Start a saga",
		Long: "Start a saga by the latest definition of the name. The same ID with the same input again is\n" +
			"the saga that there is, so a start can be repeated.",
		Example: "  fenfa saga start order order-17 '{\"sku\":\"A-1\",\"n\":2}'",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 {
				return nil
			}
			return exactly("NAME", "ID", "INPUT")(cmd, args)
		},
	}
	to, out := targetFlags(cmd), outputFlags(cmd)
	version := cmd.Flags().String("definition", "", "the version of the definition; default the latest")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var input any
		if len(args) == 3 {
			input = args[2]
		}
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			saga, duplicate, err := c.Sagas().StartVersion(ctx, args[0], *version, args[1], input)
			if err != nil {
				return hinted(err, listDefinitions, fenfa.CodeNotFound)
			}
			view := struct {
				sagaView
				Duplicate bool `json:"duplicate"`
			}{viewSaga(&saga), duplicate}
			return out.write(cmd, view, func(w io.Writer) {
				what := "started"
				if duplicate {
					what = "was started before:"
				}
				fmt.Fprintf(w, "%s saga %s, which is %s\n", what, saga.ID, saga.Status)
			})
		})
	}
	return cmd
}

func newSagaList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list [PREFIX]", Short: "List sagas", Example: "  fenfa saga list --status halted",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return exactly("PREFIX")(cmd, args)
		},
	}
	to, out, part := targetFlags(cmd), outputFlags(cmd), pageFlags(cmd)
	name := cmd.Flags().String("name", "", "only sagas of this definition")
	status := cmd.Flags().String("status", "", "only sagas in this status: "+strings.Join(sagaStatuses(), ", "))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := part.check(); err != nil {
			return err
		}
		if *status != "" {
			if err := oneOf("status", *status, sagaStatuses()...); err != nil {
				return err
			}
		}
		opts := fenfa.ListSagasOptions{Name: *name, Status: fenfa.SagaStatus(*status), Page: fenfa.Page{Size: part.limit, Token: part.token}}
		if len(args) > 0 {
			opts.Prefix = args[0]
		}
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			sagas, next, err := fullPage(ctx, c, opts)
			if err != nil {
				return err
			}
			view := struct {
				Sagas []sagaView `json:"sagas"`
				Next  string     `json:"next,omitempty"`
			}{make([]sagaView, len(sagas)), next}
			rows := [][]string{{"ID", "NAME", "STATUS", "STARTED", "STEPS", "REASON"}}
			for i := range sagas {
				s := &sagas[i]
				view.Sagas[i] = viewSaga(s)
				rows = append(rows, []string{clip([]byte(s.ID), 40), s.Name, string(s.Status), moment(s.StartedAt), stepsOf(s), clip([]byte(s.Reason), 60)})
			}
			return out.write(cmd, view, func(w io.Writer) { table(w, rows); more(w, next) })
		})
	}
	return cmd
}

func sagaStatuses() []string {
	return []string{
		string(fenfa.SagaRunning), string(fenfa.SagaCompensating), string(fenfa.SagaHalted), string(fenfa.SagaDone), string(fenfa.SagaCompensated),
	}
}

// fullPage asks on while pages are short because of what they leave out.
func fullPage(ctx context.Context, c *fenfa.Client, opts fenfa.ListSagasOptions) (sagas []fenfa.Saga, next string, err error) {
	most := opts.Size
	for {
		opts.Size = most - len(sagas)
		found, next, err := c.Sagas().List(ctx, opts)
		if err != nil {
			return nil, "", err
		}
		sagas = append(sagas, found...)
		if next == "" || len(sagas) >= most {
			return sagas, next, nil
		}
		opts.Token = next
	}
}

// stepsOf says how many steps are done, and how many of these are undone.
func stepsOf(s *fenfa.Saga) string {
	done, undone := 0, 0
	for i := range s.Steps {
		if s.Steps[i].Run.Phase == "done" {
			done++
		}
		if s.Steps[i].Compensation.Phase == "done" {
			undone++
		}
	}
	text := strconv.Itoa(done) + "/" + strconv.Itoa(len(s.Steps))
	if undone > 0 {
		text += ", " + strconv.Itoa(undone) + " undone"
	}
	return text
}

// operationFlags are those of commands that a person gives.
func operationFlags(cmd *cobra.Command, step, reason bool) *fenfa.Operation {
	op := &fenfa.Operation{}
	cmd.Flags().StringVar(&op.ID, "operation", "", "an id of at most 64 bytes: a repeat with the same one changes nothing; default a new one")
	if step {
		cmd.Flags().StringVar(&op.Step, "step", "", "only this step; default all that wait")
	}
	if reason {
		cmd.Flags().StringVar(&op.Reason, "reason", "", "what the timeline says about it")
	}
	return op
}

// operate makes the command of an operation.
func operate(cmd *cobra.Command, op *fenfa.Operation, do func(*fenfa.Sagas) func(context.Context, string, fenfa.Operation) (fenfa.Saga, error)) *cobra.Command {
	to, out := targetFlags(cmd), outputFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			saga, err := do(c.Sagas())(ctx, args[0], *op)
			if err != nil {
				return hinted(err, "`fenfa saga list` shows the sagas that there are", fenfa.CodeNotFound)
			}
			return out.write(cmd, viewSaga(&saga), func(w io.Writer) {
				fmt.Fprintf(w, "saga %s is %s\n", saga.ID, saga.Status)
			})
		})
	}
	return cmd
}

func newSagaRetry() *cobra.Command {
	cmd := &cobra.Command{
		Use: "retry ID", Short: "Begin again what waits for a person", Args: exactly("ID"),
		Example: "  fenfa saga retry order-17\n  fenfa saga retry order-17 --step payment",
	}
	return operate(cmd, operationFlags(cmd, true, false),
		func(s *fenfa.Sagas) func(context.Context, string, fenfa.Operation) (fenfa.Saga, error) {
			return s.Retry
		})
}

func newSagaSkip() *cobra.Command {
	cmd := &cobra.Command{
		Use: "skip ID", Short: "Go on as if what waits for a person were done", Args: exactly("ID"),
		Long: "Go on as if the steps and compensations that wait for a person were done. A step that is\n" +
			"skipped has no result and is not compensated.",
		Example: "  fenfa saga skip order-17 --step payment --reason \"paid in cash\"",
	}
	return operate(cmd, operationFlags(cmd, true, true),
		func(s *fenfa.Sagas) func(context.Context, string, fenfa.Operation) (fenfa.Saga, error) { return s.Skip })
}

func newSagaCompensate() *cobra.Command {
	cmd := &cobra.Command{
		Use: "compensate ID", Short: "Undo what a saga did, also of one that is done", Args: exactly("ID"),
		Long:    "Undo what a saga did, newest step first, also of a saga that is done. Steps that run are\nwaited for, and then undone too.",
		Example: "  fenfa saga compensate order-17 --reason \"the customer changed his mind\"",
	}
	return operate(cmd, operationFlags(cmd, false, true),
		func(s *fenfa.Sagas) func(context.Context, string, fenfa.Operation) (fenfa.Saga, error) {
			return s.Compensate
		})
}

// since is the time from the start of a saga, for its timeline.
func since(start, at time.Time) string {
	return "+" + at.Sub(start).Round(time.Millisecond).String()
}

// longest is the most runes of any text.
func longest(texts []string) int {
	return len([]rune(slices.MaxFunc(texts, func(a, b string) int { return len([]rune(a)) - len([]rune(b)) })))
}
