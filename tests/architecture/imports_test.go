package architecture

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestImportsPointOneWay(t *testing.T) {
	for _, v := range layerViolations(load(t), layers) {
		t.Error(v)
	}
}

func TestLibrariesAndDriversStayBehindTheirPackages(t *testing.T) {
	for _, v := range banViolations(load(t), bans) {
		t.Error(v)
	}
}

func TestClosedPackagesImportOnlyWhatTheyMay(t *testing.T) {
	for _, v := range allowanceViolations(load(t), allowances) {
		t.Error(v)
	}
}

func TestRulesNameOnlyLayeredPackages(t *testing.T) {
	rank := ranks(layers)
	for _, b := range bans {
		for _, p := range b.only {
			if _, ok := rank[p]; !ok {
				t.Errorf("the ban of %s names %q, which has no layer", b.imported, p)
			}
		}
	}
	for _, a := range allowances {
		if _, ok := rank[a.importer]; !ok {
			t.Errorf("an allowance names %q, which has no layer", a.importer)
		}
	}
}

// ranks maps each place in the tree to its layer.
func ranks(layers [][]string) map[string]int {
	rank := map[string]int{}
	for i, layer := range layers {
		for _, p := range layer {
			rank[p] = i
		}
	}
	return rank
}

// layerViolations names every package without a layer and every import that does
// not point down. Imports of test files are free: a test may look at more.
func layerViolations(packages []*pkg, layers [][]string) []string {
	var found []string
	rank := ranks(layers)
	for _, p := range packages {
		mine, ok := rank[p.path()]
		if !ok {
			found = append(found, fmt.Sprintf("package %q has no layer: list it in rules_test.go", p.path()))
			continue
		}
		for _, imported := range p.Imports {
			if !ours(imported) {
				continue
			}
			if theirs, ok := rank[relative(imported)]; ok && theirs >= mine {
				found = append(found, fmt.Sprintf("%q (layer %d) imports %q (layer %d): imports point down only", p.path(), mine, relative(imported), theirs))
			}
		}
	}
	return found
}

// banViolations names every import that a ban keeps to others.
func banViolations(packages []*pkg, bans []ban) []string {
	var found []string
	for _, p := range packages {
		for _, b := range bans {
			if slices.ContainsFunc(b.only, func(o string) bool { return o == p.path() || o != "" && under(p.path(), o) }) || under(p.path(), b.imported) {
				continue
			}
			imports := p.Imports
			if b.tests {
				imports = slices.Concat(p.Imports, p.TestImports, p.XTestImports)
			}
			for _, imported := range imports {
				if under(relative(imported), b.imported) {
					found = append(found, fmt.Sprintf("%q imports %s: only %s may: %s", p.path(), imported, strings.Join(b.only, ", "), b.why))
				}
			}
		}
	}
	return found
}

// allowanceViolations names every import of a closed package that is not listed.
func allowanceViolations(packages []*pkg, allowances []allowance) []string {
	var found []string
	for _, p := range packages {
		for _, a := range allowances {
			if a.importer != p.path() {
				continue
			}
			for _, imported := range p.Imports {
				allowed := standard(imported) || slices.ContainsFunc(a.may, func(m string) bool { return under(relative(imported), m) })
				if !allowed {
					found = append(found, fmt.Sprintf("%q imports %s: %s", p.path(), imported, a.why))
				}
			}
		}
	}
	return found
}

func TestAWrongImportIsFound(t *testing.T) {
	const kv, task, partition = module + "/internal/kv", module + "/internal/task", module + "/internal/partition"
	for name, tc := range map[string]struct {
		packages []*pkg
		check    func([]*pkg) []string
		found    int
	}{
		"an import that points up": {
			[]*pkg{{ImportPath: kv, Imports: []string{partition, task, "fmt"}}},
			func(p []*pkg) []string { return layerViolations(p, layers) }, 1,
		},
		"a package of the same layer": {
			[]*pkg{{ImportPath: module + "/internal/broker", Imports: []string{module + "/internal/store"}}},
			func(p []*pkg) []string { return layerViolations(p, layers) }, 1,
		},
		"a package without a layer": {
			[]*pkg{{ImportPath: module + "/internal/util"}},
			func(p []*pkg) []string { return layerViolations(p, layers) }, 1,
		},
		"a library outside its package": {
			[]*pkg{{ImportPath: task, Imports: []string{"github.com/cockroachdb/pebble/v2/vfs"}}},
			func(p []*pkg) []string { return banViolations(p, bans) }, 1,
		},
		"a library outside its package in a test": {
			[]*pkg{{ImportPath: task, XTestImports: []string{"github.com/spf13/cobra"}}},
			func(p []*pkg) []string { return banViolations(p, bans) }, 1,
		},
		"a library inside its package": {
			[]*pkg{{ImportPath: kv, Imports: []string{"github.com/cockroachdb/pebble/v2"}}},
			func(p []*pkg) []string { return banViolations(p, bans) }, 0,
		},
		"a vendor in a port": {
			[]*pkg{{ImportPath: module + "/internal/store", Imports: []string{"google.golang.org/protobuf/proto", "context", task}}},
			func(p []*pkg) []string { return allowanceViolations(p, allowances) }, 1,
		},
		"the server in the SDK": {
			[]*pkg{{ImportPath: module, Imports: []string{task, "google.golang.org/grpc/codes", module + "/api/fenfa/v1"}}},
			func(p []*pkg) []string { return allowanceViolations(p, allowances) }, 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if found := tc.check(tc.packages); len(found) != tc.found {
				t.Errorf("found %q, want %d violations", found, tc.found)
			}
		})
	}
}
