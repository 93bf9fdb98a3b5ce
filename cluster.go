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
