package robustness

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/fenfa/fenfa/tests/harness"
)

// TestANodeThatCannotServeSaysWhy starts a node where it cannot run: it must end
// by itself, with the documented exit code and one clear error.
func TestANodeThatCannotServeSaysWhy(t *testing.T) {
	for name, tc := range map[string]struct {
		arrange func(t *testing.T, n *harness.Node)
		code    int
		says    string
	}{
		"the gRPC port is in use": {
			func(t *testing.T, n *harness.Node) { t.Helper(); occupy(t, n.GRPC) }, exitNode, "in use",
		},
		"the HTTP port is in use": {
			func(t *testing.T, n *harness.Node) { t.Helper(); occupy(t, n.HTTP) }, exitNode, "in use",
		},
		"another node has the data directory": {
			func(t *testing.T, n *harness.Node) {
				t.Helper()
				harness.NewNode(t, n.Data).Start()
			}, exitNode, "another node",
		},
		"a newer fenfa wrote the data directory": {
			func(t *testing.T, n *harness.Node) { t.Helper(); makeNewer(t, n) }, exitNode, "newer version",
		},
		"the data directory cannot be made": {
			func(t *testing.T, n *harness.Node) {
				t.Helper()
				n.Data = filepath.Join(t.TempDir(), "file")
				if err := os.WriteFile(n.Data, []byte("x"), 0o600); err != nil {
					t.Fatal(err)
				}
			}, exitNode, "file",
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := harness.NewNode(t, t.TempDir())
			tc.arrange(t, n)
			n.Launch()
			if code := n.Wait(); code != tc.code {
				t.Errorf("exit code %d, want %d", code, tc.code)
			}
			said := n.Output()
			if !strings.Contains(said, tc.says) {
				t.Errorf("the node says %q, want something about %q", said, tc.says)
			}
			noStackTrace(t, said)
		})
	}
}

// occupy listens at addr until the test ends.
func occupy(t *testing.T, addr string) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
}

// makeNewer leaves a data directory behind whose format a later version raised.
func makeNewer(t *testing.T, n *harness.Node) {
	t.Helper()
	n.Start()
	if code := n.Stop(); code != 0 {
		t.Fatalf("the node ended with code %d", code)
	}
	const marker = "marker.format-version."
	found := ""
	err := filepath.WalkDir(n.Data, func(path string, _ os.DirEntry, err error) error {
		if strings.HasPrefix(filepath.Base(path), marker) {
			found = path
		}
		return err
	})
	if err != nil || found == "" {
		t.Fatalf("no %s* in %s (%v)", marker, n.Data, err)
	}
	if err := os.Rename(found, filepath.Join(filepath.Dir(found), marker+"999999.999")); err != nil {
		t.Fatal(err)
	}
}

// noStackTrace fails the test when the process spoke to programmers.
func noStackTrace(t *testing.T, said string) {
	t.Helper()
	if regexp.MustCompile(`(?m)^(panic:|goroutine \d+ \[|fatal error:)`).MatchString(said) {
		t.Errorf("the process left a stack trace:\n%s", said)
	}
}
