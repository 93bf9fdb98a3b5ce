package telemetry

import (
	"runtime"
	"runtime/debug"
)

// Build says which program this is.
type Build struct {
	Version  string // of the module, "devel" when it was not built from a release
	Revision string // of the sources; empty when unknown
	Go       string
}

// ReadBuild reads what the Go tools wrote into the binary. A version that is not
// empty, as a linker flag may have set it, wins.
func ReadBuild(version, revision string) Build {
	b := Build{Version: version, Revision: revision, Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return b.fill(info)
}

func (b Build) fill(info *debug.BuildInfo) Build {
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	if b.Version == "" || b.Version == "(devel)" {
		b.Version = "devel"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && b.Revision == "" {
			b.Revision = s.Value
		}
	}
	return b
}
