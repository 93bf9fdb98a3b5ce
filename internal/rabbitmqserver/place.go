package rabbitmqserver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"
)

// PlaceConfig says where a demo or a benchmark has its queue.
type PlaceConfig struct {
	Address    string // of somebody's servers; empty: a private one is started
	Dir        string // of this run, its name makes the prefix; a private server's data goes below it
	Queue      string // the queue of the run
	Partitions int
	Keep       bool // leave on somebody's servers what was made there
}

// Place is a private server, or somebody's, with a prefix of the run's own, so that
// it touches nothing else there.
type Place struct {
	cfg     PlaceConfig
	prefix  string
	cluster *Cluster // nil: somebody's servers
}

// OpenPlace starts a private server where no address was given.
func OpenPlace(ctx context.Context, cfg PlaceConfig) (*Place, error) {
	sum := sha256.Sum256([]byte(cfg.Dir))
	const digits = 4 // bytes
	p := &Place{cfg: cfg, prefix: "fenfa-" + hex.EncodeToString(sum[:digits])}
	if cfg.Address != "" {
		return p, nil
	}
	dir, err := os.MkdirTemp(cfg.Dir, "rabbitmq-")
	if err != nil {
		return nil, fmt.Errorf("make directory for RabbitMQ: %w", err)
	}
	p.cluster, err = Start(ctx, Config{Dir: dir})
	if errors.Is(err, ErrMissing) {
		return nil, fmt.Errorf("%w, or give the address of a server", err)
	}
	if err != nil {
		return nil, fmt.Errorf("start RabbitMQ: %w", err)
	}
	return p, nil
}

// Address of the servers, with user and password.
func (p *Place) Address() string {
	if p.cluster != nil {
		return p.cluster.Address()
	}
	return p.cfg.Address
}

// Prefix begins the names of what the run makes on the servers.
func (p *Place) Prefix() string { return p.prefix }

// Private returns the private server, or nil when the servers are somebody's and
// not ours to harm.
func (p *Place) Private() *Node {
	if p.cluster == nil {
		return nil
	}
	return p.cluster.Nodes[0]
}

// Env is the environment of a node that uses the place.
func (p *Place) Env() []string {
	return []string{"FENFA_BROKER_URL=" + p.Address(), "FENFA_BROKER_PREFIX=" + p.prefix}
}

// Close stops a private server, and removes from somebody's what the run made
// there. The nodes of the run must have ended.
func (p *Place) Close() error {
	switch {
	case p.cluster != nil:
		return p.cluster.Stop()
	case p.cfg.Keep:
		return nil
	default:
		if err := p.sweep(); err != nil {
			return fmt.Errorf("remove what was made on RabbitMQ under the prefix %s: %w", p.prefix, err)
		}
		return nil
	}
}

// sweep deletes what a node makes on a server; what is not there is no error.
func (p *Place) sweep() (err error) {
	conn, err := p.Dial()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	ch, err := conn.Channel()
	if err != nil {
		return fmt.Errorf("open channel: %w", err)
	}
	queues := []string{p.prefix + ".dead", p.prefix + ".state"}
	for part := range p.cfg.Partitions {
		queues = append(queues, p.prefix+"."+p.cfg.Queue+"."+strconv.Itoa(part))
	}
	for _, name := range queues {
		if _, err := ch.QueueDelete(name, false, false, false); err != nil {
			return fmt.Errorf("delete queue %s: %w", name, err)
		}
	}
	for _, name := range []string{p.prefix + ".dead", p.prefix + ".fence"} {
		if err := ch.ExchangeDelete(name, false, false); err != nil {
			return fmt.Errorf("delete exchange %s: %w", name, err)
		}
	}
	return nil
}

// Dial connects to the first of the servers that answers.
func (p *Place) Dial() (*amqp.Connection, error) {
	var errs []error
	for _, address := range split(p.Address()) {
		conn, err := amqp.Dial(address)
		if err == nil {
			return conn, nil
		}
		// The client's own words may hold the address.
		errs = append(errs, fmt.Errorf("connect to RabbitMQ: %w", errors.New(strings.ReplaceAll(err.Error(), address, "[address]"))))
	}
	return nil, errors.Join(errs...)
}

// split makes one address of each host of an address of several.
func split(address string) []string {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		return []string{address}
	}
	authority, path, _ := strings.Cut(rest, "/")
	user := ""
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		user, authority = authority[:at+1], authority[at+1:]
	}
	var all []string
	for host := range strings.SplitSeq(authority, ",") {
		all = append(all, scheme+"://"+user+strings.TrimSpace(host)+"/"+path)
	}
	return all
}
