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
	return setting(t, "FENFA_KILLS", otherwise)
}

// setting reads a whole number from an environment variable; it is the given one
// where that is not set.
func setting(t *testing.T, name string, otherwise int) int {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("read %s: %q is not a whole number from 1 on", name, s)
	}
	return n
}
