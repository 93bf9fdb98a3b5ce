package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
)

func newTask() *cobra.Command {
	return group("task", "Look at tasks and cancel them", "Tell where a task is in its life, why, and what became of it; cancel tasks.", newTaskGet(), newTaskList(), newTaskExplain(), newTaskWait(), newTaskCancel())
}

func newTaskGet() *cobra.Command {
	cmd := &cobra.Command{
		Use: "get ID", Short: "Show one task: its state, attempts and result",
		Example: "  fenfa task get 0190a5f2-7b1c-7d3e-8f4a-5b6c7d8e9f01", Args: exactly("ID"),
	}
	to, out := targetFlags(cmd), outputFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := fenfa.ParseID(args[0])
		if err != nil {
			return err
		}
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			status, err := c.Task(ctx, id)
			if err != nil {
				return hinted(err, "results are kept for the queue's result_ttl; is it the right node?", fenfa.CodeNotFound)
			}
			return out.write(cmd, viewTask(status), func(w io.Writer) { writeTask(w, status) })
		})
	}
	return cmd
}

func writeTask(w io.Writer, s *fenfa.TaskStatus) {
	rows := [][2]string{
		{"id", s.ID.String()},
		{"state", string(s.State)},
		{"queue", s.Queue},
		{"key", s.Key},
		{"created", moment(s.CreatedAt)},
		{"next", moment(s.NextAt)},
		{"started", moment(s.StartedAt)},
		{"finished", moment(s.FinishedAt)},
		{"attempts", fmt.Sprintf("%d failed, handed out %d times", s.Attempts, s.Deliveries)},
		{"waits for", s.WaitsFor},
		{"worker", s.Worker},
		{"running", runningText(s.Running)},
		{"error", s.Error},
		{"result", clip(s.Result, 2000)},
	}
	if s.Task != nil {
		rows = append(rows, [2]string{"type", s.Task.Type()}, [2]string{"payload", clip(s.Task.Payload(), 2000)})
		if place := placementText(s.Task.Placement()); place != "-" {
			rows = append(rows, [2]string{"placement", place})
		}
	}
	pairs(w, rows)
	writeHistory(w, s.History)
}

// runningText says how far the attempt is that is under way.
func runningText(r *fenfa.RunningAttempt) string {
	switch {
	case r == nil:
		return ""
	case r.StartedAt.IsZero():
		return "waits at its worker behind others of its lease"
	}
	text := fmt.Sprintf("since %s, until %s", moment(r.StartedAt), moment(r.Deadline))
	if !r.HeardAt.IsZero() {
		text += fmt.Sprintf(", worker heard %v ago", max(time.Since(r.HeardAt), 0).Round(time.Millisecond))
	}
	if p := r.Progress; p != nil {
		text += fmt.Sprintf("; %.0f%% %s", 100*p.Ratio, clip([]byte(p.Text), 200))
	}
	return text
}

func writeHistory(w io.Writer, history []fenfa.Attempt) {
	if len(history) == 0 {
		return
	}
	rows := [][]string{{"FAILED AT", "AFTER", "WORKER", "ERROR"}}
	for _, a := range history {
		took := "-"
		if !a.StartedAt.IsZero() {
			took = rough(a.At.Sub(a.StartedAt)).String()
		}
		rows = append(rows, []string{moment(a.At), took, a.Worker, clip([]byte(a.Error), 120)})
	}
	fmt.Fprintln(w)
	table(w, rows)
}
