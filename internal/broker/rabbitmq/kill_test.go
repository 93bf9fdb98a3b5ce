package rabbitmq_test

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
)

// kills is how often the server is killed; FENFA_KILLS asks for more.
func kills(t *testing.T, few int) int {
	t.Helper()
	text := os.Getenv("FENFA_KILLS")
	if text == "" {
		return few
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("FENFA_KILLS: %v", err)
	}
	return n
}

func TestNothingConfirmedIsLostWhenTheServerIsKilled(t *testing.T) {
	server := shared.NeedPrivate(t)
	cfg := config(t)
	cfg.NewQueue = 0 // the default, which is for this
	l := startLoad(t, connect(t, cfg), 2)
	for kill := range kills(t, 1) {
		l.await(500 + 700*(kill%7))
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := server.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	l.await(500)
	l.finish()
}

func TestNothingConfirmedIsLostWhenTheServerStandsStill(t *testing.T) {
	server := shared.NeedPrivate(t)
	cfg := config(t)
	cfg.Heartbeat = time.Second
	l := startLoad(t, connect(t, cfg), 2)
	for range 2 {
		l.await(500)
		if err := server.Freeze(); err != nil {
			t.Fatal(err)
		}
		// A call that begins now is answered by its deadline, and not later.
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		err := l.b.Publish(ctx, []broker.Message{message(9, 0, 0)})
		cancel()
		if err := server.Thaw(); err != nil {
			t.Fatal(err)
		}
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), server.Addr()) || !strings.Contains(err.Error(), "publish") {
			t.Errorf("publish to a server that stands still: %v", err)
		}
	}
	l.await(500)
	l.finish()
}
