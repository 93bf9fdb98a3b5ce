package sagas

import (
	"os"
	"testing"

	"github.com/fenfa/fenfa/tests/harness"
)

// workerEnv set to a node's address makes the test binary a worker.
const workerEnv = "FENFA_SAGAS_WORKER"

func TestMain(m *testing.M) {
	if addr := os.Getenv(workerEnv); addr != "" {
		os.Exit(workerMain(addr))
	}
	os.Exit(harness.Main(m))
}
