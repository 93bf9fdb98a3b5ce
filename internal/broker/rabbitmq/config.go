package rabbitmq

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenfa/fenfa/internal/task"
)

// Defaults of Config.
const (
	DefaultVHost       = "/"
	DefaultPrefix      = "fenfa"
	DefaultConnections = 2
	DefaultLanes       = 8
	DefaultInFlight    = 8192
	DefaultReadAhead   = 8 << 20
	DefaultPrefetch    = 5120
	DefaultPatience    = 10 * time.Second
	DefaultTimeout     = 15 * time.Second
	DefaultHeartbeat   = 5 * time.Second
	DefaultRetryBase   = 100 * time.Millisecond
	DefaultRetryMax    = 5 * time.Second
	DefaultRefresh     = 2 * time.Second
	DefaultNewQueue    = 2 * time.Second
	// DefaultDeliveryLimit is far above any max_deliveries, because the server
	// counts each reconnect of a reader as a delivery of all that it held.
	DefaultDeliveryLimit = 1_000_000
)

// maxPrefetch is what the protocol can carry.
const maxPrefetch = 65_535

// Config says which server to use, and how.
type Config struct {
	Endpoints []string // host:port of each server of one cluster; required
	User      string   // empty with a TLS certificate: the certificate is the identity
	Password  task.Secret
	VHost     string      // default "/"
	TLS       *tls.Config // nil: no TLS; ServerName defaults to the endpoint's host
	// Prefix begins the name of everything that is declared on the server; default
	// "fenfa".
	Prefix string
	// Alone refuses a second process under the prefix: New fails with ErrInUse while
	// another one lives that was opened alone.
	Alone bool
	// Replicas is the number of servers that hold each new queue; 0: the server's
	// own default.
	Replicas int
	// DeliveryLimit is how often the server delivers a message before it moves it to
	// the dead queue; default 1,000,000. It is fixed when a queue is made.
	DeliveryLimit int
	// Connections is how many connections publishers share, and as many readers;
	// default 2. Lanes is how many channels publishers share; default 8.
	Connections int
	Lanes       int
	// InFlight is how many messages of a lane may wait for their confirms; default
	// 8192.
	InFlight int
	// Prefetch is how many messages a reader holds that are not settled; default
	// 5120, at most 65,535; a message has one task or several. It should be above the
	// window of a partition, in tasks. It must not
	// be lowered while messages wait: the server puts what a reader gives back behind
	// what was given back before and that reader had no room for.
	Prefetch int
	// ReadAhead bounds, in bytes, what a reader has received and not handed out: one
	// that exceeds it gets a connection of its own, which is not read while it has too
	// much. Default 8 MiB, about twice the window of a partition.
	ReadAhead int
	// Patience is how long such a connection is not read at most: then the reader
	// gives back what was not handed out or settled, and takes it again when it is
	// asked for more. Default 10 s; a server gives up a connection after 30 s.
	Patience time.Duration
	// Timeout bounds each call whose context ends later or never; default 15 s.
	Timeout time.Duration
	// Heartbeat is how often a quiet connection shows that it lives; one that is
	// silent three times as long is given up. Default 5 s, at least 1 s.
	Heartbeat time.Duration
	// RetryBase and RetryMax are the shortest and the longest mean delay between
	// attempts to connect; defaults 100 ms and 5 s.
	RetryBase time.Duration
	RetryMax  time.Duration
	// Refresh is how often the backlog of a queue with limits is counted anew while
	// there are publishes; default 2 s.
	Refresh time.Duration
	// NewQueue is how long Declare waits after it made queues on a server before
	// 4.0, default 2 s. Such a server writes the name of a new queue to the disk half
	// a second later; when it is killed before, it forgets what was confirmed.
	NewQueue   time.Duration
	Logger     *slog.Logger          // nil: no logs
	Registerer prometheus.Registerer // nil: no metrics
}

func (c Config) withDefaults() (Config, error) {
	if err := c.validate(); err != nil {
		return c, fmt.Errorf("new RabbitMQ broker: %w", err)
	}
	def(&c.VHost, DefaultVHost)
	def(&c.Prefix, DefaultPrefix)
	def(&c.DeliveryLimit, DefaultDeliveryLimit)
	def(&c.Connections, DefaultConnections)
	def(&c.Lanes, DefaultLanes)
	def(&c.InFlight, DefaultInFlight)
	def(&c.Prefetch, DefaultPrefetch)
	def(&c.ReadAhead, DefaultReadAhead)
	def(&c.Patience, DefaultPatience)
	def(&c.Timeout, DefaultTimeout)
	def(&c.Heartbeat, DefaultHeartbeat)
	def(&c.RetryBase, DefaultRetryBase)
	def(&c.RetryMax, max(DefaultRetryMax, c.RetryBase))
	def(&c.Refresh, DefaultRefresh)
	def(&c.NewQueue, DefaultNewQueue)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// def sets what was left zero.
func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (c *Config) validate() error {
	if len(c.Endpoints) == 0 {
		return errors.New("no endpoint was given: name at least one server as host:port")
	}
	for _, e := range c.Endpoints {
		if _, _, err := net.SplitHostPort(e); err != nil || strings.Contains(e, "@") {
			// What was given is not repeated: it may hold a password.
			return errors.New("an endpoint is not of the form host:port")
		}
	}
	for name, n := range map[string]int{
		"replicas": c.Replicas, "delivery limit": c.DeliveryLimit, "connections": c.Connections, "lanes": c.Lanes,
		"in flight": c.InFlight, "prefetch": c.Prefetch, "read ahead": c.ReadAhead,
	} {
		if n < 0 {
			return fmt.Errorf("%s is %d: it cannot be negative", name, n)
		}
	}
	if c.Prefetch > maxPrefetch {
		return fmt.Errorf("prefetch is %d: the protocol allows at most %d", c.Prefetch, maxPrefetch)
	}
	if c.Heartbeat != 0 && c.Heartbeat < time.Second {
		return fmt.Errorf("heartbeat is %v: it must be at least 1s", c.Heartbeat)
	}
	for name, d := range map[string]time.Duration{"timeout": c.Timeout, "patience": c.Patience, "retry base": c.RetryBase, "retry max": c.RetryMax, "refresh": c.Refresh, "new queue": c.NewQueue} {
		if d < 0 {
			return fmt.Errorf("%s is %v: it cannot be negative", name, d)
		}
	}
	return nil
}
