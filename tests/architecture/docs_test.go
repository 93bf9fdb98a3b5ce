package architecture

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/fenfa/fenfa/internal/task"
)

// pages returns every Markdown page of the tree and its text.
func pages(t *testing.T) map[string]string {
	t.Helper()
	root := filepath.Join("..", "..")
	found := map[string]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "bin"):
			return filepath.SkipDir
		case filepath.Ext(path) == ".md":
			text, err := os.ReadFile(path)
			found[path] = string(text)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestLinksBetweenPagesLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#\s]+)(#[^)]*)?\)`)
	for page, text := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", page, m[1])
			}
		}
	}
}

func TestEveryPageUnderDocsIsInItsIndex(t *testing.T) {
	for page := range pages(t) {
		dir := filepath.Dir(page)
		if !strings.Contains(filepath.ToSlash(page), "/docs/") || filepath.Base(page) == "README.md" {
			continue
		}
		index, err := os.ReadFile(filepath.Join(dir, "README.md"))
		if err != nil {
			t.Errorf("%s has no index: %v", dir, err)
			continue
		}
		if !strings.Contains(string(index), "("+filepath.Base(page)+")") {
			t.Errorf("%s/README.md does not list %s", dir, filepath.Base(page))
		}
	}
}

func TestEveryDirectDependencyIsExplained(t *testing.T) {
	gomod, err := os.ReadFile(filepath.Join("..", "..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	explained, err := os.ReadFile(filepath.Join("..", "..", "docs", "dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	direct := directDependencies(string(gomod))
	if len(direct) == 0 {
		t.Fatal("go.mod names no dependency")
	}
	for _, module := range direct {
		if !strings.Contains(string(explained), "`"+module+"`") {
			t.Errorf("docs/dependencies.md does not say why %s is here", module)
		}
	}
}

// directDependencies returns the modules that a go.mod requires itself.
func directDependencies(gomod string) []string {
	var direct []string
	require := regexp.MustCompile(`(?m)^(?:require |\t)([^\s()]+) v[^\s]+$`)
	for _, m := range require.FindAllStringSubmatch(gomod, -1) {
		direct = append(direct, m[1])
	}
	return direct
}

func TestIndirectDependenciesNeedNoExplanation(t *testing.T) {
	const gomod = "module x\n\nrequire (\n\texample.com/a v1.2.3\n\texample.com/b v1.0.0 // indirect\n)\n\nrequire example.com/c v0.1.0\n"
	if got := strings.Join(directDependencies(gomod), " "); got != "example.com/a example.com/c" {
		t.Errorf("direct dependencies are %q", got)
	}
}

func TestEveryErrorCodeIsDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "errors.md"))
	if err != nil {
		t.Fatal(err)
	}
	codes := 0
	for c := task.CodeInvalidArgument; c.String() != task.CodeUnknown.String(); c++ {
		codes++
		if !strings.Contains(string(page), "\n| `"+c.String()+"` |") {
			t.Errorf("docs/errors.md has no row for %s", c)
		}
	}
	if rows := len(regexp.MustCompile("(?m)^\\| `[a-z_]+` \\|").FindAllString(string(page), -1)); rows != codes {
		t.Errorf("docs/errors.md has rows for %d codes, there are %d", rows, codes)
	}
}

func TestTestsThatPagesNameExist(t *testing.T) {
	exists := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+|Fuzz\w+|Benchmark\w+)\(`)
	for _, p := range load(t) {
		for _, file := range p.files() {
			if !strings.HasSuffix(file, "_test.go") {
				continue
			}
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range declared.FindAllStringSubmatch(string(source), -1) {
				exists[m[1]] = true
			}
		}
	}
	named := regexp.MustCompile("`((?:Test|Fuzz|Benchmark)\\w+)`")
	for page, text := range pages(t) {
		for _, m := range named.FindAllStringSubmatch(text, -1) {
			if !exists[m[1]] {
				t.Errorf("%s names %s, which is not there", page, m[1])
			}
		}
	}
}

func TestPagesThatCodeNamesExist(t *testing.T) {
	named := regexp.MustCompile(`docs/[a-z0-9_/.-]+\.(?:md|yaml)`)
	for _, p := range load(t) {
		for _, file := range p.files() {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, page := range named.FindAllString(string(source), -1) {
				if _, err := os.Stat(filepath.Join("..", "..", page)); err != nil {
					t.Errorf("%s names %s, which is not there", file, page)
				}
			}
		}
	}
}
