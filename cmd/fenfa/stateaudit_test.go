package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fenfa/fenfa"
)

func TestAnAuditOfAWholeNodeFindsNothing(t *testing.T) {
	dir := t.TempDir()
	n := serveNode(t, dir)
	for i := range 5 {
		n.ok(t, &recordView{}, "state", "put", fmt.Sprint("SKU-", i), "stock", fmt.Sprint(i), "--new")
	}
	var view auditView
	n.ok(t, &view, "state", "audit", "--busy", "1")
	records := uint64(0)
	for _, p := range view.Partitions {
		records += p.Records
	}
	if len(view.Partitions) != 16 || records != 5 || view.DifferenceCount != 0 {
		t.Errorf("got %+v", view)
	}
	if code, stdout, stderr := n.run(t, "state", "audit", "--partition", "3", "--partition", "4"); code != exitOK || !strings.HasPrefix(stdout, "2 partitions, ") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--partition", "16"}, exitRefused, "partitions 0 to 15"},
		{[]string{"--partition", "-1"}, exitUsage, "0 or more"},
		{[]string{"--busy", "2"}, exitUsage, "at most 1"},
		{[]string{"--all", "--partition", "1"}, exitUsage, "exclude"},
		{[]string{"--data-dir", n.dir}, exitNode, "in use by a node"},
		{[]string{"--data-dir", t.TempDir()}, exitNode, "not a data directory"},
	} {
		code, _, stderr := n.run(t, append([]string{"state", "audit"}, c.args...)...)
		if code != c.code || !strings.Contains(stderr, c.says) {
			t.Errorf("%v: exit code %d: %s", c.args, code, stderr)
		}
	}
}

func TestAnAuditShowsEachDifference(t *testing.T) {
	a := auditRun{}
	for range mostDifferences + 2 {
		a.found(differenceFor(t))
	}
	var out strings.Builder
	a.text(&out)
	if text := out.String(); !strings.Contains(text, "3          7    differs  SKU-1  stock  value \"1\"  value \"2\"") || !strings.Contains(text, "and 2 more") {
		t.Errorf("it says %.300s", text)
	}
	if v := a.view(); len(v.Differences) != mostDifferences || v.DifferenceCount != mostDifferences+2 || v.Differences[0].Found != `value "2"` {
		t.Errorf("the view has %d of %d", len(v.Differences), v.DifferenceCount)
	}
}

func differenceFor(t *testing.T) fenfa.AuditDifference {
	t.Helper()
	return fenfa.AuditDifference{Partition: 3, Seq: 7, Kind: "differs", Key: "SKU-1", Name: "stock", Expected: `value "1"`, Found: `value "2"`}
}
