package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// gated makes a command for workers that ends when the returned gate is opened.
func gated(t *testing.T) (command string, open func()) {
	t.Helper()
	gate := filepath.Join(t.TempDir(), "gate")
	return fmt.Sprintf("while [ ! -e '%s' ]; do sleep 0.02; done; echo \"$FENFA_TASK_DELIVERY\"", gate), func() {
		if err := os.WriteFile(gate, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// worker starts a worker with an id of its own.
func (n *served) worker(t *testing.T, id string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := fenfaCommand(t, append([]string{"worker", "--addr", n.grpc, "--id", id}, args...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	waitFor(t, func() bool {
		for _, w := range n.workers(t) {
			if w.ID == id {
				return true
			}
		}
		return false
	})
	return cmd
}

func (n *served) workers(t *testing.T) []workerView {
	t.Helper()
	var view struct{ Workers []workerView }
	n.ok(t, &view, "cluster", "workers")
	return view.Workers
}

func TestAWorkerThatIsDrainedWhileItIsBusyLosesNothing(t *testing.T) {
	n := serveNode(t, t.TempDir())
	n.ok(t, &queueView{}, "queue", "set", "jobs")
	command, open := gated(t)
	first := n.worker(t, "first", "--queue", "jobs", "--exec", command)
	var submitted struct{ Tasks []submittedView }
	n.ok(t, &submitted, "submit", "--queue", "jobs", "--key", "k", "1", "2", "3", "4", "5")
	awaitTask(t, n, submitted.Tasks[0].ID, "running")
	var drained drainView
	n.ok(t, &drained, "cluster", "drain", "first")
	if drained.State != "draining" || drained.Gone || drained.InFlight != 1 {
		t.Errorf("drained %+v", drained)
	}
	n.worker(t, "second", "--queue", "jobs", "--exec", command)
	if code, _, stderr := n.run(t, "cluster", "drain", "first", "--wait", "--wait-timeout", "100ms"); code != exitUnavailable || !strings.Contains(stderr, "still has 1 tasks in flight") {
		t.Errorf("a wait that is too short: exit code %d, %s", code, stderr)
	}
	open()
	if err := first.Wait(); err != nil {
		t.Errorf("the worker that was sent away ended with %v", err)
	}
	for i, s := range submitted.Tasks {
		want := "second"
		if i == 0 {
			want = "first"
		}
		if got := awaitTask(t, n, s.ID, "done"); got.Worker != want || got.Attempts != 0 || got.Deliveries != 1 || string(got.Result) != "1" {
			t.Errorf("task %d was done by %s after %d failed attempts and %d deliveries, with the result %s", i, got.Worker, got.Attempts, got.Deliveries, got.Result)
		}
	}
	n.ok(t, &drained, "cluster", "drain", "second", "--wait")
	if !drained.Gone || len(n.workers(t)) != 0 {
		t.Errorf("drained %+v, and workers are %+v", drained, n.workers(t))
	}
}

func TestWorkersAreSteeredFromTheCommandLine(t *testing.T) {
	n := serveNode(t, t.TempDir())
	n.ok(t, &queueView{}, "queue", "set", "jobs", "--require", "zone=eu", "--share", "2.5", "--balance", "p2c")
	n.worker(t, "host-1", "--queue", "jobs", "--exec", "true", "--label", "zone=eu,gpu=a100", "--label", "version=2", "--weight", "3", "--quiet")
	var one workerView
	var submitted struct{ Tasks []submittedView }
	n.ok(t, &submitted, "submit", "--queue", "jobs", "--require", "gpu", "--prefer", "version=2", "x")
	id := submitted.Tasks[0].ID
	if w := n.workers(t)[0]; w.State != "quiet" || w.Weight != 3 || w.Labels["gpu"] != "a100" || w.Labels["version"] != "2" || w.Labels["zone"] != "eu" {
		t.Errorf("the worker is %+v", w)
	}
	var got taskView
	n.ok(t, &got, "task", "get", id)
	if strings.Join(got.Require, " ") != "gpu" || strings.Join(got.Prefer, " ") != "version=2" || got.Deliveries != 0 {
		t.Errorf("the task is %+v", got)
	}
	if _, stdout, _ := n.run(t, "task", "get", id); !strings.Contains(stdout, "require gpu; prefer version=2") {
		t.Errorf("the task is shown as\n%s", stdout)
	}
	n.ok(t, &one, "cluster", "resume", "host-1")
	if one.State != "active" {
		t.Errorf("resumed: %+v", one)
	}
	awaitTask(t, n, id, "done")
	n.ok(t, &one, "cluster", "worker", "set", "host-1", "--weight", "0.5")
	if one.Weight != 0.5 || !one.WeightIsSet {
		t.Errorf("set: %+v", one)
	}
	if code, stdout, _ := n.run(t, "cluster", "workers"); code != exitOK || !strings.Contains(stdout, "0.5*") && !strings.Contains(stdout, "(0.5)*") || !strings.Contains(stdout, "gpu=a100,version=2,zone=eu") {
		t.Errorf("workers are shown as\n%s", stdout)
	}
	n.ok(t, &one, "cluster", "worker", "set", "host-1", "--weight", "0")
	if one.Weight != 3 || one.WeightIsSet {
		t.Errorf("taken back: %+v", one)
	}
	n.ok(t, &one, "cluster", "quiet", "host-1")
	if one.State != "quiet" {
		t.Errorf("quiet: %+v", one)
	}
	var queue queueView
	n.ok(t, &queue, "queue", "describe", "jobs")
	if queue.Share != 2.5 || strings.Join(queue.Require, " ") != "zone=eu" || len(queue.Prefer) != 0 || queue.Balance.Policy != "p2c" {
		t.Errorf("the queue is %+v", queue)
	}
	if _, stdout, _ := n.run(t, "queue", "list"); !strings.Contains(stdout, "require zone=eu") || !strings.Contains(stdout, "2.5") {
		t.Errorf("queues are shown as\n%s", stdout)
	}
	n.ok(t, &queue, "queue", "set", "jobs", "--require", "*", "--prefer", "version=2,!old")
	if len(queue.Require) != 0 || strings.Join(queue.Prefer, " ") != "!old version=2" || queue.Share != 2.5 {
		t.Errorf("the queue is now %+v", queue)
	}
}

func TestSteeringMistakesAreExplained(t *testing.T) {
	n := serveNode(t, t.TempDir())
	n.ok(t, &queueView{}, "queue", "set", "jobs")
	n.worker(t, "host-1", "--queue", "jobs", "--exec", "true")
	for name, c := range map[string]struct {
		args []string
		code int
		says []string
	}{
		"mistyped worker":    {[]string{"cluster", "quiet", "hots-1"}, exitNotFound, []string{"did you mean host-1?", "fenfa cluster workers"}},
		"unknown to set":     {[]string{"cluster", "worker", "set", "xyz", "--weight", "1"}, exitNotFound, []string{"connected are host-1"}},
		"unknown to drain":   {[]string{"cluster", "drain", "xyz", "--wait"}, exitNotFound, []string{"connected are host-1", "fenfa cluster workers"}},
		"negative weight":    {[]string{"cluster", "worker", "set", "host-1", "--weight", "-1"}, exitRefused, []string{"more than 0"}},
		"weight is nonsense": {[]string{"cluster", "worker", "set", "host-1", "--weight", "NaN"}, exitRefused, []string{"more than 0"}},
		"bad term":           {[]string{"queue", "set", "jobs", "--require", "a==b"}, exitRefused, []string{`term "a==b"`, "name!=value"}},
		"bad term of a task": {[]string{"submit", "--queue", "jobs", "--prefer", "!", "x"}, exitRefused, []string{`term "!"`, "names no label"}},
		"share out of range": {[]string{"queue", "set", "jobs", "--share", "5000"}, exitRefused, []string{"share 5000", "0.001 to 1000"}},
	} {
		code, _, stderr := n.run(t, c.args...)
		if code != c.code {
			t.Errorf("%s: exit code %d, want %d", name, code, c.code)
		}
		for _, says := range c.says {
			if !strings.Contains(stderr, says) {
				t.Errorf("%s: it says %q, want something about %q", name, stderr, says)
			}
		}
	}
}

func TestRowsOfAFileGoToTheWorkersThatTheyAskFor(t *testing.T) {
	n := serveNode(t, t.TempDir())
	n.ok(t, &queueView{}, "queue", "set", "jobs")
	n.worker(t, "eu", "--queue", "jobs", "--exec", "true", "--label", "zone=eu")
	n.worker(t, "us", "--queue", "jobs", "--exec", "true", "--label", "zone=us")
	file := filepath.Join(t.TempDir(), "jobs.csv")
	var text strings.Builder
	text.WriteString("n,needs,likes\n")
	for i := range 40 {
		fmt.Fprintf(&text, "%d,zone=%s,\n", i, []string{"eu", "us"}[i%2])
	}
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	n.ok(t, &summary{}, "submit", "--queue", "jobs", "--file", file, "--require-column", "needs", "--prefer-column", "likes")
	waitFor(t, func() bool {
		done := map[string]int64{}
		for _, w := range n.workers(t) {
			done[w.ID] = w.DoneTotal
		}
		return done["eu"] == 20 && done["us"] == 20
	})
	if err := os.WriteFile(file, []byte("n,needs\n1,a==b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := n.run(t, "submit", "--queue", "jobs", "--file", file, "--require-column", "needs"); code != exitRefused || !strings.Contains(stderr, "line 2:") {
		t.Errorf("a bad term: exit code %d, %s", code, stderr)
	}
}
