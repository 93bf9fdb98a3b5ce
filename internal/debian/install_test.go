package debian

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeApt puts a package manager in front of the real one that notes what it is
// asked, and fails as often as given.
func fakeApt(t *testing.T, failures int) (asked func() string) {
	t.Helper()
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	script := "#!/bin/sh\necho \"$3\" >>" + log + "\n[ $(wc -l <" + log + ") -gt " + string(rune('0'+failures)) + " ]\n"
	if err := os.WriteFile(filepath.Join(dir, "apt-get"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("TMPDIR", dir)
	return func() string {
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(strings.Fields(string(text)), " ")
	}
}

func TestListsAreFetchedWhereThePackageIsNotFound(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: the installation of packages, which takes root")
	}
	for name, c := range map[string]struct {
		failures int
		want     string
		fails    bool
	}{
		"at once":         {0, "install", false},
		"after an update": {1, "install update install", false},
		"never":           {9, "install update", true},
	} {
		t.Run(name, func(t *testing.T) {
			asked := fakeApt(t, c.failures)
			_, before := os.Stat(policy)
			err := Install(t.Context(), "server")
			if got := asked(); got != c.want || (err != nil) != c.fails {
				t.Errorf("asked for %s: %v", got, err)
			}
			if _, after := os.Stat(policy); errors.Is(before, os.ErrNotExist) && after == nil {
				t.Error("services are kept from starting afterwards")
			}
		})
	}
}

func TestItMayBeForbidden(t *testing.T) {
	fakeApt(t, 0)
	t.Setenv(EnvInstall, "never")
	if Allowed() {
		t.Error("it is allowed")
	}
	t.Setenv(EnvInstall, "yes")
	if !Allowed() {
		t.Error("it is not allowed")
	}
}
