package fenfatest

import (
	"log/slog"
	"time"

	"github.com/fenfa/fenfa"
)

// Option sets something of a node in Start.
type Option func(*options)

type options struct {
	queues     []fenfa.Queue
	dial       []fenfa.DialOption
	partitions int
	dataDir    string
	store      []string
	broker     string
	logger     *slog.Logger
	patience   time.Duration
}

// WithQueue makes a queue with the given settings; the zero value of a setting is
// its default.
func WithQueue(q fenfa.Queue) Option {
	return func(o *options) { o.queues = append(o.queues, q) }
}

// WithQueues makes queues with default settings.
func WithQueues(names ...string) Option {
	return func(o *options) {
		for _, name := range names {
			o.queues = append(o.queues, fenfa.Queue{Name: name})
		}
	}
}

// WithDialOptions sets options of the node's client.
func WithDialOptions(opts ...fenfa.DialOption) Option {
	return func(o *options) { o.dial = append(o.dial, opts...) }
}

// WithPartitions sets the number of partitions. Default 4.
func WithPartitions(n int) Option { return func(o *options) { o.partitions = n } }

// WithDataDir keeps the node's data in dir, and after the test. Default: a
// temporary directory of the test's.
func WithDataDir(dir string) Option { return func(o *options) { o.dataDir = dir } }

// WithStore keeps the node's state in empty databases instead of its data directory:
// one address, mysql://user:password@host:port/database, for each shard. By default
// partition n is on shard n % shards.
func WithStore(shards ...string) Option { return func(o *options) { o.store = shards } }

// WithBroker keeps the node's queues on the servers of an address,
// amqp://user:password@host:port/vhost, instead of its data directory. No other node
// may use them.
func WithBroker(address string) Option { return func(o *options) { o.broker = address } }

// WithPatience sets how long Advance waits, by the machine's clock, until the node
// rests. Default 30 s.
func WithPatience(d time.Duration) Option { return func(o *options) { o.patience = d } }

// WithLogger sets where the node logs. By default it does not.
func WithLogger(logger *slog.Logger) Option { return func(o *options) { o.logger = logger } }
