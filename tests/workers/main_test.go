package workers

import (
	"os"
	"strconv"
	"testing"

	"github.com/fenfa/fenfa/tests/harness"
)

func TestMain(m *testing.M) {
	if text := os.Getenv(crewEnv); text != "" {
		os.Exit(crewMain(text))
	}
	os.Exit(harness.Main(m))
}

// rounds is how often a scenario repeats what it does: FENFA_KILLS, else as often
// as given.
func rounds(t *testing.T, otherwise int) int {
	t.Helper()
	s := os.Getenv("FENFA_KILLS")
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("read FENFA_KILLS: %v", err)
	}
	return n
}
