package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestACommandSaysHowFarItIs(t *testing.T) {
	n := serveNode(t, t.TempDir())
	n.ok(t, new(queueView), "queue", "set", "render", "--attempt-timeout", "30s")
	var submitted struct{ Tasks []submittedView }
	n.ok(t, &submitted, "submit", "--queue", "render", "{}")
	goOn := filepath.Join(t.TempDir(), "go-on")
	startWorker(t, n, "--queue", "render", "--exec", `
		echo '{"ratio": 0.25}' >&"$FENFA_PROGRESS_FD"
		echo nonsense >&3
		echo '{"text": "page 1", "extend": "10h"}' >&3
		until [ -e `+goOn+` ]; do sleep 0.05; done
		echo ok`)
	id := submitted.Tasks[0].ID
	waitFor(t, func() bool {
		var got taskView
		n.ok(t, &got, "task", "get", id)
		if got.Running == nil || got.Running.Progress == nil || got.Running.Progress.Text == "" {
			return false
		}
		if p := got.Running.Progress; p.Ratio != 0.25 || p.Text != "page 1" {
			t.Errorf("progress %+v", p)
		}
		deadline, err := time.Parse(time.RFC3339Nano, got.Running.Deadline)
		return err == nil && time.Until(deadline) > 9*time.Hour
	})
	if err := os.WriteFile(goOn, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := awaitTask(t, n, id, "done"); string(got.Result) != `"ok"` || got.StartedAt == "" {
		t.Errorf("it ended as %+v", got)
	}
}

func TestLinesAboutProgressAreReadOrSaidToBeWrong(t *testing.T) {
	for line, want := range map[string]string{
		`{"ratio": 0.5, "text": "a", "extend": "1m30s", "id": "x"}`: "",
		`{}`:                    "",
		`half`:                  "want one JSON object",
		`[1]`:                   "want one JSON object",
		`{"progress": 1}`:       "unknown field",
		`{"extend": "a while"}`: "extend: time: invalid duration",
		`{"ratio": "half"}`:     "want one JSON object",
	} {
		_, _, err := parseNews([]byte(line))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
	if n, more, err := parseNews([]byte(`{"ratio": 0.5, "extend": "1m30s"}`)); err != nil || *n.Ratio != 0.5 || n.Text != nil || more != 90*time.Second {
		t.Errorf("got %+v, %v, %v", n, more, err)
	}
}

// A command is never held up by what it says, however long or much it is.
func TestLinesThatAreTooLongAreLeftOut(t *testing.T) {
	var took, long []string
	in := io.MultiReader(strings.NewReader("a\n\n  \n"), strings.NewReader(strings.Repeat("x", 100_000)+"\nb\r\nc"))
	eachLine(in, 64, func(line []byte, err error) {
		if errors.Is(err, errLongLine) {
			long = append(long, string(line[:3]))
			return
		}
		took = append(took, string(line))
	})
	if fmt.Sprint(took, long) != "[a b c] [xxx]" {
		t.Errorf("took %q, too long %q", took, long)
	}
}

func TestWhatACommandSaysIsHeardBeforeItsEnd(t *testing.T) {
	var heard, complaints []string
	h := shell(`i=0; while [ $i -lt 100 ]; do echo "line $i" >&3; i=$((i+1)); done`)
	h.tell = func(text string) { complaints = append(complaints, text) }
	_, err := h.run(t.Context(), execTask{}, func(line []byte) error {
		if heard = append(heard, string(line)); len(heard) == 7 {
			return errors.New("not this one")
		}
		return nil
	})
	if err != nil || len(heard) != 100 || heard[99] != "line 99" {
		t.Errorf("%d lines were heard, %v", len(heard), err)
	}
	if len(complaints) != 1 || !strings.Contains(complaints[0], "not this one: line 6") {
		t.Errorf("complaints: %q", complaints)
	}
}

// interpreter skips a test where what runs an example is missing; CI has all of them.
func interpreter(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is needed to run an example: %v", name, err)
		}
		t.Skipf("%s is needed to run an example: %v", name, err)
	}
}

// example is the whole name of a file of the examples.
func example(t *testing.T, name string) string {
	t.Helper()
	whole, err := filepath.Abs("../../examples/exec/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return whole
}

func TestTheExamplesOfCommandsWork(t *testing.T) {
	n := serveNode(t, t.TempDir())
	for name, tool := range map[string]string{"render.sh": "sh", "render.py": "python3", "render.mjs": "node"} {
		t.Run(name, func(t *testing.T) {
			interpreter(t, tool)
			queue := strings.ReplaceAll(name, ".", "-")
			n.ok(t, new(queueView), "queue", "set", queue)
			var submitted struct{ Tasks []submittedView }
			n.ok(t, &submitted, "submit", "--queue", queue, `{"pages": 4}`)
			var heard strings.Builder
			w := fenfaCommand(t, "worker", "--addr", n.grpc, "--queue", queue, "--exec", example(t, name))
			w.Stderr = &heard
			if err := w.Start(); err != nil {
				t.Fatal(err)
			}
			if got := awaitTask(t, n, submitted.Tasks[0].ID, "done"); string(got.Result) != `"4 pages"` {
				t.Errorf("the result is %s", got.Result)
			}
			_ = w.Process.Signal(os.Interrupt)
			if err := w.Wait(); err != nil || strings.Contains(heard.String(), "is not taken") {
				t.Errorf("the worker ended with %v: %s", err, heard.String())
			}
		})
	}
}
