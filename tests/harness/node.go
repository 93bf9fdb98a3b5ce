package harness

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"testing"

	fenfa "github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/loopback"
)

// Node is a place for a node: a data directory and addresses. Processes come and
// go in it.
type Node struct {
	*Process // the one that was launched last

	Data string // its data directory
	GRPC string // where it listens for clients and workers
	HTTP string // where it shows its health and metrics

	Env []string // of processes that are launched from now on, beside the test's own

	t     *testing.T
	flags []string
}

// NewNode makes a place on reserved ports of loopback, with data in the directory.
// Processes get the flags in addition.
func NewNode(t *testing.T, data string, flags ...string) *Node {
	t.Helper()
	ports, err := loopback.Reserve(2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ports.Release(); err != nil {
			t.Error(err)
		}
	})
	return &Node{t: t, Data: data, GRPC: ports.Addr(0), HTTP: ports.Addr(1), flags: flags}
}

// Launch starts a process and does not wait for it.
func (n *Node) Launch() {
	n.t.Helper()
	args := append([]string{"serve", "--data-dir", n.Data, "--grpc-listen", n.GRPC, "--http-listen", n.HTTP}, n.flags...)
	n.Process = Start(n.t, "node", n.Env, *binary.Load(), args...)
}

// Start starts a process and waits until it is ready.
func (n *Node) Start() {
	n.t.Helper()
	n.Launch()
	n.AwaitReady()
}

// AwaitReady waits until the node says that it is ready.
func (n *Node) AwaitReady() {
	n.t.Helper()
	Await(n.t, "the node is ready", func(ctx context.Context) bool {
		select {
		case <-n.Done():
			n.t.Fatalf("the node ended with code %d before it was ready:\n%s", n.Code(), n.Tail())
		default:
		}
		return n.Ready(ctx)
	})
}

// Ready reports whether the node says that it is ready.
func (n *Node) Ready(ctx context.Context) bool {
	_, err := n.get(ctx, "/readyz")
	return err == nil
}

// Metrics returns what the node says at /metrics.
func (n *Node) Metrics(ctx context.Context) (string, error) { return n.get(ctx, "/metrics") }

// get asks the node over HTTP. Every answer but 200 is an error.
func (n *Node) get(ctx context.Context, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.HTTP+path, http.NoBody)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("get %s: %s", path, response.Status)
	}
	return string(body), err
}

// Dial makes a client that lives as long as the test.
func (n *Node) Dial(opts ...fenfa.DialOption) *fenfa.Client {
	n.t.Helper()
	client, err := fenfa.Dial(n.GRPC, append(opts, fenfa.WithLogger(slog.New(slog.DiscardHandler)))...)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = client.Close() })
	return client
}
