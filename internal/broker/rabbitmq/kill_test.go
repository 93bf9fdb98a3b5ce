package rabbitmq_test

import (
	"context"
	"errors"
	"math/rand/v2"
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

// moments says when something is killed, the same with the same FENFA_SEED.
func moments(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("FENFA_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("FENFA_SEED: %v", err)
		}
	}
	t.Logf("FENFA_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// awaitMoment lets the load go on for a random while, once something was confirmed.
func (l *load) awaitMoment(random *rand.Rand) {
	l.t.Helper()
	l.await(perCall)
	now := time.After(time.Duration(random.Int64N(int64(2 * time.Second))))
	for {
		select {
		case <-l.progress:
		case <-now:
			return
		}
	}
}

func TestNothingConfirmedIsLostWhenTheServerIsKilled(t *testing.T) {
	server := shared.NeedPrivate(t)
	cfg := config(t)
	cfg.NewQueue = 0 // the default, which is for this
	l := startLoad(t, connect(t, cfg), 2)
	random := moments(t)
	for range kills(t, 1) {
		l.awaitMoment(random)
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
