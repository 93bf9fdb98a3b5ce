package robustness

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"testing"

	fenfa "github.com/fenfa/fenfa"
)

// node is a place for a node: a data directory and addresses. Processes come and
// go in it.
type node struct {
	t    *testing.T
	data string
	grpc string
	http string
	*process
}

// newNode makes a place on free ports of loopback.
func newNode(t *testing.T, data string) *node {
	t.Helper()
	return &node{t: t, data: data, grpc: freeAddr(t), http: freeAddr(t)}
}

// freeAddr returns a loopback address that nobody listens on. It lies below the
// range that the system gives to outgoing connections, so that nobody takes it
// while the node is down.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 100 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(20_000+rand.IntN(12_000)))
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", addr)
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
		return addr
	}
	t.Fatal("no free port found")
	return ""
}

// args are the arguments that serve a node here.
func (n *node) args() []string {
	return []string{"serve", "--data-dir", n.data, "--grpc-listen", n.grpc, "--http-listen", n.http}
}

// launch starts a process and does not wait for it.
func (n *node) launch() {
	n.t.Helper()
	n.process = start(n.t, "node", nil, binary, n.args()...)
}

// start starts a process and waits until it is ready.
func (n *node) start() {
	n.t.Helper()
	n.launch()
	n.awaitReady()
}

// awaitReady waits until the node says that it is ready.
func (n *node) awaitReady() {
	n.t.Helper()
	err := eventually(n.t.Context(), "the node is ready", func(ctx context.Context) bool {
		select {
		case <-n.Done():
			n.t.Fatalf("the node ended with code %d before it was ready:\n%s", n.code(), n.tail(4<<10))
		default:
		}
		return n.ready(ctx)
	})
	if err != nil {
		n.t.Fatal(err)
	}
}

// ready asks the node whether it is ready.
func (n *node) ready(ctx context.Context) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.http+"/readyz", http.NoBody)
	if err != nil {
		n.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// dial makes a client that lives as long as the test.
func (n *node) dial(opts ...fenfa.DialOption) *fenfa.Client {
	n.t.Helper()
	client, err := fenfa.Dial(n.grpc, append(opts, fenfa.WithLogger(slog.New(slog.DiscardHandler)))...)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = client.Close() })
	return client
}

// configure makes the queues that the workers serve.
func configure(t *testing.T, client *fenfa.Client) {
	t.Helper()
	for _, name := range []string{orders, notes} {
		if _, _, err := client.ConfigureQueue(t.Context(), fenfa.Queue{Name: name}); err != nil {
			t.Fatalf("configure %s: %v", name, err)
		}
	}
}

// envInt reads a number from the environment.
func envInt(t *testing.T, name string, otherwise int) int {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	v, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(fmt.Errorf("read %s: %w", name, err))
	}
	return v
}
