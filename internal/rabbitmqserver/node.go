package rabbitmqserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/fenfa/fenfa/internal/child"
)

// Node is one server.
type Node struct {
	cluster  *Cluster
	name     string
	dir      string
	port     int
	tlsPort  int
	distPort int
	process  *child.Process
	output   *os.File
}

// Name is what the cluster calls the server.
func (n *Node) Name() string { return n.name }

// Addr is host:port of the plain listener.
func (n *Node) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(n.port)) }

// TLSAddr is host:port of the TLS listener.
func (n *Node) TLSAddr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(n.tlsPort)) }

func (n *Node) prepare() error {
	cfg := &n.cluster.cfg
	lines := []string{
		"listeners.tcp.1 = " + n.Addr(),
		"default_user = " + User,
		"default_pass = " + Password,
		"log.file.level = warning",
		"cluster_formation.peer_discovery_backend = rabbit_peer_discovery_classic_config",
		"cluster_formation.randomized_startup_delay_range.min = 0",
		"cluster_formation.randomized_startup_delay_range.max = 1",
	}
	for i, peer := range n.cluster.Nodes {
		lines = append(lines, fmt.Sprintf("cluster_formation.classic_config.nodes.%d = %s", i+1, peer.name))
	}
	if cfg.Cert != "" {
		lines = append(lines,
			"listeners.ssl.1 = "+n.TLSAddr(), "ssl_options.certfile = "+cfg.Cert, "ssl_options.keyfile = "+cfg.Key, "ssl_options.cacertfile = "+cfg.CA)
	}
	lines = append(lines, cfg.Settings...)
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(n.dir, "rabbitmq.conf"), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(n.dir, "plugins"), []byte("[].\n"), 0o600)
}

// environment keeps the server and its tools away from any other on the machine.
func (n *Node) environment() []string {
	return []string{
		"HOME=" + n.cluster.cfg.Dir,
		"ERL_EPMD_PORT=" + strconv.Itoa(n.cluster.port),
		"RABBITMQ_NODENAME=" + n.name,
		"RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
		"RABBITMQ_NODE_PORT=" + strconv.Itoa(n.port),
		"RABBITMQ_DIST_PORT=" + strconv.Itoa(n.distPort),
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none",
		"RABBITMQ_MNESIA_BASE=" + filepath.Join(n.dir, "data"),
		"RABBITMQ_LOG_BASE=" + filepath.Join(n.dir, "log"),
		"RABBITMQ_CONFIG_FILE=" + filepath.Join(n.dir, "rabbitmq"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(n.dir, "plugins"),
		"RABBITMQ_PID_FILE=" + filepath.Join(n.dir, "pid"),
		"RABBITMQ_CONF_ENV_FILE=/dev/null",
		// The script then becomes the server, instead of starting it, so that its number
		// is the server's.
		"RUNNING_UNDER_SYSTEMD=true",
	}
}

// Start starts the server, or starts it again, and returns when it is up.
func (n *Node) Start(ctx context.Context) error {
	output, err := os.OpenFile(filepath.Join(n.dir, "output"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	n.output = output
	n.process, err = child.Start(child.Config{
		Path: filepath.Join(n.cluster.sbin, "rabbitmq-server"), Env: n.environment(), Stderr: output,
	})
	if err != nil {
		return errors.Join(err, output.Close())
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return n.ready(ctx)
}

// ready waits until the server lets a client speak.
func (n *Node) ready(ctx context.Context) error {
	const between = 50 * time.Millisecond
	ticker := time.NewTicker(between)
	defer ticker.Stop()
	for {
		if n.answers(ctx) {
			return nil
		}
		select {
		case <-ticker.C:
		case <-n.process.Done():
			return fmt.Errorf("server %s ended: %w: %s", n.name, n.process.Err(), n.log())
		case <-ctx.Done():
			return fmt.Errorf("server %s does not answer: %w: %s", n.name, ctx.Err(), n.log())
		}
	}
}

// answers sends the protocol's greeting and looks for the server's.
func (n *Node) answers(ctx context.Context) bool {
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", n.Addr())
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return false
	}
	if _, err := conn.Write([]byte("AMQP\x00\x00\x09\x01")); err != nil {
		return false
	}
	var first [1]byte
	_, err = io.ReadFull(conn, first[:])
	return err == nil && first[0] == 1
}

// log is the end of what the server wrote.
func (n *Node) log() []byte {
	out, err := os.ReadFile(filepath.Join(n.dir, "output"))
	if err != nil {
		return nil
	}
	return tail(out)
}

// PID is the number of the server's process; 0 when it does not run.
func (n *Node) PID() int {
	if n.process == nil {
		return 0
	}
	return n.process.PID()
}

// Kill ends the server by SIGKILL and waits until it is gone.
func (n *Node) Kill() error {
	if n.process == nil {
		return nil
	}
	err := errors.Join(n.process.Kill(), n.output.Close())
	n.process = nil
	return err
}

// Freeze stops the server where it is, Thaw lets it go on.
func (n *Node) Freeze() error { return n.process.Freeze() }

// Thaw lets a server go on that Freeze stopped.
func (n *Node) Thaw() error { return n.process.Thaw() }

// Control runs rabbitmqctl, or with another tool's name first that one, against
// the server and returns what it prints.
func (n *Node) Control(ctx context.Context, args ...string) (string, error) {
	tool := "rabbitmqctl"
	if strings.HasPrefix(args[0], "rabbitmq-") {
		tool, args = args[0], args[1:]
	}
	//nolint:gosec // The tools of the server that was found.
	cmd := exec.CommandContext(ctx, filepath.Join(n.cluster.sbin, tool), append([]string{"--node", n.name, "--quiet"}, args...)...)
	cmd.Env = append(os.Environ(), n.environment()...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", tool, args[0], err, tail(out))
	}
	return string(out), nil
}

// tail is the end of a command's output.
func tail(out []byte) []byte {
	const most = 2000
	return out[max(0, len(out)-most):]
}
