package main

import (
	"strings"
	"testing"
)

func TestACounterFromTheCommandLine(t *testing.T) {
	n := serveNode(t, t.TempDir())
	n.ok(t, &struct{}{}, "state", "escrow", "SKU-1", "stock", "--value", "5", "--max", "10", "--new")
	n.ok(t, &struct{}{}, "state", "commit", `{"writes":[{"key":"SKU-1","name":"stock","add":-2}]}`)
	var r recordView
	n.ok(t, &r, "state", "get", "SKU-1", "stock")
	if string(r.Value) != `{"value":3,"min":0,"max":10}` || r.Escrow == nil || *r.Escrow != (escrowView{}) {
		t.Errorf("the record is %s, %+v", r.Value, r.Escrow)
	}
	if _, text, _ := n.run(t, "state", "get", "SKU-1", "stock"); !strings.Contains(text, "reserved") {
		t.Errorf("what is reserved is not shown: %s", text)
	}
	for args, words := range map[string]string{
		`state commit {"writes":[{"key":"SKU-1","name":"stock","add":-4}]}`:             "below its min",
		`state commit {"writes":[{"key":"SKU-1","name":"stock","add":-1,"version":3}]}`: "expects no version",
		`state commit {"writes":[{"key":"SKU-1","name":"stock","add":1,"value":3}]}`:    "give a value",
		`state put SKU-1 stock 7 --any`:                                                 "declared escrow",
		`state escrow SKU-1 stock --value 7 --new`:                                      "decide anew",
		`state escrow SKU-1 stock --value 7`:                                            "which version",
		`state escrow SKU-2 stock --value -1 --new`:                                     "bounds",
		`state escrow SKU-1 stock --delete --new`:                                       "--delete needs",
	} {
		if code, _, stderr := n.run(t, strings.Fields(args)...); code == exitOK || !strings.Contains(stderr, words) {
			t.Errorf("%s: exit code %d, %q, want %q", args, code, stderr, words)
		}
	}
	n.ok(t, &struct{}{}, "state", "escrow", "SKU-1", "stock", "--delete", "--version", "2")
	var audit auditView
	n.ok(t, &audit, "state", "audit", "--busy", "1")
	if audit.DifferenceCount != 0 {
		t.Errorf("the audit found %+v", audit)
	}
}
