package harness

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// binary is the path of the fenfa binary under test, once Main has it.
var binary atomic.Pointer[string] //nolint:gochecknoglobals // Set once, by TestMain.

// Main builds the binary and runs the tests. It returns the exit code.
func Main(m *testing.M) int {
	path := os.Getenv("FENFA_BINARY")
	if path == "" {
		dir, err := os.MkdirTemp("", "fenfa-test-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		path = filepath.Join(dir, "fenfa")
		build := exec.CommandContext(context.Background(), "go", "build", "-o", path, "github.com/fenfa/fenfa/cmd/fenfa")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build fenfa: %v\n%s", err, out)
			return 1
		}
	}
	binary.Store(&path)
	return m.Run()
}
