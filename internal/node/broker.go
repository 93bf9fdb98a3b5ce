package node

import (
	"context"
	"errors"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/broker/embedded"
	"github.com/fenfa/fenfa/internal/broker/indexed"
	"github.com/fenfa/fenfa/internal/broker/rabbitmq"
	"github.com/fenfa/fenfa/internal/config"
	"github.com/fenfa/fenfa/internal/task"
)

// openBroker opens the broker that broker.url names.
func (n *Node) openBroker(ctx context.Context) error {
	open := n.openEmbedded
	switch n.opts.Config.Broker.URL.Scheme() {
	case config.SchemeAMQP, config.SchemeAMQPS:
		open = n.openRabbitMQ
	}
	b, err := open(ctx)
	if err != nil {
		return err
	}
	n.broker = b
	return nil
}

// openEmbedded opens the broker in the data directory.
func (n *Node) openEmbedded(context.Context) (broker.Broker, error) {
	used, err := indexed.Used(n.db)
	if err != nil {
		return nil, err
	}
	if used {
		n.log.Warn("the data directory was used with another broker: tasks that wait there are not worked on while broker.url is empty")
	}
	return embedded.New(embedded.Config{ //nolint:contextcheck // What it starts outlives the start.
		DB: n.db, Clock: n.opts.TaskClock, Logger: n.log, Registerer: n.registry,
	})
}

// openRabbitMQ connects to the servers, and puts this node's memory of ids before
// them.
func (n *Node) openRabbitMQ(ctx context.Context) (broker.Broker, error) {
	cfg, err := rabbitConfig(&n.opts.Config.Broker)
	if err != nil {
		return nil, err
	}
	if err := n.refuseStranded(); err != nil {
		return nil, err
	}
	cfg.Alone, cfg.Logger, cfg.Registerer = true, n.log, n.registry
	inner, err := rabbitmq.New(ctx, cfg)
	if err != nil {
		return nil, brokerError(n.opts.Config.Broker.URL, err)
	}
	b, err := indexed.New(indexed.Config{ //nolint:contextcheck // What it starts outlives the start.
		Broker: inner, DB: n.db, Clock: n.opts.TaskClock, Logger: n.log, Registerer: n.registry,
	})
	if err != nil {
		return nil, errors.Join(err, inner.Close(ctx))
	}
	n.log.Info("broker connected", "broker", n.opts.Config.Broker.URL)
	return b, nil
}

// refuseStranded refuses another broker while the embedded one holds tasks: nobody
// would ever see them.
func (n *Node) refuseStranded() error {
	waiting, err := embedded.Waiting(n.db)
	if err != nil {
		return err
	}
	if waiting > 0 {
		return task.Errorf(task.CodeFailedPrecondition,
			"the embedded broker in %s holds %d tasks, which a node with broker.url does not see: start the node without it, let workers finish them, then start it with broker.url",
			n.opts.Config.DataDir, waiting).WithField("broker.url")
	}
	return nil
}

// retryMax is the longest mean delay between attempts to connect: about how long an
// outage lasts on after its end.
const retryMax = time.Second

// rabbitConfig is what the settings say about RabbitMQ.
func rabbitConfig(c *config.Broker) (rabbitmq.Config, error) {
	cfg, err := rabbitmq.ParseURL(c.URL.Reveal())
	if err != nil {
		return cfg, task.Errorf(task.CodeFailedPrecondition, "broker.url: %w", err).WithField("broker.url")
	}
	cfg.Prefix, cfg.Replicas, cfg.Timeout, cfg.RetryMax = c.Prefix, c.Replicas, c.Timeout, retryMax
	if cfg.TLS == nil {
		return cfg, nil
	}
	return cfg, loadTLS(cfg.TLS, "broker.tls", c.TLS.CA, c.TLS.Cert, c.TLS.Key)
}

// brokerError says why the servers cannot be used at the start. The address shows
// without its password.
func brokerError(url config.URL, err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, rabbitmq.ErrLogin):
		return task.Errorf(task.CodeFailedPrecondition, "RabbitMQ did not let this node in: check user, password and vhost in broker.url (%s): %w", url, err).WithField("broker.url")
	case errors.Is(err, rabbitmq.ErrInUse):
		return task.Errorf(task.CodeFailedPrecondition,
			"another node uses RabbitMQ under this broker.prefix: one node uses a prefix, because nobody else would know what its tasks did; stop it, or give each its own (broker.url is %s): %w",
			url, err).WithField("broker.prefix")
	case errors.Is(err, context.DeadlineExceeded):
		return task.Errorf(task.CodeFailedPrecondition,
			"RabbitMQ cannot be reached: check that it runs, that broker.url (%s) names its hosts and ports, and that no firewall is between: %w", url, err).WithField("broker.url")
	default:
		return task.Errorf(task.CodeFailedPrecondition, "RabbitMQ cannot be used (broker.url is %s): %w", url, err).WithField("broker.url")
	}
}
