package fenfatest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/config"
	"github.com/fenfa/fenfa/internal/node"
	"github.com/fenfa/fenfa/internal/telemetry"
)

// Sizes and deadlines of a node that shares its machine with other tests.
const (
	cacheBytes    = 8 << 20
	memTableBytes = 4 << 20
	minFreeBytes  = 1 << 20
	drainTimeout  = 5 * time.Second
	startTimeout  = 30 * time.Second
)

// Node is a node that runs inside a test.
type Node struct {
	tb     testing.TB
	opts   options
	config config.Config
	client *fenfa.Client
	clock  *taskClock

	advancing sync.Mutex // held while the clock is put forward

	mu      sync.Mutex
	node    *node.Node
	workers map[*fenfa.Worker]struct{} // that Run runs
}

// Start starts a node and makes the queues that options name. It fails the test
// where that is not possible.
func Start(tb testing.TB, opts ...Option) *Node {
	tb.Helper()
	n := &Node{tb: tb, opts: options{partitions: 4, patience: defaultPatience}, config: config.Default(), clock: newTaskClock(), workers: make(map[*fenfa.Worker]struct{})}
	for _, opt := range opts {
		opt(&n.opts)
	}
	n.config.Node = "fenfatest"
	n.config.DataDir = n.opts.dataDir
	if n.config.DataDir == "" {
		n.config.DataDir = filepath.Join(tb.TempDir(), "data")
	}
	n.config.Partitions = n.opts.partitions
	n.config.GRPC.Listen, n.config.HTTP.Listen = "127.0.0.1:0", "127.0.0.1:0"
	n.config.Storage = config.Storage{Cache: cacheBytes, MemTable: memTableBytes, MinFree: minFreeBytes}
	n.config.Shutdown.Drain = drainTimeout
	n.config.Webhook.Allow = "127.0.0.0/8,::1" // Tests push to themselves.
	n.config.Store.URL = config.URL(strings.Join(n.opts.store, ","))
	n.config.Broker.URL = config.URL(n.opts.broker)
	if err := n.open(); err != nil {
		tb.Fatalf("start node: %v", err)
	}
	tb.Cleanup(n.stop)
	// From now on the addresses stay, so that clients find the node again.
	n.config.GRPC.Listen, n.config.HTTP.Listen = n.node.GRPCAddr(), n.node.HTTPAddr()
	n.dial()
	n.configure()
	return n
}

func (n *Node) open() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(n.tb.Context()), startTimeout)
	defer cancel()
	started, err := node.Open(ctx, node.Options{
		Config: n.config,
		Build:  telemetry.Build{Version: "fenfatest"},
		Logger: n.opts.logger, TaskClock: n.clock,
		Fatal: func(err error) { panic(fmt.Sprintf("fenfatest: the disk of the node failed: %v", err)) },
	})
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.node = started
	return nil
}

func (n *Node) stop() {
	n.mu.Lock()
	running := n.node
	n.node = nil
	n.mu.Unlock()
	if running == nil {
		return
	}
	if err := running.Close(context.WithoutCancel(n.tb.Context())); err != nil {
		n.tb.Errorf("stop node: %v", err)
	}
}

func (n *Node) dial() {
	n.tb.Helper()
	c, err := fenfa.Dial(n.Addr(), append([]fenfa.DialOption{fenfa.WithClockAhead(n.Ahead)}, n.opts.dial...)...)
	if err != nil {
		n.tb.Fatalf("dial node: %v", err)
	}
	n.client = c
	n.tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			n.tb.Errorf("close client: %v", err)
		}
	})
}

func (n *Node) configure() {
	n.tb.Helper()
	for _, q := range n.opts.queues {
		if _, _, err := n.client.ConfigureQueue(n.tb.Context(), q); err != nil {
			n.tb.Fatal(err)
		}
	}
}

// Client returns a client of the node. It is closed with the test.
func (n *Node) Client() *fenfa.Client { return n.client }

// Addr returns the node's gRPC address, host and port, for fenfa.Dial.
func (n *Node) Addr() string { return n.config.GRPC.Listen }

// HTTPAddr returns the address of the node's JSON API, host and port.
func (n *Node) HTTPAddr() string { return n.config.HTTP.Listen }

// Restart stops the node and starts it again with the same data and addresses.
// Clients and workers reconnect by themselves.
func (n *Node) Restart() {
	n.tb.Helper()
	n.stop()
	if err := n.open(); err != nil {
		n.tb.Fatalf("start node again: %v", err)
	}
}

// Run runs a worker until the test ends, or the returned function is called,
// which returns when the worker has drained. An error of the worker fails the
// test.
func (n *Node) Run(w *fenfa.Worker) (stop func()) {
	n.tb.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(n.tb.Context()))
	done := make(chan error, 1)
	n.expect(w, true)
	go func() {
		defer n.expect(w, false)
		done <- w.Run(ctx)
	}()
	stop = sync.OnceFunc(func() {
		n.expect(w, false)
		cancel()
		if err := <-done; err != nil {
			n.tb.Errorf("worker %s: %v", w.ID(), err)
		}
	})
	n.tb.Cleanup(stop)
	return stop
}

// expect says whether a worker is to be connected.
func (n *Node) expect(w *fenfa.Worker, connected bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.workers, w)
	if connected {
		n.workers[w] = struct{}{}
	}
}

// Await waits until the task has ended, and returns how. It fails the test when
// ctx ends before.
func (n *Node) Await(ctx context.Context, id fenfa.ID) *fenfa.TaskStatus {
	n.tb.Helper()
	const every = 2 * time.Millisecond
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	last := fenfa.StateUnknown
	for {
		st, err := n.client.Task(ctx, id)
		switch {
		case err == nil && st.State.Final():
			return st
		case err == nil:
			last = st.State
		case !errors.Is(err, fenfa.ErrNotFound) && !errors.Is(err, fenfa.ErrUnavailable):
			n.tb.Fatal(err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			n.tb.Fatalf("await task %s, which is %s: %v", id, last, context.Cause(ctx))
		}
	}
}
