package main

import (
	"strings"
	"testing"
)

func TestWaitsTellByTheirExitCodeHowTasksEnded(t *testing.T) {
	n := serveNode(t, t.TempDir())
	for _, queue := range []string{"mail", "nobody"} {
		n.ok(t, &queueView{}, "queue", "set", queue, "--retry-max-attempts", "1")
	}
	startWorker(t, n, "--queue", "mail", "--exec", `grep -q '"payload":"bad"' && exit 1; echo sent`)
	var view taskView
	n.ok(t, &view, "submit", "--queue", "mail", "--wait", "first")
	if view.State != "done" || string(view.Result) != `"sent"` {
		t.Errorf("submitted and waited: %+v", view)
	}
	ended := view.ID
	var submitted struct{ Tasks []submittedView }
	n.ok(t, &submitted, "submit", "--queue", "nobody", "x")
	for name, c := range map[string]struct {
		args   []string
		exit   int
		stdout string
		stderr string
	}{
		"done":     {[]string{"task", "wait", ended}, exitOK, ended + "  done  sent", ""},
		"unknown":  {[]string{"task", "wait", ended, "0190a5f2-7b1c-7d3e-8f4a-5b6c7d8e9fff"}, exitNotFound, ended + "  done", "is not known"},
		"not yet":  {[]string{"task", "wait", submitted.Tasks[0].ID, "--wait-timeout", "50ms"}, exitWaited, "", "1 tasks have not ended within 50ms"},
		"submit":   {[]string{"submit", "--queue", "mail", "--wait", "y"}, exitOK, "  done  sent", ""},
		"dead":     {[]string{"submit", "--queue", "mail", "--wait", "bad"}, exitEnded, "  dead  ", "1 tasks are not done"},
		"not then": {[]string{"submit", "--queue", "nobody", "--wait", "--wait-timeout", "50ms", "y"}, exitWaited, "", "have not ended"},
		"refused":  {[]string{"submit", "--queue", "nope", "--wait", "y"}, exitNotFound, "", "nope"},
	} {
		code, stdout, stderr := n.run(t, c.args...)
		if code != c.exit || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) {
			t.Errorf("%s: exit code %d, %q, %q", name, code, stdout, stderr)
		}
	}
}
