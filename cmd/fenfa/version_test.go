package main

import (
	"bytes"
	"testing"

	"github.com/fenfa/fenfa/internal/telemetry"
)

func TestACommitThatIsNotKnownIsLeftOut(t *testing.T) {
	for revision, want := range map[string]string{
		"":     "fenfa devel (go1.26, linux/amd64)\n",
		"abc1": "fenfa devel (commit abc1, go1.26, linux/amd64)\n",
	} {
		var out bytes.Buffer
		writeVersion(&out, telemetry.Build{Version: "devel", Revision: revision, Go: "go1.26"}, "linux/amd64")
		if out.String() != want {
			t.Errorf("got %q, want %q", out.String(), want)
		}
	}
}
