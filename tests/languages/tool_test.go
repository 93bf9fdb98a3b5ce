package languages

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fenfa/fenfa/internal/debian"
)

// need sees to it that a program is there, which comes with a package.
func need(t *testing.T, program, pkg string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	err := errors.New("it may not be installed here")
	if debian.Allowed() {
		if err = debian.Install(t.Context(), pkg); err == nil {
			return
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing: %v", program, err)
	}
	t.Skipf("NOT TESTED: the example that needs %s, which is missing: %v", program, err)
}

// example is a program of the examples that runs.
type example struct {
	t   *testing.T
	cmd *exec.Cmd
	out strings.Builder
}

// command prepares a program. It runs in the root of the tree.
func command(ctx context.Context, t *testing.T, name string, args ...string) *example {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	e := &example{t: t, cmd: exec.CommandContext(ctx, name, args...)}
	e.cmd.Dir = root
	e.cmd.Stdout, e.cmd.Stderr = &e.out, &e.out
	return e
}

// run waits for the end of the program, which must be a good one, and returns what
// it printed.
func (e *example) run() string {
	e.t.Helper()
	if err := e.cmd.Run(); err != nil {
		e.t.Fatalf("%v: %v\n%s", e.cmd.Args, err, e.out.String())
	}
	return e.out.String()
}
