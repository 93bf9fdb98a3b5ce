package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fenfa/fenfa"
)

func TestTasksGoTheirWayThroughTheCommandLine(t *testing.T) {
	n := serveNode(t, t.TempDir())
	var queue queueView
	n.ok(t, &queue, "queue", "set", "mail", "--retry-max-attempts", "3", "--attempt-timeout", "5s", "--balance", "round_robin")
	if queue.Created == nil || !*queue.Created || queue.Retry.MaxAttempts != 3 || queue.Timeout != "5s" || queue.Balance.Policy != "round_robin" {
		t.Errorf("queue is %+v", queue)
	}
	var submitted struct{ Tasks []submittedView }
	n.ok(t, &submitted, "submit", "--queue", "mail", "--key", "ann", "--type", "welcome", `{"n":1}`, `{"n":2}`)
	if len(submitted.Tasks) != 2 {
		t.Fatalf("submitted %+v", submitted)
	}
	var again struct{ Tasks []submittedView }
	n.ok(t, &again, "submit", "--queue", "mail", "--id", anID, "once")
	n.ok(t, &again, "submit", "--queue", "mail", "--id", anID, "once")
	if len(again.Tasks) != 1 || !again.Tasks[0].Duplicate || again.Tasks[0].ID != anID {
		t.Errorf("second submit of an id says %+v", again)
	}
	if code, _, stderr := n.run(t, "submit", "--queue", "mail", "--id", anID, "other"); code != exitRefused {
		t.Errorf("other content under an id: exit code %d: %s", code, stderr)
	}
	var info queueView
	n.ok(t, &info, "queue", "describe", "mail")
	if info.Stats == nil || info.Stats.BacklogTasks != 3 {
		t.Errorf("queue has %+v, want a backlog of 3", info.Stats)
	}
	worker := startWorker(t, n, "--queue", "mail", "--exec", `echo "$FENFA_TASK_KEY $FENFA_TASK_TYPE"`)
	for i, want := range []string{`"ann welcome"`, `"ann welcome"`, `""`} {
		id := append(submitted.Tasks, again.Tasks...)[i].ID
		got := awaitTask(t, n, id, "done")
		if want != `""` && string(got.Result) != want {
			t.Errorf("task %d has the result %s, want %s", i, got.Result, want)
		}
	}
	var workers struct{ Workers []workerView }
	n.ok(t, &workers, "cluster", "workers")
	if len(workers.Workers) != 1 || workers.Workers[0].ID != "w-1" || !slices.Equal(workers.Workers[0].Queues, []string{"mail"}) {
		t.Errorf("workers are %+v", workers)
	}
	if err := worker.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := worker.Wait(); err != nil {
		t.Errorf("the worker ended with %v", err)
	}
	var queues struct{ Queues []queueView }
	n.ok(t, &queues, "queue", "list")
	if len(queues.Queues) != 1 || queues.Queues[0].Stats.DoneTotal != 3 {
		t.Errorf("queues are %+v", queues)
	}
}

// startWorker starts a worker that runs a command.
func startWorker(t *testing.T, n *served, args ...string) *exec.Cmd {
	t.Helper()
	cmd := fenfaCommand(t, append([]string{"worker", "--addr", n.grpc, "--id", "w-1"}, args...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd
}

// awaitTask waits until a task has come to a state.
func awaitTask(t *testing.T, n *served, id, state string) taskView {
	t.Helper()
	var got taskView
	waitFor(t, func() bool {
		got = taskView{}
		n.ok(t, &got, "task", "get", id)
		return string(got.State) == state
	})
	return got
}

func TestRejectedTaskIsADeadLetter(t *testing.T) {
	n := serveNode(t, t.TempDir())
	var submitted struct{ Tasks []submittedView }
	n.ok(t, &queueView{}, "queue", "set", "broken")
	n.ok(t, &submitted, "submit", "--queue", "broken", "will not work")
	startWorker(t, n, "--queue", "broken", "--exec", "echo no such address >&2; exit 65")
	id := submitted.Tasks[0].ID
	awaitTask(t, n, id, "dead")
	var list struct{ Dead []deadView }
	n.ok(t, &list, "dead", "list", "broken")
	if len(list.Dead) != 1 || list.Dead[0].ID != id || !strings.Contains(list.Dead[0].Reason, "no such address") {
		t.Errorf("dead letters are %+v", list)
	}
	var one deadView
	n.ok(t, &one, "dead", "show", id)
	if string(one.Payload) != `"will not work"` || one.Attempts != 1 {
		t.Errorf("dead letter is %+v", one)
	}
	code, stdout, _ := n.run(t, "dead", "show", id)
	if code != exitOK || !strings.Contains(stdout, "no such address") || !strings.Contains(stdout, "will not work") {
		t.Errorf("exit code %d, output %q", code, stdout)
	}
	decideAboutDeadLetter(t, n, id)
}

// decideAboutDeadLetter goes on with the only dead letter of queue broken.
func decideAboutDeadLetter(t *testing.T, n *served, id string) {
	t.Helper()
	var why explanationView
	n.ok(t, &why, "task", "explain", id)
	if why.Reason != fenfa.ReasonEnded || why.State != fenfa.StateDead || !strings.Contains(why.Text, "no such address") {
		t.Errorf("it is explained by %+v", why)
	}
	var requeued map[string]string
	n.ok(t, &requeued, "dead", "requeue", id, "--payload", `{"again":true}`)
	var one deadView
	waitFor(t, func() bool {
		code, stdout, _ := n.run(t, "dead", "show", id, "--json")
		return code == exitOK && json.Unmarshal([]byte(stdout), &one) == nil
	})
	if one.Requeues != 1 || one.Attempts != 1 || len(one.History) != 2 || string(one.Payload) != `{"again":true}` {
		t.Errorf("requeued, the dead letter is %+v", one)
	}
	var found struct{ Tasks []taskView }
	n.ok(t, &found, "task", "list", "--queue", "broken", "--text", "again")
	if len(found.Tasks) != 1 || found.Tasks[0].ID != id {
		t.Errorf("found %+v", found)
	}
	var change deadChangeView
	n.ok(t, &change, "dead", "requeue", "--queue", "broken", "--text", "no such", "--dry-run")
	if !change.DryRun || change.Changed != 1 {
		t.Errorf("a dry run says %+v", change)
	}
	for _, args := range [][]string{{"delete", "--queue", "broken"}, {"delete"}, {"requeue", id, "--queue", "broken"}, {"requeue", "--all", "--payload", "x"}, {"list", "--since", "soon"}} {
		if code, _, stderr := n.run(t, append([]string{"dead"}, args...)...); code != exitUsage {
			t.Errorf("dead %v: exit code %d, %s", args, code, stderr)
		}
	}
	n.ok(t, &change, "dead", "delete", "--queue", "broken", "--yes")
	if code, _, _ := n.run(t, "dead", "show", id); change.Changed != 1 || code != exitNotFound {
		t.Errorf("deleted %+v, then exit code %d", change, code)
	}
	if code, _, _ := n.run(t, "dead", "resume", "broken", "k"); code != exitRefused {
		t.Errorf("a key that does not wait is resumed with exit code %d", code)
	}
	if code, _, _ := n.run(t, "task", "explain", fenfa.NewID().String()); code != exitNotFound {
		t.Errorf("an unknown task is explained with exit code %d", code)
	}
}

func TestRecordsHaveVersions(t *testing.T) {
	n := serveNode(t, t.TempDir())
	var first, second recordView
	n.ok(t, &first, "state", "put", "SKU-1", "stock", `{"available":100}`, "--new")
	n.ok(t, &second, "state", "put", "SKU-1", "stock", `{"available":90}`, "--version", fmt.Sprint(first.Version))
	if second.Version <= first.Version {
		t.Errorf("versions are %d and %d", first.Version, second.Version)
	}
	if code, _, stderr := n.run(t, "state", "put", "SKU-1", "stock", "x", "--version", fmt.Sprint(first.Version)); code != exitRefused || !strings.Contains(stderr, "fenfa state get SKU-1 stock") {
		t.Errorf("old version: exit code %d: %s", code, stderr)
	}
	var got recordView
	n.ok(t, &got, "state", "get", "SKU-1", "stock")
	if string(got.Value) != `{"available":90}` || got.Version != second.Version {
		t.Errorf("record is %+v", got)
	}
	if _, stdout, _ := n.run(t, "state", "get", "SKU-1", "stock", "--raw"); stdout != `{"available":90}` {
		t.Errorf("raw value is %q", stdout)
	}
	var scan struct{ Records []recordView }
	n.ok(t, &scan, "state", "scan", "SKU")
	if len(scan.Records) != 1 || scan.Records[0].Key != "SKU-1" {
		t.Errorf("scan found %+v", scan)
	}
	n.ok(t, &recordView{}, "state", "put", "SKU-1", "stock", "--delete", "--version", fmt.Sprint(second.Version))
	var history struct{ Changes []changeView }
	n.ok(t, &history, "state", "history", "SKU-1", "stock")
	if len(history.Changes) != 3 || history.Changes[2].Op != "delete" || history.Changes[1].VersionBefore != first.Version {
		t.Errorf("history is %+v", history)
	}
	var back struct {
		Changes  []changeView
		NextPage string `json:"next_page"`
	}
	n.ok(t, &back, "state", "history", "SKU-1", "stock", "--newest", "--limit", "1", "--since", "1h")
	if len(back.Changes) != 1 || back.Changes[0].Op != "delete" || back.NextPage == "" {
		t.Errorf("the newest change is %+v", back)
	}
	n.ok(t, &back, "state", "history", "SKU-1", "stock", "--newest", "--page", back.NextPage, "--until", "2999-01-05T10:00:00Z")
	if len(back.Changes) != 2 || back.Changes[0].VersionBefore != first.Version {
		t.Errorf("before it came %+v", back)
	}
	if code, _, _ := n.run(t, "state", "get", "SKU-1", "stock"); code != exitNotFound {
		t.Errorf("deleted record: exit code %d", code)
	}
}

func TestFileSubmittedTwiceIsThereOnce(t *testing.T) {
	n := serveNode(t, t.TempDir())
	n.ok(t, &queueView{}, "queue", "set", "orders")
	file := filepath.Join(t.TempDir(), "orders.csv")
	text := "SKU,Text\n" + strings.Repeat("a,caf\xe9\nb,x\n", 700)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	submit := []string{"submit", "--queue", "orders", "--file", file, "--key-column", "SKU", "--encoding", "latin-1"}
	var first, second summary
	n.ok(t, &first, submit...)
	n.ok(t, &second, submit...)
	if first.Accepted != 1400 || second.Accepted != 0 || second.Duplicate != 1400 {
		t.Errorf("first %+v, second %+v", first, second)
	}
	code, stdout, stderr := process(t, text, "submit", "--queue", "orders", "--file", "-", "--format", "csv", "--key-column", "SKU", "--addr", n.grpc)
	if code != exitRefused || !strings.Contains(stderr, "line 2: the line is not valid UTF-8") || !strings.HasPrefix(stdout, "1 rows: 0 accepted") {
		t.Errorf("wrong encoding: exit code %d, %q, %q", code, stdout, stderr)
	}
}

func TestBadInputIsRefusedClearly(t *testing.T) {
	n := serveNode(t, t.TempDir())
	n.ok(t, &queueView{}, "queue", "set", "orders")
	malformed := filepath.Join(t.TempDir(), "orders.csv")
	if err := os.WriteFile(malformed, []byte("SKU,N\na,1\nb\nc,3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	large := filepath.Join(t.TempDir(), "large.txt")
	if err := os.WriteFile(large, []byte(strings.Repeat("x", 300<<10)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"unknown queue in submit":   {[]string{"submit", "--queue", "nobody", "x"}, exitNotFound, "fenfa queue"},
		"unknown queue in describe": {[]string{"queue", "describe", "nobody"}, exitNotFound, "nobody"},
		"unknown queue in dead":     {[]string{"dead", "list", "nobody"}, exitNotFound, "nobody"},
		"unknown task":              {[]string{"task", "get", anID}, exitNotFound, anID},
		"unknown dead letter":       {[]string{"dead", "show", anID}, exitNotFound, anID},
		"unknown record":            {[]string{"state", "get", "k", "n"}, exitNotFound, "fenfa state scan"},
		"bad queue name":            {[]string{"queue", "set", "no spaces"}, exitRefused, "no spaces"},
		"bad setting":               {[]string{"queue", "set", "orders", "--batch", "1000000"}, exitRefused, "batch"},
		"large record":              {[]string{"state", "put", "k", "n", "--file", large, "--new"}, exitRefused, "262144"},
		"malformed row stops":       {[]string{"submit", "--queue", "orders", "--file", malformed}, exitRefused, "line 3: the row has 1 fields, the header has 2"},
		"malformed row is skipped":  {[]string{"submit", "--queue", "orders", "--file", malformed, "--on-error", "skip"}, exitRefused, "1 of 3 rows were not submitted"},
		"large key":                 {[]string{"submit", "--queue", "orders", "--key", strings.Repeat("k", 513), "x"}, exitRefused, "512"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, stderr := n.run(t, c.args...)
			if code != c.code || !strings.Contains(stderr, c.says) || !strings.Contains(stderr, "fenfa: ") {
				t.Errorf("exit code %d, want %d; it says %q, want something about %q", code, c.code, stderr, c.says)
			}
		})
	}
	payload := filepath.Join(t.TempDir(), "p.ndjson")
	if err := os.WriteFile(payload, []byte(`"`+strings.Repeat("x", 1<<20)+"\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := n.run(t, "submit", "--queue", "orders", "--file", payload); code != exitRefused || !strings.Contains(stderr, "1048576") {
		t.Errorf("large payload: exit code %d: %s", code, stderr)
	}
	if code := n.stop(t); code != exitOK {
		t.Errorf("the node ended with code %d after SIGTERM", code)
	}
}

func TestNodeThatCannotStartSaysWhy(t *testing.T) {
	n := serveNode(t, t.TempDir())
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"gRPC port in use":      {[]string{"serve", "--data-dir", t.TempDir(), "--grpc-listen", n.grpc, "--http-listen", freeAddr(t)}, "in use"},
		"HTTP port in use":      {[]string{"serve", "--data-dir", t.TempDir(), "--grpc-listen", freeAddr(t), "--http-listen", n.http}, "in use"},
		"data directory locked": {[]string{"serve", "--data-dir", n.dir, "--grpc-listen", freeAddr(t), "--http-listen", freeAddr(t)}, "in use by another"},
		"directory is a file":   {[]string{"serve", "--data-dir", os.Args[0], "--grpc-listen", freeAddr(t), "--http-listen", freeAddr(t)}, "director"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, stderr := process(t, "", c.args...)
			if code != exitNode || !strings.Contains(stderr, c.says) {
				t.Errorf("exit code %d, want %d; it says %q, want something about %q", code, exitNode, stderr, c.says)
			}
		})
	}
}

func TestFullDiskRefusesNewTasks(t *testing.T) {
	t.Setenv("FENFA_STORAGE_MIN_FREE", "1000TiB") // No disk has that much room: it counts as full.
	n := serveUntil(t, t.TempDir(), "/healthz")
	if code, _, stderr := n.run(t, "submit", "--queue", "orders", "x"); code == exitOK {
		t.Errorf("a submit to a queue that is not there succeeds: %s", stderr)
	}
	n.ok(t, &queueView{}, "queue", "set", "orders")
	code, _, stderr := n.run(t, "submit", "--queue", "orders", "x")
	if code != exitUnavailable || !strings.Contains(stderr, "disk") {
		t.Errorf("submit: exit code %d, want %d; it says %q", code, exitUnavailable, stderr)
	}
}

func TestConfigurationIsPrintedWithItsSources(t *testing.T) {
	t.Setenv("FENFA_LOG_LEVEL", "warn")
	code, stdout, _ := process(t, "", "serve", "--print-config", "--grpc-listen", "127.0.0.1:7999")
	if code != exitOK || !strings.Contains(stdout, "environment FENFA_LOG_LEVEL") || !strings.Contains(stdout, "flag --grpc-listen") {
		t.Errorf("exit code %d, output %q", code, stdout)
	}
	for _, args := range [][]string{
		{"serve", "--grpc-listen", "0.0.0.0:7400"},
		{"serve", "--partitions", "0"},
		{"serve", "--config", "/no/such/file"},
		{"serve", "--log-level", "loud"},
	} {
		code, _, stderr := process(t, "", args...)
		if code != exitUsage || !strings.HasPrefix(stderr, "fenfa: ") {
			t.Errorf("%v: exit code %d, want %d; it says %q", args, code, exitUsage, stderr)
		}
	}
}

func TestASignalThatComesTwiceIsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signals := make(chan os.Signal, 3)
		ended := make(chan struct{})
		go func() {
			awaitAnother(signals)
			close(ended)
		}()
		for _, after := range []time.Duration{0, sameSignal / 2, sameSignal} {
			<-time.After(after)
			select {
			case <-ended:
				t.Fatal("a signal that came at once counts as another one")
			default:
			}
			signals <- syscall.SIGTERM
			synctest.Wait()
		}
		<-ended
	})
}

func TestSecondSignalEndsTheNodeAtOnce(t *testing.T) {
	n := serveNode(t, t.TempDir())
	n.ok(t, &queueView{}, "queue", "set", "slow")
	var submitted struct{ Tasks []submittedView }
	n.ok(t, &submitted, "submit", "--queue", "slow", "x")
	worker := startWorker(t, n, "--queue", "slow", "--exec", "sleep 1000")
	awaitTask(t, n, submitted.Tasks[0].ID, "running")
	// Draining waits for the running task; whoever does not want to wait says so.
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return get(t, "http://"+n.http+"/readyz") != 200 })
	waitFor(t, func() bool {
		_ = n.cmd.Process.Signal(syscall.SIGTERM) // One that comes too soon is the same as the first.
		select {
		case <-n.ended:
			return true
		default:
			return false
		}
	})
	if code := n.cmd.ProcessState.ExitCode(); code != exitInterrupted {
		t.Errorf("exit code %d, want %d", code, exitInterrupted)
	}
	_ = worker.Process.Kill()
}
