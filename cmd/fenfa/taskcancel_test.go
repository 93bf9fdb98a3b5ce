package main

import (
	"strings"
	"testing"

	"github.com/fenfa/fenfa"
)

func TestTasksAreCancelledOnTheCommandLine(t *testing.T) {
	n := serveNode(t, t.TempDir())
	n.ok(t, new(queueView), "queue", "set", "mail", "--order", "none")
	var submitted struct{ Tasks []submittedView }
	n.ok(t, &submitted, "submit", "--queue", "mail", "1", "2")
	first, second := submitted.Tasks[0].ID, submitted.Tasks[1].ID
	var got struct{ Tasks []cancelView }
	n.ok(t, &got, "task", "cancel", "--reason", "ordered twice", first)
	if len(got.Tasks) != 1 || got.Tasks[0] != (cancelView{ID: first, State: fenfa.StateCancelled}) {
		t.Errorf("cancelled: %+v", got)
	}
	if st := awaitTask(t, n, first, "cancelled"); st.Error != "ordered twice" {
		t.Errorf("it is %+v", st)
	}
	code, stdout, stderr := n.run(t, "task", "cancel", anID, second)
	if code != exitNotFound || !strings.Contains(stdout, second) || !strings.Contains(stdout, "cancelled") {
		t.Errorf("one that is not known and one that is: exit code %d, %s%s", code, stdout, stderr)
	}
	if code, _, stderr := n.run(t, "task", "cancel"); code != exitUsage || !strings.Contains(stderr, "needs ID") {
		t.Errorf("without an id: exit code %d, %s", code, stderr)
	}
	if code, _, stderr := n.run(t, "task", "cancel", anID); code != exitNotFound {
		t.Errorf("one that is not known: exit code %d, %s", code, stderr)
	}

	worker := startWorker(t, n, "--queue", "mail", "--exec", "exec sleep 1000")
	n.ok(t, &submitted, "submit", "--queue", "mail", "3")
	awaitTask(t, n, submitted.Tasks[0].ID, "running")
	n.ok(t, &got, "task", "cancel", submitted.Tasks[0].ID)
	if len(got.Tasks) != 1 || !got.Tasks[0].Stopping || got.Tasks[0].State != fenfa.StateRunning {
		t.Errorf("cancelled: %+v", got)
	}
	awaitTask(t, n, submitted.Tasks[0].ID, "cancelled")
	if err := worker.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = worker.Wait()
}

func TestQueuesArePausedOnTheCommandLine(t *testing.T) {
	n := serveNode(t, t.TempDir())
	var q queueView
	n.ok(t, &q, "queue", "set", "mail")
	if n.ok(t, &q, "queue", "pause", "mail"); !q.Paused {
		t.Errorf("paused: %+v", q)
	}
	if code, stdout, _ := n.run(t, "queue", "describe", "mail"); code != exitOK || !strings.Contains(stdout, "paused") {
		t.Errorf("described: exit code %d, %s", code, stdout)
	}
	if code, stdout, _ := n.run(t, "queue", "resume", "mail"); code != exitOK || stdout != "queue mail is resumed\n" {
		t.Errorf("resumed: exit code %d, %s", code, stdout)
	}
	if code, _, stderr := n.run(t, "queue", "pause", "mial"); code != exitNotFound || !strings.Contains(stderr, "did you mean") {
		t.Errorf("a queue that is not there: exit code %d, %s", code, stderr)
	}
}

func TestQueuesArePurgedOnTheCommandLine(t *testing.T) {
	n := serveNode(t, t.TempDir())
	n.ok(t, new(queueView), "queue", "set", "mail")
	n.ok(t, new(struct{}), "submit", "--queue", "mail", "1", "2", "3")
	var got purgedView
	if n.ok(t, &got, "queue", "purge", "mail", "--dry-run"); got != (purgedView{Queue: "mail", Queued: 3, DryRun: true}) {
		t.Errorf("dry run: %+v", got)
	}
	if code, _, stderr := n.run(t, "queue", "purge", "mail"); code != exitUsage || !strings.Contains(stderr, "3 tasks") || !strings.Contains(stderr, "--yes") {
		t.Errorf("without --yes: exit code %d, %s", code, stderr)
	}
	if code, _, stderr := n.run(t, "queue", "purge", "mail", "--state", "running"); code != exitUsage {
		t.Errorf("tasks that run: exit code %d, %s", code, stderr)
	}
	if n.ok(t, &got, "queue", "purge", "mail", "--state", "scheduled", "--yes"); got.Queued+got.Scheduled != 0 {
		t.Errorf("those that are scheduled: %+v", got)
	}
	if n.ok(t, &got, "queue", "purge", "mail", "--type", "letter", "--since", "1h", "--dry-run"); got.Queued+got.Scheduled != 0 || got.Unread {
		t.Errorf("those of a type: %+v", got)
	}
	if n.ok(t, &got, "queue", "purge", "mail", "--text", "2", "--yes"); got.Queued != 1 || got.Unread {
		t.Errorf("that with a text: %+v", got)
	}
	n.ok(t, new(struct{}), "submit", "--queue", "mail", "4")
	if code, stdout, stderr := n.run(t, "queue", "purge", "mail", "--yes"); code != exitOK || !strings.HasPrefix(stdout, "cancelled 3 tasks") {
		t.Errorf("purged: exit code %d, %s%s", code, stdout, stderr)
	}
	if code, _, stderr := n.run(t, "queue", "purge", "mial", "--yes"); code != exitNotFound {
		t.Errorf("a queue that is not there: exit code %d, %s", code, stderr)
	}
}

func TestUniqueTasksAreSubmittedOnce(t *testing.T) {
	n := serveNode(t, t.TempDir())
	n.ok(t, new(queueView), "queue", "set", "reports")
	var first, second struct{ Tasks []submittedView }
	n.ok(t, &first, "submit", "--queue", "reports", "--unique-args", "customer", `{"customer":1,"asked":"a"}`)
	n.ok(t, &second, "submit", "--queue", "reports", "--unique-args", "customer", `{"customer":1,"asked":"b"}`)
	if len(second.Tasks) != 1 || !second.Tasks[0].Duplicate || second.Tasks[0].ID != first.Tasks[0].ID {
		t.Errorf("submitted %+v, then %+v", first, second)
	}
	if got := awaitTask(t, n, first.Tasks[0].ID, "ready"); len(got.Headers) != 0 {
		t.Errorf("its headers are %v", got.Headers)
	}
	if code, _, stderr := n.run(t, "submit", "--queue", "reports", "--unique-args", "customer", "1"); code != exitRefused {
		t.Errorf("a payload that is no object: exit code %d, %s", code, stderr)
	}
	n.ok(t, &first, "submit", "--queue", "reports", "--unique-by", "day", "--unique-states", "running", "1")
	n.ok(t, &second, "submit", "--queue", "reports", "--unique-by", "day", "--unique-states", "running", "2")
	if second.Tasks[0].Duplicate {
		t.Errorf("kept out by one that waits: %+v", second)
	}
	for flags, want := range map[string]int{"asleep": exitUsage, "done": exitRefused} {
		if code, _, stderr := n.run(t, "submit", "--queue", "reports", "--unique-states", flags, "1"); code != want {
			t.Errorf("--unique-states %s: exit code %d, %s", flags, code, stderr)
		}
	}
}
