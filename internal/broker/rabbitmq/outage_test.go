package rabbitmq

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func TestAnOutageIsTwoLines(t *testing.T) {
	var log strings.Builder
	o := outage{logger: slog.New(slog.NewTextHandler(&log, nil)), over: "it is back"}
	o.end() // There was none.
	for range 2 {
		log.Reset()
		for range 100 {
			o.failed("it is away", slog.Any("error", errors.New("nobody answers")))
		}
		o.end()
		o.end()
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], "level=WARN msg=\"it is away\" error=\"nobody answers\"") ||
			!strings.Contains(lines[1], "level=INFO msg=\"it is back\"") || !strings.Contains(lines[1], "failures=100") {
			t.Errorf("the log says\n%s", log.String())
		}
	}
}
