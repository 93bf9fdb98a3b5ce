package main

import (
	"fmt"
	"io"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa/internal/telemetry"
)

// Set by -ldflags "-X main.version=... -X main.commit=...". Empty, they are what
// the Go tools wrote into the binary.
var (
	version string
	commit  string
)

// build says which program this is.
func build() telemetry.Build { return telemetry.ReadBuild(version, commit) }

func newVersion() *cobra.Command {
	cmd := &cobra.Command{Use: "version", Short: "Show the version of this binary", Args: exactly()}
	out := outputFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		b := build()
		view := map[string]string{"version": b.Version, "commit": b.Revision, "go": b.Go, "platform": runtime.GOOS + "/" + runtime.GOARCH}
		return out.write(cmd, view, func(w io.Writer) {
			writeVersion(w, b, view["platform"])
		})
	}
	return cmd
}

// writeVersion leaves out the commit where the binary does not know it, as after
// a build outside of a repository.
func writeVersion(w io.Writer, b telemetry.Build, platform string) {
	commit := ""
	if b.Revision != "" {
		commit = "commit " + b.Revision + ", "
	}
	fmt.Fprintf(w, "fenfa %s (%s%s, %s)\n", b.Version, commit, b.Go, platform)
}
