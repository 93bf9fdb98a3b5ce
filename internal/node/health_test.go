package node

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/config"
	"github.com/fenfa/fenfa/internal/loopback"
)

// TestANodeSaysWhatItWaitsForWhileItStarts starts a node whose database is not there,
// and asks it over HTTP meanwhile.
func TestANodeSaysWhatItWaitsForWhileItStarts(t *testing.T) {
	ports, err := loopback.Reserve(1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := ports.Release(); err != nil {
			t.Error(err)
		}
	}()
	opts, host := options(t), nobody(t)
	opts.Config.HTTP.Listen = ports.Addr(0)
	opts.Config.Store.URL = config.URL("mysql://fenfa:" + secret + "@" + host + "/state")
	opts.Config.Store.Timeout = 10 * time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	opened := make(chan error, 1)
	go func() {
		_, err := Open(ctx, opts)
		opened <- err
	}()
	asked := func(path string) (int, string) {
		for {
			if status, body, err := ask(t.Context(), http.MethodGet, "http://"+ports.Addr(0)+path, ""); err == nil {
				return status, body
			}
		}
	}
	for {
		status, body := asked("/readyz")
		if status != http.StatusServiceUnavailable {
			t.Fatalf("it is ready: %d %s", status, body)
		}
		if !strings.Contains(body, "a database is away") {
			continue
		}
		for _, want := range []string{"the node is starting, and is at its store", "migrate schema on shard 0 (" + host + "/state)", "connection refused"} {
			if !strings.Contains(body, want) {
				t.Errorf("%q is not in %s", want, body)
			}
		}
		if strings.Contains(body, secret) {
			t.Errorf("the password shows: %s", body)
		}
		break
	}
	for path, want := range map[string]int{"/healthz": http.StatusOK, "/v1/queues": http.StatusServiceUnavailable} {
		if status, body := asked(path); status != want {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	cancel()
	if err := <-opened; !errors.Is(err, context.Canceled) {
		t.Errorf("the start ended with %v", err)
	}
}

func TestDatabasesThatAreAwayAreNamedUntilTheyAreBack(t *testing.T) {
	var h health
	h.start("store")
	h.shard(2, errors.New("two"))
	h.shard(1, errors.New("one"))
	if got := h.Problems(); len(got) != 3 || got[1] != "a database is away: one" || got[2] != "a database is away: two" {
		t.Errorf("got %q", got)
	}
	h.start("")
	h.shard(1, nil)
	if got := h.Problems(); !slices.Equal(got, []string{"a database is away: two"}) {
		t.Errorf("got %q", got)
	}
}
