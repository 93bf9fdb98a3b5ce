package server

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the table of docs/security.md")

// TestTheSecurityPageShowsTheRules compares the table of the page with the rules.
func TestTheSecurityPageShowsTheRules(t *testing.T) {
	const page, begin, end = "../../docs/security.md", "<!-- rules -->\n", "<!-- end of rules -->\n"
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", page)
	}
	var table strings.Builder
	table.WriteString("| method | action | on |\n|---|---|---|\n")
	all := rules()
	for _, full := range slices.Sorted(maps.Keys(all)) {
		name := strings.ReplaceAll(strings.TrimPrefix(full, "/fenfa.v1."), "/", ".")
		if len(all[full]) == 0 {
			fmt.Fprintf(&table, "| `%s` | any token | |\n", name)
		}
		for _, n := range all[full] {
			fmt.Fprintf(&table, "| `%s` | `%s` | %s |\n", name, n.action, n.on.text)
		}
	}
	want := before + begin + table.String() + end + after
	if want == string(b) {
		return
	}
	if !*update {
		t.Fatalf("%s is stale: run go test ./internal/server -run SecurityPage -update", page)
	}
	if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}
