package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// watchViews reads what a watch has written as JSON.
func watchViews(t *testing.T, stdout string) (views []watchView) {
	t.Helper()
	for line := range strings.Lines(stdout) {
		var v watchView
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%q is no JSON: %v", line, err)
		}
		views = append(views, v)
	}
	return views
}

func TestAWatchTellsChangesAndHowToGoOn(t *testing.T) {
	n := serveNode(t, t.TempDir())
	for i := range 3 {
		n.ok(t, &recordView{}, "state", "put", "SKU-1", "stock", fmt.Sprint(i), "--any")
	}
	n.ok(t, &recordView{}, "state", "put", "SKU-2", "stock", "7", "--any")
	n.ok(t, &recordView{}, "state", "put", "USER-1", "name", `"ann"`, "--any")
	code, stdout, stderr := n.run(t, "state", "watch", "SKU-", "--initial", "--until-live", "--json")
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	values := map[string]string{}
	position := ""
	for _, v := range watchViews(t, stdout) {
		if v.Record != nil {
			values[v.Record.Key] = string(v.Record.Value)
		}
		position = v.Position
	}
	if len(values) != 2 || values["SKU-1"] != "2" || values["SKU-2"] != "7" || position == "" {
		t.Errorf("records are %v, the position is %q", values, position)
	}
	n.ok(t, &recordView{}, "state", "put", "SKU-1", "stock", "8", "--any")
	code, stdout, stderr = n.run(t, "state", "watch", "SKU-", "--from", position, "--count", "1")
	if code != exitOK || !strings.Contains(stdout, "SKU-1 stock") || !strings.Contains(stdout, "  8\n") {
		t.Errorf("exit code %d: %q", code, stdout)
	}
	if !strings.Contains(stderr, "go on with --from ") {
		t.Errorf("it does not say how to go on: %q", stderr)
	}
	if code, stdout, _ = n.run(t, "state", "watch", "--key", "SKU-1", "--oldest", "--until-live"); code != exitOK || strings.Count(stdout, "\n") != 4 {
		t.Errorf("exit code %d: %q, want 4 changes", code, stdout)
	}
}

func TestAWatchThatIsWrongIsRefused(t *testing.T) {
	n := serveNode(t, t.TempDir())
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--from", "nonsense"}, exitUsage, "like 0:153,1:22"},
		{[]string{"--from", "0:1"}, exitRefused, "one for each watched partition"},
		{[]string{"--progress", "1ms"}, exitUsage, "100ms"},
		{[]string{"--count", "-1"}, exitUsage, "0 or more"},
		{[]string{"--initial", "--oldest"}, exitRefused, "begins at one place"},
		{[]string{"P", "--key", "k"}, exitRefused, "prefix and keys"},
	} {
		code, _, stderr := n.run(t, append([]string{"state", "watch"}, c.args...)...)
		if code != c.code || !strings.Contains(stderr, c.says) {
			t.Errorf("%v: exit code %d: %s", c.args, code, stderr)
		}
	}
	if code, _, _ := process(t, "", "state", "watch", "--addr", "127.0.0.1:1", "--timeout", "1s"); code != exitUnavailable {
		t.Errorf("without a node the exit code is %d", code)
	}
}
