package rabbitmq

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestAnOutageIsTwoLines(t *testing.T) {
	var o outage
	if was, ok := o.end(); ok {
		t.Errorf("there was one: %v", was)
	}
	for range 2 {
		for i := range 100 {
			want := slog.LevelDebug
			if i == 0 {
				want = slog.LevelWarn
			}
			if got := o.failed(); got != want {
				t.Fatalf("failure %d is logged at %v, want %v", i, got, want)
			}
		}
		was, ok := o.end()
		if text := fmt.Sprint(was); !ok || !strings.Contains(text, "failures=100") || !strings.Contains(text, "after=") {
			t.Errorf("it was %s, %v", text, ok)
		}
		if _, ok := o.end(); ok {
			t.Error("it ended twice")
		}
	}
}
