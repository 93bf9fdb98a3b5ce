package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fenfa/fenfa"
)

// batchOf is a batch of tasks whose ids are known.
func batchOf(t *testing.T, n int) (*outcomes, []string) {
	t.Helper()
	tasks, ids := make([]*fenfa.Task, n), make([]string, n)
	for i := range tasks {
		tasks[i] = fenfa.NewTask("q", i)
		ids[i] = tasks[i].ID().String()
	}
	return newOutcomes(tasks), ids
}

func TestTasksWithoutALineFailWithWhatIsKnown(t *testing.T) {
	failed := errors.New("exit code 3: disk on fire")
	for name, c := range map[string]struct {
		line  string // ID stands for that of the first task
		ended error
		kind  string
		want  string
	}{
		"nothing":            {"", nil, "retry", `the command wrote no outcome for this task: want a line {"id"`},
		"failed":             {"", failed, "retry", failed.Error()},
		"rejected":           {"", fenfa.Reject(failed), "rejected", failed.Error()},
		"no JSON":            {"ok", nil, "retry", "a line that is none: want one JSON object"},
		"another id":         {`{"id": "x", "outcome": "done"}`, nil, "retry", `no task of this batch has the id "x"`},
		"another outcome":    {`{"id": "ID", "outcome": "ok"}`, nil, "retry", `outcome "ok" is not known: want done, retry or reject`},
		"another field":      {`{"id": "ID", "outcome": "done", "after": "1s"}`, nil, "retry", `unknown field "after"`},
		"no duration":        {`{"id": "ID", "outcome": "retry", "retry_after": "soon"}`, nil, "retry", "retry_after: time: invalid duration"},
		"too long":           {strings.Repeat("x", maxOutcomeLine+1), nil, "retry", "the line is too long"},
		"retry":              {`{"id": "ID", "outcome": "retry", "error": "locked"}`, nil, "retry", "locked"},
		"retry, then failed": {`{"id": "ID", "outcome": "retry", "error": "locked"}`, failed, "retry", "locked"},
		"reject":             {`{"id": "ID", "outcome": "reject", "error": "no sku"}`, nil, "rejected", "no sku"},
		"no words":           {`{"id": "ID", "outcome": "reject"}`, nil, "rejected", "the command said no more"},
	} {
		t.Run(name, func(t *testing.T) {
			o, ids := batchOf(t, 1)
			w, ended := o.open()
			if _, err := w.Write([]byte(strings.Replace(c.line, "ID", ids[0], 1) + "\n")); err != nil {
				t.Fatal(err)
			}
			_ = w.Close()
			<-ended
			err := o.errors(c.ended)[0]
			if err == nil || kindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 500 {
				t.Errorf("got %s: %v, want %s: %s", kindOf(err), err, c.kind, c.want)
			}
		})
	}
}

func TestTheFirstOutcomeOfATaskCounts(t *testing.T) {
	o, ids := batchOf(t, 3)
	for _, line := range []string{
		`{"id": "` + ids[2] + `", "outcome": "retry", "error": "first", "retry_after": "1h"}`,
		`{"id": "` + ids[2] + `", "outcome": "reject", "error": "second"}`,
		`{"id": "` + ids[0] + `", "outcome": "reject", "error": "of another"}`,
	} {
		o.take([]byte(line), nil)
	}
	errs := o.errors(nil)
	if errs[0].Error() != "of another" || errs[2].Error() != "first" || !strings.Contains(errs[1].Error(), "has an outcome already") {
		t.Errorf("got %v", errs)
	}
}

func TestOneRunOfACommandHasSeveralTasks(t *testing.T) {
	interpreter(t, "python3")
	n := serveNode(t, t.TempDir())
	n.ok(t, new(queueView), "queue", "set", "rows", "--order", "none")
	var submitted struct{ Tasks []submittedView }
	n.ok(t, &submitted, "submit", "--queue", "rows", `{"sku": "a"}`, `{"sku": "b"}`, `{"sku": "c", "locked": true}`, `{}`)
	startWorker(t, n, "--queue", "rows", "--exec", example(t, "rows.py"), "--batch", "4", "--batch-linger", "10s")
	for i, want := range []string{"done", "done", "scheduled", "dead"} {
		got := awaitTask(t, n, submitted.Tasks[i].ID, want)
		if want == "done" && string(got.Result) != `{"rows":4}` {
			t.Errorf("task %d has the result %s", i, got.Result)
		}
		if want == "scheduled" && got.Error != "the row is locked" || want == "dead" && got.Error != "a row needs a sku" {
			t.Errorf("task %d failed with %q", i, got.Error)
		}
	}
}

// The second run waits for the first one for longer than an attempt may take: that time
// is not its own.
func TestWaitingForAnotherRunIsNotTheTimeOfAnAttempt(t *testing.T) {
	n := serveNode(t, t.TempDir())
	n.ok(t, new(queueView), "queue", "set", "rows", "--order", "none", "--attempt-timeout", "2s")
	dir := t.TempDir()
	goOn, begun := filepath.Join(dir, "go-on"), filepath.Join(dir, "begun")
	startWorker(t, n, "--queue", "rows", "--batch", "2", "--batch-linger", "0s", "--exec", `
		echo '{"extend": "10h"}' >&3
		touch `+begun+`
		until [ -e `+goOn+` ]; do sleep 0.05; done
		while read -r line; do
			id=${line#*'"id":"'}; echo "{\"id\": \"${id%%'"'*}\", \"outcome\": \"done\", \"result\": $FENFA_BATCH}"
		done`)
	var first, second struct{ Tasks []submittedView }
	n.ok(t, &first, "submit", "--queue", "rows", "1")
	waitFor(t, func() bool {
		_, err := os.Stat(begun)
		return err == nil
	})
	n.ok(t, &second, "submit", "--queue", "rows", "2")
	id, deadline := second.Tasks[0].ID, ""
	for range 3 { // Its time is moved again and again.
		before := deadline
		waitFor(t, func() bool {
			var got taskView
			n.ok(t, &got, "task", "get", id)
			if got.Running != nil {
				deadline = got.Running.Deadline
			}
			return deadline != before
		})
	}
	if err := os.WriteFile(goOn, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{first.Tasks[0].ID, id} {
		if got := awaitTask(t, n, id, "done"); got.Attempts != 0 || string(got.Result) != "1" {
			t.Errorf("it ended as %+v", got)
		}
	}
}
