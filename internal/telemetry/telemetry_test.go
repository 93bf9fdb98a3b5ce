package telemetry

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestLogHasTheFormatAndTheLevelAskedFor(t *testing.T) {
	for _, c := range []struct {
		level, format, want string
		debug               bool
	}{
		{"debug", "text", "level=INFO msg=hello key=value", true},
		{"INFO", "json", `"level":"INFO","msg":"hello","key":"value"`, false},
		{"info", "auto", `"msg":"hello"`, false}, // A buffer is no terminal.
		{"warn", "json", "", false},
		{"error", "text", "", false},
	} {
		var b bytes.Buffer
		log, err := NewLogger(&b, c.level, c.format)
		if err != nil {
			t.Fatal(err)
		}
		log.Debug("detail")
		log.Info("hello", "key", "value")
		if !strings.Contains(b.String(), c.want) || c.want == "" && b.Len() > 0 {
			t.Errorf("%s %s wrote %q", c.level, c.format, b.String())
		}
		if strings.Contains(b.String(), "detail") != c.debug {
			t.Errorf("%s %s wrote %q", c.level, c.format, b.String())
		}
	}
}

func TestLogToAFileIsJSONUnlessToldOtherwise(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	log, err := NewLogger(f, "info", FormatAuto)
	if err != nil {
		t.Fatal(err)
	}
	log.Info("hello")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(f.Name())
	if err != nil || !json.Valid(b) {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestLogWritesDurationsForPeopleInBothFormats(t *testing.T) {
	for _, format := range []string{FormatText, FormatJSON} {
		var b strings.Builder
		log, err := NewLogger(&b, "info", format)
		if err != nil {
			t.Fatal(err)
		}
		log.Info("draining", "deadline", 25*time.Second)
		if !strings.Contains(b.String(), "25s") {
			t.Errorf("%s: got %q", format, b.String())
		}
	}
}

func TestLogRefusesUnknownLevelsAndFormats(t *testing.T) {
	if _, err := NewLogger(os.Stderr, "loud", "text"); err == nil || !strings.Contains(err.Error(), "debug, info, warn or error") {
		t.Errorf("got %v", err)
	}
	if _, err := NewLogger(os.Stderr, "info", "xml"); err == nil || !strings.Contains(err.Error(), "auto, text or json") {
		t.Errorf("got %v", err)
	}
}

func TestBuildPrefersWhatTheLinkerSet(t *testing.T) {
	info := &debug.BuildInfo{Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}}}
	info.Main.Version = "v1.2.3"
	for _, c := range []struct {
		in, want Build
		info     *debug.BuildInfo
	}{
		{Build{}, Build{Version: "v1.2.3", Revision: "abc"}, info},
		{Build{Version: "v9", Revision: "def"}, Build{Version: "v9", Revision: "def"}, info},
		{Build{}, Build{Version: "devel"}, &debug.BuildInfo{}},
	} {
		if got := c.in.fill(c.info); got != c.want {
			t.Errorf("got %+v, want %+v", got, c.want)
		}
	}
	if b := ReadBuild("v1", ""); b.Version != "v1" || b.Go == "" {
		t.Errorf("got %+v", b)
	}
}

func TestRegistryTellsOfTheBuildAndTheProcess(t *testing.T) {
	r, err := NewRegistry(Build{Version: "v1", Revision: "abc", Go: "go1"})
	if err != nil {
		t.Fatal(err)
	}
	want := "# HELP fenfa_build_info Always 1; the labels tell of the build.\n# TYPE fenfa_build_info gauge\n" +
		"fenfa_build_info{go=\"go1\",revision=\"abc\",version=\"v1\"} 1\n"
	if err := testutil.GatherAndCompare(r, strings.NewReader(want), "fenfa_build_info"); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"go_goroutines", "process_cpu_seconds_total"} {
		if n, err := testutil.GatherAndCount(r, name); err != nil || n != 1 {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
}
