package bench

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/fenfa/fenfa/internal/child"
	"github.com/fenfa/fenfa/internal/rabbitmqserver"
	"github.com/fenfa/fenfa/internal/task"
)

// openPlace starts a private server where no address was given.
func (c *Config) openPlace(ctx context.Context) (err error) {
	if c.BrokerURL == "" {
		fmt.Fprintln(c.Log, "starting RabbitMQ")
	}
	c.place, err = rabbitmqserver.OpenPlace(ctx, rabbitmqserver.PlaceConfig{
		Address: c.BrokerURL, Dir: c.Dir, Queue: queue, Partitions: task.DefaultPartitions,
	})
	return err
}

// brokerEnv is what the node's process is told. Without a broker of its own it is
// kept from one that the environment names.
func (c *Config) brokerEnv() []string {
	if c.place == nil {
		return []string{"FENFA_BROKER_URL="}
	}
	return c.place.Env()
}

// brokerCPU is the CPU time of a private server so far; 0 of somebody's.
func (c *Config) brokerCPU() (time.Duration, error) {
	if c.place == nil || c.place.Private() == nil {
		return 0, nil
	}
	used, err := child.UsageOf(c.place.Private().PID())
	return used.CPU, err
}

// split runs a measured part of a benchmark on RabbitMQ, or over HTTP, and says who used
// the CPU.
func (r *rig) split(result *Result, part func() error) error {
	if r.cfg.place == nil && !overHTTP(r.cfg.Name) {
		return part()
	}
	before, err := r.shares()
	if err != nil {
		return err
	}
	if err := part(); err != nil {
		return err
	}
	after, err := r.shares()
	if err != nil {
		return err
	}
	for i, field := range []**float64{&result.CPUNode, &result.CPUClient, &result.CPUBroker} {
		if used := after[i] - before[i]; used > 0 {
			*field = per100k(used, result.Tasks)
		}
	}
	return nil
}

// shares is the CPU time so far of the node, of this process and of the broker.
func (r *rig) shares() (shares [3]time.Duration, err error) {
	node, err := child.UsageOf(r.node.PID())
	if err != nil {
		return shares, err
	}
	own, err := child.UsageOf(os.Getpid())
	if err != nil {
		return shares, err
	}
	broker, err := r.cfg.brokerCPU()
	return [3]time.Duration{node.CPU, own.CPU, broker}, err
}

func per100k(used time.Duration, tasks int) *float64 {
	v := used.Seconds() / float64(max(tasks, 1)) * 100_000
	return &v
}
