package rabbitmqserver

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Leader returns the server that leads a quorum queue now, as the first of the
// running servers says.
func (c *Cluster) Leader(ctx context.Context, queue string) (*Node, error) {
	for _, n := range c.Nodes {
		if n.process == nil {
			continue
		}
		list, err := n.Control(ctx, "list_queues", "name", "leader", "--no-table-headers")
		if err != nil {
			return nil, err
		}
		return c.leaderIn(list, queue)
	}
	return nil, errors.New("find leader: no server runs")
}

func (c *Cluster) leaderIn(list, queue string) (*Node, error) {
	for line := range strings.Lines(list) {
		fields := strings.Fields(line)
		if len(fields) != 2 || fields[0] != queue {
			continue
		}
		for _, n := range c.Nodes {
			if n.name == fields[1] {
				return n, nil
			}
		}
	}
	return nil, fmt.Errorf("queue %s has no leader in\n%s", queue, list)
}
