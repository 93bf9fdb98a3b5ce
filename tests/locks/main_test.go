package locks

import (
	"os"
	"testing"

	"github.com/fenfa/fenfa/tests/harness"
)

// holderEnv set to a node's address makes the test binary a holder.
const holderEnv = "FENFA_LOCKS_HOLDER"

func TestMain(m *testing.M) {
	if addr := os.Getenv(holderEnv); addr != "" {
		os.Exit(holderMain(addr))
	}
	os.Exit(harness.Main(m))
}
