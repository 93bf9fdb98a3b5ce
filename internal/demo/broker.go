package demo

import (
	"context"
	"fmt"

	"github.com/fenfa/fenfa/internal/orders"
	"github.com/fenfa/fenfa/internal/rabbitmqserver"
	"github.com/fenfa/fenfa/internal/task"
)

// victim is a server that the demo kills and starts again.
type victim interface {
	Kill() error
	Start(ctx context.Context) error
}

// place is where the node's broker is; the zero value is its own data directory.
type place struct {
	rabbitmq *rabbitmqserver.Place
}

// brokerPlace starts a private server where the demo wants one.
func brokerPlace(ctx context.Context, cfg Config, dir string) (*place, error) {
	if !cfg.RabbitMQ {
		return &place{}, nil
	}
	if cfg.BrokerURL == "" {
		fmt.Fprintln(cfg.Out, "starting RabbitMQ")
	}
	server, err := rabbitmqserver.OpenPlace(ctx, rabbitmqserver.PlaceConfig{
		Address: cfg.BrokerURL, Dir: dir, Queue: orders.Queue, Partitions: task.DefaultPartitions, Keep: cfg.DataDir != "",
	})
	if err != nil {
		return nil, err
	}
	return &place{rabbitmq: server}, nil
}

// env is what the node's process is told. Without a broker of its own it is kept
// from one that the environment of the demo names.
func (p *place) env() []string {
	if p.rabbitmq == nil {
		return []string{"FENFA_BROKER_URL="}
	}
	return p.rabbitmq.Env()
}

// victim returns the private server, or nil.
func (p *place) victim() victim {
	if p.rabbitmq == nil || p.rabbitmq.Private() == nil {
		return nil
	}
	return p.rabbitmq.Private()
}

func (p *place) close() error {
	if p.rabbitmq == nil {
		return nil
	}
	return p.rabbitmq.Close()
}
