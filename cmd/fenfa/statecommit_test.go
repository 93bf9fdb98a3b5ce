package main

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

func TestACommitIsReadAsAPersonWritesIt(t *testing.T) {
	c, err := parseCommit([]byte(`{"id":"0190a5f2-7b1c-7d3e-8f4a-5b6c7d8e9f01","reads":[{"key":"a","name":"n","version":3}],
		"writes":[{"key":"b","name":"n","version":7,"value":{"x":1}},{"key":"c","name":"n","version":2,"delete":true}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if c.id.String() != c.ID || len(c.Reads) != 1 || len(c.Writes) != 2 || string(c.Writes[0].Value) != `{"x":1}` || !c.Writes[1].Delete {
		t.Errorf("%+v", c)
	}
	for text, words := range map[string]string{
		`{"writes":[{"key":"a","name":"n"}]}`:                         "give a value",
		`{"writes":[{"key":"a","name":"n","value":1,"delete":true}]}`: "give a value",
		`{"write":[]}`:   "unknown field",
		`{"id":"seven"}`: "id",
		`{} {}`:          "more than one",
		`[`:              "read the commit",
		`{"writes":[{"key":"a","name":"n","version":-1,"value":1}]}`:                                "version",
		`{"reads":[{"key":"a","name":"n","version":1,"value":2}]}`:                                  "unknown field",
		`{"writes":[{"key":"a","name":"n","version":1,"value":1}],"id":"0190a5f2-7b1c-7d3e-8f4a-"}`: "id",
	} {
		if _, err := parseCommit([]byte(text)); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want %q", text, err, words)
		}
	}
}

func TestACommitFromTheCommandLine(t *testing.T) {
	n := serveNode(t, t.TempDir())
	text := `{"id":"0190a5f2-7b1c-7d3e-8f4a-5b6c7d8e9f01","writes":[{"key":"alice","name":"balance","version":0,"value":90},{"key":"bob","name":"balance","version":0,"value":110}]}`
	var first, again struct {
		Transaction string `json:"transaction"`
		Duplicate   bool   `json:"duplicate"`
	}
	n.ok(t, &first, "state", "commit", text)
	n.ok(t, &again, "state", "commit", text)
	if first.Duplicate || !again.Duplicate || first.Transaction != again.Transaction {
		t.Errorf("first %+v, again %+v", first, again)
	}
	var r recordView
	n.ok(t, &r, "state", "get", "bob", "balance")
	if string(r.Value) != "110" {
		t.Errorf("bob has %s", r.Value)
	}
	var history struct {
		Changes []changeView `json:"changes"`
	}
	n.ok(t, &history, "state", "history", "bob")
	if len(history.Changes) != 1 || history.Changes[0].Transaction != first.Transaction {
		t.Errorf("the history is %+v", history)
	}
	code, _, stderr := n.run(t, "state", "commit", `{"writes":[{"key":"alice","name":"balance","version":0,"value":1},{"key":"carol","name":"balance","version":0,"value":1}]}`)
	if code == exitOK || !strings.Contains(stderr, "alice") || !strings.Contains(stderr, "decide anew") {
		t.Errorf("a conflict: exit code %d, %q", code, stderr)
	}
	if code, _, _ := n.run(t, "state", "commit"); code != exitUsage {
		t.Errorf("nothing to commit: exit code %d", code)
	}
}

func TestACommitDependsOnTheTokensOfLocks(t *testing.T) {
	n := serveNode(t, t.TempDir())
	var one, two struct {
		Token uint64 `json:"token"`
	}
	n.ok(t, &one, "lock", "steal", "one")
	n.ok(t, &two, "lock", "steal", "two")
	var done map[string]any
	text := func(key, more string) string {
		return `{"writes":[{"key":"` + key + `","name":"n","version":0,"value":1}]` + more + `}`
	}
	fence := func(lock string, token uint64) string { return lock + ":" + strconv.FormatUint(token, 10) }
	n.ok(t, &done, "state", "commit", text("a", ""), "--fence", fence("one", one.Token), "--fence", fence("two", two.Token))
	n.ok(t, &done, "state", "commit", text("b", fmt.Sprintf(`,"fences":[{"lock":"one","token":%d}]`, one.Token)))
	for what, args := range map[string][]string{
		"a flag of a token that was never": {text("c", ""), "--fence", fence("one", one.Token), "--fence", fence("two", two.Token+1)},
		"a fence of the JSON":              {text("c", `,"fences":[{"lock":"two","token":99}]`), "--fence", fence("one", one.Token)},
	} {
		if code, _, stderr := n.run(t, append([]string{"state", "commit"}, args...)...); code != exitRefused || !strings.Contains(stderr, "two") {
			t.Errorf("%s: exit code %d, %q", what, code, stderr)
		}
	}
	if code, _, stderr := n.run(t, "state", "commit", text("c", ""), "--fence", "one"); code != exitUsage || !strings.Contains(stderr, "LOCK:TOKEN") {
		t.Errorf("exit code %d, %q", code, stderr)
	}
	if code, _, _ := n.run(t, "state", "get", "c", "n"); code == exitOK {
		t.Error("a refused commit took effect")
	}
}
