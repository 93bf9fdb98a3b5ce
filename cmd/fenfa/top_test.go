package main

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"
)

// busyNode is a node with one worker, which has one of two tasks for as long as the
// test runs.
func busyNode(t *testing.T) *served {
	t.Helper()
	n := serveNode(t, t.TempDir())
	n.ok(t, &queueView{}, "queue", "set", "mail", "--balance", "round_robin")
	var submitted struct{ Tasks []submittedView }
	n.ok(t, &submitted, "submit", "--queue", "mail", "--key", "ann", "x", "y")
	startWorker(t, n, "--queue", "mail", "--exec", "exec sleep 1000", "--concurrency", "2")
	awaitTask(t, n, submitted.Tasks[0].ID, "running")
	return n
}

func TestTopWritesTextWhereThereIsNoTerminal(t *testing.T) {
	n := busyNode(t)
	for _, args := range [][]string{{"top", "--interval", "100ms"}, {"top", "--once", "--interval", "100ms"}} {
		code, stdout, stderr := n.run(t, args...)
		if code != exitOK || stderr != "" {
			t.Fatalf("%v: exit code %d: %s", args, code, stderr)
		}
		for _, want := range []string{"ready", "QUEUE 1", "mail", "round_robin", "WORKER 1", "w-1", "active", "1/2", "in 0/s  out 0/s"} {
			if !strings.Contains(stdout, want) {
				t.Errorf("%v does not write %q:\n%s", args, want, stdout)
			}
		}
		if strings.Contains(stdout, "\x1b") {
			t.Errorf("%v writes escape sequences: %q", args, stdout)
		}
	}
}

func TestTopWritesADocumentEachInterval(t *testing.T) {
	n := busyNode(t)
	var once topView
	n.ok(t, &once, "top", "--once", "--interval", "100ms")
	if once.At == "" || !once.Node.Ready || once.Total.Slots != 2 || once.Total.InFlight != 1 || once.Total.BacklogTasks != 2 {
		t.Errorf("node %+v, total %+v", once.Node, once.Total)
	}
	if q := once.Queues; len(q) != 1 || q[0].Name != "mail" || q[0].Policy != "round_robin" || q[0].Workers != 1 || q[0].StartP50MS <= 0 || q[0].OldestAgeMS <= 0 {
		t.Errorf("queues %+v", q)
	}
	if w := once.Workers; len(w) != 1 || w[0].ID != "w-1" || w[0].State != "active" || w[0].EffectiveWeight <= 0 || w[0].Queues[0] != "mail" {
		t.Errorf("workers %+v", w)
	}
	cmd := fenfaCommand(t, "top", "--json", "--interval", "100ms", "--addr", n.grpc)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	documents := json.NewDecoder(out)
	for range 3 {
		var v topView
		if err := documents.Decode(&v); err != nil || len(v.Workers) != 1 {
			t.Fatalf("%+v, %v", v, err)
		}
	}
	// It goes on without the node, and says so.
	if err := n.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for v := (topView{}); v.Error == ""; {
		if err := documents.Decode(&v); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // The exit code says it.
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted {
		t.Errorf("SIGTERM ends it with exit code %d", code)
	}
}

func TestTopSaysWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"no node":        {[]string{"top", "--once", "--addr", freeAddr(t), "--timeout", "300ms"}, exitUnavailable, "fenfa serve"},
		"short interval": {[]string{"top", "--interval", "1ms"}, exitUsage, "100ms"},
		"an argument":    {[]string{"top", "mail"}, exitUsage, "does not take"},
	} {
		t.Run(name, func(t *testing.T) {
			if code, _, stderr := process(t, "", c.args...); code != c.code || !strings.Contains(stderr, c.says) {
				t.Errorf("exit code %d, want %d; it says %q, want something about %q", code, c.code, stderr, c.says)
			}
		})
	}
}
