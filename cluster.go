package fenfa

import (
	"context"
	"time"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// Health is how a node is.
type Health struct {
	Node       string
	Version    string
	Ready      bool     // all partitions run and the disk takes writes
	Problems   []string // why not
	StartedAt  time.Time
	Partitions int
	Durability string // what a confirm means: "fsync", "quorum", "replicated" or "everysec"
}

// WorkerInfo is a worker as the node sees it.
type WorkerInfo struct {
	ID           string
	State        string // "active", "suspect" or "draining"
	Queues       []string
	Slots        int
	InFlight     int // slots in use
	Weight       float64
	Labels       map[string]string
	Client       string // name and version of its client library
	Address      string
	ConnectedAt  time.Time
	HeartbeatAge time.Duration
	DoneTotal    int64
	FailedTotal  int64
}

// Health asks the node how it is.
func (c *Client) Health(ctx context.Context) (Health, error) {
	resp, err := call(ctx, c, "get health", c.cluster.Health, &fenfav1.HealthRequest{})
	if err != nil {
		return Health{}, err
	}
	return Health{
		Node:       resp.GetNode(),
		Version:    resp.GetVersion(),
		Ready:      resp.GetReady(),
		Problems:   resp.GetProblems(),
		StartedAt:  timeOf(resp.GetStartedAt()),
		Partitions: int(resp.GetPartitions()),
		Durability: resp.GetDurability(),
	}, nil
}

// Workers lists the workers that are connected to the node.
func (c *Client) Workers(ctx context.Context) ([]WorkerInfo, error) {
	resp, err := call(ctx, c, "list workers", c.cluster.Workers, &fenfav1.WorkersRequest{})
	if err != nil {
		return nil, err
	}
	workers := make([]WorkerInfo, len(resp.GetWorkers()))
	for i, w := range resp.GetWorkers() {
		workers[i] = WorkerInfo{
			ID:           w.GetId(),
			State:        w.GetState(),
			Queues:       w.GetQueues(),
			Slots:        int(w.GetSlots()),
			InFlight:     int(w.GetInFlight()),
			Weight:       w.GetWeight(),
			Labels:       w.GetLabels(),
			Client:       w.GetClient(),
			Address:      w.GetAddress(),
			ConnectedAt:  timeOf(w.GetConnectedAt()),
			HeartbeatAge: w.GetHeartbeatAge().AsDuration(),
			DoneTotal:    w.GetDoneTotal(),
			FailedTotal:  w.GetFailedTotal(),
		}
	}
	return workers, nil
}
