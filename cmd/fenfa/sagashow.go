package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
)

func newSagaShow() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show a saga: its steps and its timeline", Args: exactly("ID"),
		Example: "  fenfa saga show order-17\n  fenfa saga show order-17 --mermaid >order-17.mmd",
	}
	to, out := targetFlags(cmd), outputFlags(cmd)
	mermaid := cmd.Flags().Bool("mermaid", false, "write a diagram for Mermaid")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *mermaid && out.json {
			return usagef("--mermaid and --json do not go together")
		}
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			saga, definition, err := c.Sagas().Get(ctx, args[0])
			if err != nil {
				return hinted(err, "`fenfa saga list` shows the sagas that there are", fenfa.CodeNotFound)
			}
			view := struct {
				sagaView
				Definition definitionView `json:"definition"`
			}{viewSaga(&saga), viewDefinition(&definition)}
			return out.write(cmd, view, func(w io.Writer) {
				if *mermaid {
					drawSaga(w, &saga)
					return
				}
				showSaga(w, &saga)
			})
		})
	}
	return cmd
}

// showSaga writes a saga for a person.
func showSaga(w io.Writer, s *fenfa.Saga) {
	pairs(w, [][2]string{
		{"saga", s.ID},
		{"definition", s.Name + " " + s.Version},
		{"status", string(s.Status)},
		{"reason", s.Reason},
		{"started", moment(s.StartedAt)},
		{"deadline", moment(s.DeadlineAt)},
		{"ended", moment(s.EndedAt)},
		{"input", clip(s.Input, 200)},
	})
	rows := [][]string{{"STEP", "STATE", "TRY", "ATTEMPTS", "UNDO", "TASK", "ERROR"}}
	for i := range s.Steps {
		step := &s.Steps[i]
		latest := step.Run
		if step.Compensation.Phase != "" {
			latest = step.Compensation
		}
		rows = append(rows, []string{
			step.Name, phaseOf(&step.Run), some(step.Run.Try), some(step.Run.Attempts), undoOf(step), idText(latest.TaskID), clip([]byte(latest.Error), 80),
		})
	}
	fmt.Fprintln(w)
	table(w, rows)
	fmt.Fprintln(w)
	timeline(w, s)
	if s.Status == fenfa.SagaHalted {
		fmt.Fprintf(w, "\nit waits for a person: `fenfa saga retry %[1]s`, `fenfa saga skip %[1]s` or `fenfa saga compensate %[1]s`\n", s.ID)
	}
}

// some is a number, and nothing for none.
func some(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// phaseOf says where a step is, and of one that runs where its task is.
func phaseOf(r *fenfa.SagaRun) string {
	switch {
	case r.Phase == "":
		return "-"
	case r.Phase == "running" && r.TaskState != "" && r.TaskState != fenfa.StateUnknown:
		text := "running (" + string(r.TaskState)
		if !r.NextAt.IsZero() {
			text += " until " + moment(r.NextAt)
		}
		return text + ")"
	default:
		return r.Phase
	}
}

func undoOf(s *fenfa.SagaStepState) string {
	if !s.Compensable {
		return "none"
	}
	return phaseOf(&s.Compensation)
}

// timeline writes what happened, one event a line.
func timeline(w io.Writer, s *fenfa.Saga) {
	if len(s.Events) == 0 {
		return
	}
	begin := s.StartedAt
	times, marks := make([]string, len(s.Events)), map[string]string{
		"started": "*", "began": ">", "done": "+", "dead": "x", "skipped": "~", "compensating": "<", "ended": "*",
	}
	for i := range s.Events {
		times[i] = since(begin, s.Events[i].At)
	}
	width := longest(times)
	for i := range s.Events {
		if i == 1 && s.Dropped > 0 {
			fmt.Fprintf(w, "%*s    (%d events are not kept)\n", width, "", s.Dropped)
		}
		e := &s.Events[i]
		fmt.Fprintf(w, "%*s  %s %s\n", width, times[i], marks[e.What], line(e, s))
	}
}

// line is one event in words.
func line(e *fenfa.SagaEvent, s *fenfa.Saga) string {
	text := e.What
	switch {
	case e.What == "ended":
		text = string(s.Status)
		if !s.Status.Final() {
			text = "ended"
		}
	case e.Step != "" && e.Compensation:
		text = "undo " + e.Step + " " + e.What
	case e.Step != "":
		text = e.Step + " " + e.What
	}
	var more []string
	if e.Try > 1 {
		more = append(more, "try "+strconv.Itoa(e.Try))
	}
	if e.Attempts > 0 {
		more = append(more, plural(int64(e.Attempts), "failed attempt"))
	}
	if e.Worker != "" {
		more = append(more, "at "+e.Worker)
	}
	if e.OperationID != "" {
		more = append(more, "operation "+e.OperationID)
	}
	if len(more) > 0 {
		text += " (" + strings.Join(more, ", ") + ")"
	}
	if e.Text != "" {
		text += ": " + e.Text
	}
	return text
}

// drawSaga writes a flow chart: the steps from top to bottom, those of one stage
// side by side, and beside each its compensation, in the colours of their phases.
func drawSaga(w io.Writer, s *fenfa.Saga) {
	fmt.Fprintln(w, "flowchart TD")
	fmt.Fprintf(w, "    begin([%s])\n", quoted(s.ID+"<br>"+s.Name))
	before := []string{"begin"}
	for i := 0; i < len(s.Steps); {
		var stage []string
		for number := s.Steps[i].Stage; i < len(s.Steps) && s.Steps[i].Stage == number; i++ {
			step := &s.Steps[i]
			node := "s" + strconv.Itoa(i)
			stage = append(stage, node)
			fmt.Fprintf(w, "    %s[%s]:::%s\n", node, quoted(step.Name+"<br>"+word(&step.Run)), class(&step.Run))
			if step.Compensable {
				fmt.Fprintf(w, "    %s -.-> u%d[%s]:::%s\n", node, i, quoted("undo "+step.Name+"<br>"+word(&step.Compensation)), class(&step.Compensation))
			}
		}
		for _, from := range before {
			for _, to := range stage {
				fmt.Fprintf(w, "    %s --> %s\n", from, to)
			}
		}
		before = stage
	}
	for _, from := range before {
		fmt.Fprintf(w, "    %s --> finish\n", from)
	}
	fmt.Fprintf(w, "    finish([%s])\n", quoted(string(s.Status)))
	for _, c := range [][2]string{
		{"none", "fill:#eee,stroke:#999"},
		{"running", "fill:#cde,stroke:#36c"},
		{"done", "fill:#cec,stroke:#383"},
		{"dead", "fill:#ecc,stroke:#a33"},
		{"skipped", "fill:#eec,stroke:#993"},
	} {
		fmt.Fprintf(w, "    classDef %s %s\n", c[0], c[1])
	}
}

func word(r *fenfa.SagaRun) string {
	if r.Phase == "" {
		return "-"
	}
	return r.Phase
}

func class(r *fenfa.SagaRun) string {
	if r.Phase == "" {
		return "none"
	}
	return r.Phase
}

// quoted makes a label of any text.
func quoted(text string) string {
	return `"` + strings.NewReplacer(`"`, "#quot;", "\n", " ").Replace(text) + `"`
}
