package demo

import (
	"fmt"
	"io"
	"time"

	"github.com/fenfa/fenfa/internal/orders"
)

// Config says what a demo does.
type Config struct {
	Orders *orders.List
	Input  string // what the orders are, for the report

	Binary      string // the fenfa binary, started as node and as workers
	DataDir     string // kept afterwards; default: a temporary one, removed afterwards
	Workers     int    // processes; default 4
	Concurrency int    // handlers at a time in each; default 16
	Rate        int    // orders submitted a second; 0: as fast as they go
	Kill        bool   // kill a worker at 30%, a private broker at 45%, private databases at 52% and the node at 60%
	Resubmit    bool   // submit everything once more at the end

	RabbitMQ  bool   // the node uses RabbitMQ, instead of its embedded broker
	BrokerURL string // address of its servers; empty: a private server is started

	MySQL     bool     // the node uses databases, instead of its embedded store
	StoreURLs []string // addresses of empty ones, one for each shard; none: a private server is started

	Out      io.Writer // progress; nil: none
	Terminal bool      // Out is a terminal: one block that refreshes itself
	Width    int       // of the terminal, in characters; 0: not known

	// StallTimeout is how long nothing may get done before the demo gives up
	// waiting and judges what there is. Default 60 s.
	StallTimeout time.Duration
}

// Moments of the kills, as shares of the orders that handlers worked on.
const (
	killWorkerAt = 0.30
	killBrokerAt = 0.45
	killStoreAt  = 0.52
	killNodeAt   = 0.60
)

// How long what was killed stays away.
const (
	workerAway = time.Second
	brokerAway = 500 * time.Millisecond
	storeAway  = 500 * time.Millisecond
	nodeAway   = 500 * time.Millisecond
)

func (c Config) withDefaults() Config {
	if c.Workers == 0 {
		c.Workers = 4
	}
	if c.Concurrency == 0 {
		c.Concurrency = 16
	}
	if c.StallTimeout == 0 {
		c.StallTimeout = time.Minute
	}
	if c.Out == nil {
		c.Out = io.Discard
	}
	return c
}

// ConfigError says which setting of a demo is wrong.
type ConfigError struct{ reason string }

// Error names the setting and what it should be.
func (e *ConfigError) Error() string { return e.reason }

func (c Config) validate() error {
	switch {
	case c.Orders == nil || len(c.Orders.Orders) == 0:
		return &ConfigError{"there is no order in the input"}
	case c.Binary == "":
		return &ConfigError{"the path of the fenfa binary is not set"}
	case c.Workers < 1 || c.Workers > 256:
		return &ConfigError{fmt.Sprintf("workers is %d: want 1 to 256", c.Workers)}
	case c.Workers == 1 && c.Kill:
		return &ConfigError{"a demo that kills a worker needs at least 2 of them"}
	case c.Concurrency < 1 || c.Concurrency > 4096:
		return &ConfigError{fmt.Sprintf("concurrency is %d: want 1 to 4096", c.Concurrency)}
	case c.BrokerURL != "" && !c.RabbitMQ:
		return &ConfigError{"an address of a broker is for a demo on RabbitMQ"}
	case len(c.StoreURLs) > 0 && !c.MySQL:
		return &ConfigError{"addresses of databases are for a demo on MySQL"}
	case c.Rate < 0:
		return &ConfigError{fmt.Sprintf("rate is %d: want 0 or more", c.Rate)}
	}
	return nil
}
