package rabbitmqserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fenfa/fenfa/internal/child"
	"github.com/fenfa/fenfa/internal/loopback"
)

// Credentials of the servers that Start starts.
const (
	User     = "fenfa"
	Password = "not-a-secret-but-never-shown"
)

// startTimeout bounds the start of one server.
const startTimeout = 2 * time.Minute

// Config says what to start.
type Config struct {
	Dir   string // for data and logs; required
	Nodes int    // default 1
	// Settings are further lines of the server's configuration.
	Settings []string
	// Cert, Key and CA are PEM files; with them each server also listens with TLS.
	Cert, Key, CA string
}

// Cluster is servers that belong together.
type Cluster struct {
	Nodes []*Node

	cfg      Config
	sbin     string
	daemon   *child.Process // by which the servers find each other
	port     int            // of the daemon
	reserved *loopback.Reservation
}

// Start finds the server's scripts and starts the servers. It returns when all
// are up.
func Start(ctx context.Context, cfg Config) (*Cluster, error) {
	sbin, ok := Find()
	if !ok {
		return nil, ErrMissing
	}
	cfg.Nodes = max(1, cfg.Nodes)
	c := &Cluster{cfg: cfg, sbin: sbin}
	if err := c.prepare(); err != nil {
		return nil, fmt.Errorf("prepare servers: %w", err)
	}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

func (c *Cluster) prepare() error {
	const portsOfNode = 3
	reserved, err := loopback.Reserve(1 + portsOfNode*c.cfg.Nodes)
	if err != nil {
		return err
	}
	c.reserved = reserved
	ports := reserved.Ports()
	c.port = ports[0]
	cookie := filepath.Join(c.cfg.Dir, ".erlang.cookie")
	if err := os.WriteFile(cookie, []byte(rand.Text()), 0o400); err != nil {
		return err
	}
	for i := range c.cfg.Nodes {
		n := &Node{cluster: c, name: fmt.Sprintf("fenfa%d@localhost", i+1), dir: filepath.Join(c.cfg.Dir, fmt.Sprint("node", i+1))}
		n.port, n.tlsPort, n.distPort = ports[1+portsOfNode*i], ports[2+portsOfNode*i], ports[3+portsOfNode*i]
		c.Nodes = append(c.Nodes, n)
	}
	for _, n := range c.Nodes {
		if err := n.prepare(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) start(ctx context.Context) error {
	epmd, err := exec.LookPath("epmd")
	if err != nil {
		return err
	}
	c.daemon, err = child.Start(child.Config{Path: epmd, Args: []string{"-port", strconv.Itoa(c.port), "-address", "127.0.0.1"}})
	if err != nil {
		return err
	}
	// The first one makes the cluster that the others join.
	if err := c.Nodes[0].Start(ctx); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, n := range c.Nodes[1:] {
		group.Go(func() error { return n.Start(ctx) })
	}
	return group.Wait()
}

// Stop kills the servers; their data stays in the directory.
func (c *Cluster) Stop() error {
	var errs []error
	for _, n := range c.Nodes {
		if n.process != nil {
			errs = append(errs, n.Kill())
		}
	}
	if c.daemon != nil {
		errs = append(errs, c.daemon.Kill())
	}
	return errors.Join(errs...)
}

// Address returns the servers as one address, with user and password.
func (c *Cluster) Address() string {
	return "amqp://" + User + ":" + Password + "@" + strings.Join(c.Endpoints(), ",") + "/"
}

// Endpoints returns host:port of every server.
func (c *Cluster) Endpoints() []string {
	all := make([]string, len(c.Nodes))
	for i, n := range c.Nodes {
		all[i] = n.Addr()
	}
	return all
}
