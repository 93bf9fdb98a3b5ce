package fenfa

import (
	"context"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dial makes a client that is closed with the test.
func dial(tb testing.TB, n *fakeNode, opts ...DialOption) *Client {
	tb.Helper()
	c, err := Dial(n.addr, opts...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Error(err)
		}
	})
	return c
}

// work runs a worker until the returned function is called, which waits for Run
// and returns its error.
func work(tb testing.TB, w *Worker) (stop func() error) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	tb.Cleanup(func() { _ = stop() })
	return stop
}

// submit submits tasks that must be accepted.
func submit(tb testing.TB, c *Client, tasks ...*Task) {
	tb.Helper()
	results, err := c.SubmitBatch(tb.Context(), tasks)
	if err != nil {
		tb.Fatal(err)
	}
	for _, r := range results {
		if r.Err != nil {
			tb.Fatal(r.Err)
		}
	}
}
