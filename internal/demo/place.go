package demo

import (
	"context"
	"errors"
	"fmt"

	"github.com/fenfa/fenfa/internal/mariadbserver"
	"github.com/fenfa/fenfa/internal/orders"
	"github.com/fenfa/fenfa/internal/rabbitmqserver"
	"github.com/fenfa/fenfa/internal/task"
)

// victim is a server that the demo kills and starts again.
type victim interface {
	Kill() error
	Start(ctx context.Context) error
}

// victims are the servers that the demo kills; nil where there is none.
type victims struct{ broker, store victim }

// place is where the node's broker and store are; the zero value is its own data
// directory.
type place struct {
	rabbitmq *rabbitmqserver.Place
	mariadb  *mariadbserver.Place
}

// shards is how many databases a private server has.
const shards = 2

// openPlace starts private servers where the demo wants them.
func openPlace(ctx context.Context, cfg Config, dir string) (*place, error) {
	p := &place{}
	if err := errors.Join(p.openBroker(ctx, cfg, dir), p.openStore(ctx, cfg, dir)); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

func (p *place) openBroker(ctx context.Context, cfg Config, dir string) (err error) {
	if !cfg.RabbitMQ {
		return nil
	}
	if cfg.BrokerURL == "" {
		fmt.Fprintln(cfg.Out, "starting RabbitMQ")
	}
	p.rabbitmq, err = rabbitmqserver.OpenPlace(ctx, rabbitmqserver.PlaceConfig{
		Address: cfg.BrokerURL, Dir: dir, Queue: orders.Queue, Partitions: task.DefaultPartitions, Keep: cfg.DataDir != "",
	})
	return err
}

func (p *place) openStore(ctx context.Context, cfg Config, dir string) (err error) {
	if !cfg.MySQL {
		return nil
	}
	if len(cfg.StoreURLs) == 0 {
		fmt.Fprintln(cfg.Out, "starting MariaDB")
	}
	p.mariadb, err = mariadbserver.OpenPlace(ctx, mariadbserver.PlaceConfig{Addresses: cfg.StoreURLs, Shards: shards, Dir: dir, Keep: cfg.DataDir != ""})
	return err
}

// env is what the node's process is told. Without a broker or a store of its own it
// is kept from those that the environment of the demo names.
func (p *place) env() []string {
	broker, store := []string{"FENFA_BROKER_URL="}, []string{"FENFA_STORE_URL="}
	if p.rabbitmq != nil {
		broker = p.rabbitmq.Env()
	}
	if p.mariadb != nil {
		store = p.mariadb.Env()
	}
	return append(broker, store...)
}

// victims returns the private servers, those that there are.
func (p *place) victims() victims {
	var v victims
	if p.rabbitmq != nil && p.rabbitmq.Private() != nil {
		v.broker = p.rabbitmq.Private()
	}
	if p.mariadb != nil && p.mariadb.Private() != nil {
		v.store = p.mariadb.Private()
	}
	return v
}

func (p *place) close() error {
	var errs []error
	if p.rabbitmq != nil {
		errs = append(errs, p.rabbitmq.Close())
	}
	if p.mariadb != nil {
		errs = append(errs, p.mariadb.Close())
	}
	return errors.Join(errs...)
}
