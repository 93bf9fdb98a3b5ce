package harness

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// Patience bounds every wait for something that must happen: far longer than it
// ever takes, so that only what never happens fails.
const Patience = 60 * time.Second

// poll is how often Eventually asks.
const poll = 10 * time.Millisecond

// Eventually waits until what holds, asking again and again: for what another
// process does there is no signal to wait for. It fails after Patience.
func Eventually(ctx context.Context, what string, holds func(context.Context) bool) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for !holds(ctx) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w", what, ctx.Err())
		case <-ticker.C:
		}
	}
	return nil
}

// Await is Eventually in the test's own goroutine: it ends the test when what
// never holds.
func Await(t *testing.T, what string, holds func(context.Context) bool) {
	t.Helper()
	if err := Eventually(t.Context(), what, holds); err != nil {
		t.Fatal(err)
	}
}
