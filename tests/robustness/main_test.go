package robustness

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binary is the fenfa binary under test.
var binary string

// workerEnv set to a node's address makes the test binary a worker.
const workerEnv = "FENFA_ROBUSTNESS_WORKER"

func TestMain(m *testing.M) {
	if addr := os.Getenv(workerEnv); addr != "" {
		os.Exit(workerMain(addr))
	}
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	binary = os.Getenv("FENFA_BINARY")
	if binary == "" {
		dir, err := os.MkdirTemp("", "fenfa-robustness-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		binary = filepath.Join(dir, "fenfa")
		build := exec.CommandContext(context.Background(), "go", "build", "-o", binary, "github.com/fenfa/fenfa/cmd/fenfa")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build fenfa: %v\n%s", err, out)
			return 1
		}
	}
	return m.Run()
}
