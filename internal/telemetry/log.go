package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"golang.org/x/term"
)

// Formats of the log.
const (
	FormatAuto = "auto" // text on a terminal, else JSON
	FormatText = "text"
	FormatJSON = "json"
)

// NewLogger returns a logger that writes lines of the format, from the level on,
// to w.
func NewLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	least, err := ParseLevel(level)
	if err != nil {
		return nil, err
	}
	options := &slog.HandlerOptions{Level: least}
	switch {
	case format == FormatText, format == FormatAuto && isTerminal(w):
		return slog.New(slog.NewTextHandler(w, options)), nil
	case format == FormatJSON, format == FormatAuto:
		options.ReplaceAttr = readable
		return slog.New(slog.NewJSONHandler(w, options)), nil
	default:
		return nil, fmt.Errorf("log format %q is not known: want %s, %s or %s", format, FormatAuto, FormatText, FormatJSON)
	}
}

// readable writes durations in JSON as in text: "25s", not a number of nanoseconds.
func readable(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

// ParseLevel reads the name of a level.
func ParseLevel(name string) (slog.Level, error) {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if strings.EqualFold(name, level.String()) {
			return level, nil
		}
	}
	return 0, fmt.Errorf("log level %q is not known: want debug, info, warn or error", name)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
