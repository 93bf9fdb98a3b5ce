package child

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/fenfa/fenfa/internal/loopback"
)

// readyPoll is how often a node that starts is asked whether it is ready.
const readyPoll = 5 * time.Millisecond

// NodeConfig says how to start a node.
type NodeConfig struct {
	Path string   // the binary
	Dir  string   // for its data and its log; must exist
	Args []string // more flags of serve
	Env  []string // in addition to the parent's
}

// Node is a node on two loopback ports, which are its own as long as it is referred
// to, also while no process runs.
type Node struct {
	cfg     NodeConfig
	ports   *loopback.Reservation // gRPC, HTTP
	process *Process
	log     *os.File
}

// NewNode picks ports for a node. Start starts it.
func NewNode(cfg NodeConfig) (*Node, error) {
	ports, err := loopback.Reserve(2)
	if err != nil {
		return nil, err
	}
	return &Node{cfg: cfg, ports: ports}, nil
}

// Addr returns the address of its gRPC port.
func (n *Node) Addr() string { return n.ports.Addr(0) }

// HTTPAddr returns the address of its HTTP port.
func (n *Node) HTTPAddr() string { return n.ports.Addr(1) }

// LogPath returns the file that its log is appended to.
func (n *Node) LogPath() string { return filepath.Join(n.cfg.Dir, "node.log") }

// DataDir returns the directory of its data.
func (n *Node) DataDir() string { return filepath.Join(n.cfg.Dir, "data") }

// PID returns the number of its process.
func (n *Node) PID() int { return n.process.PID() }

// Start starts the node on its data; it does not wait until it is ready.
func (n *Node) Start() error {
	log, err := os.OpenFile(n.LogPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log of node: %w", err)
	}
	args := append([]string{"serve", "--data-dir", n.DataDir(), "--grpc-listen", n.ports.Addr(0), "--http-listen", n.ports.Addr(1)}, n.cfg.Args...)
	process, err := Start(Config{Path: n.cfg.Path, Args: args, Env: n.cfg.Env, Stderr: log})
	if err != nil {
		return errors.Join(err, log.Close())
	}
	n.process, n.log = process, log
	return nil
}

// Ready waits until the node takes requests. It fails when the node ends
// instead, with the end of its log.
func (n *Node) Ready(ctx context.Context) error {
	client := &http.Client{Timeout: time.Second}
	defer client.CloseIdleConnections()
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for !n.answers(ctx, client) {
		select {
		case <-tick.C:
		case <-n.process.Done():
			return fmt.Errorf("the node ended (%w); its log ends with:\n%s", n.process.Err(), n.logTail())
		case <-ctx.Done():
			return fmt.Errorf("wait for the node: %w; its log ends with:\n%s", ctx.Err(), n.logTail())
		}
	}
	return nil
}

// answers reports whether the node says that it is ready.
func (n *Node) answers(ctx context.Context, client *http.Client) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.ports.Addr(1)+"/readyz", http.NoBody)
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

// Kill ends the node by SIGKILL and waits until it is gone.
func (n *Node) Kill() error { return errors.Join(n.process.Kill(), n.log.Close()) }

// Stop lets the node drain, at most as long as given, and kills it after that.
func (n *Node) Stop(patience time.Duration) error {
	if n.process == nil {
		return nil
	}
	err := n.process.Stop(patience)
	if cause := n.log.Close(); !errors.Is(cause, os.ErrClosed) {
		err = errors.Join(err, cause)
	}
	return err
}

// Done is closed when the process that runs now has ended.
func (n *Node) Done() <-chan struct{} { return n.process.Done() }

// logTail returns the last 2 KiB of the log.
func (n *Node) logTail() string {
	text, err := os.ReadFile(n.LogPath())
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2048):])
}
