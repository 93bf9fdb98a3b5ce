package rabbitmq_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/broker/rabbitmq/rabbitmqtest"
	"github.com/fenfa/fenfa/internal/rabbitmqserver"
)

// leader returns the server that leads a queue on the servers.
func leader(t *testing.T, c *rabbitmqserver.Cluster, name string) *rabbitmqserver.Node {
	t.Helper()
	list, err := c.Nodes[0].Control(t.Context(), "list_queues", "name", "leader", "--no-table-headers")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(list) {
		fields := strings.Fields(line)
		if len(fields) != 2 || fields[0] != name {
			continue
		}
		for _, n := range c.Nodes {
			if n.Name() == fields[1] {
				return n
			}
		}
	}
	t.Fatalf("queue %s has no leader in\n%s", name, list)
	return nil
}

func TestNothingConfirmedIsLostWhenTheLeaderIsKilled(t *testing.T) {
	shared.NeedPrivate(t)
	cluster, err := rabbitmqtest.Start(t.Context(), rabbitmqserver.Config{Dir: t.TempDir(), Nodes: 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	cfg := config(t)
	cfg.Endpoints = cluster.Endpoints()
	cfg.Replicas = 3
	cfg.Timeout = 5 * time.Second
	l := startLoad(t, connect(t, cfg), 3)
	var dead *rabbitmqserver.Node
	for kill := range kills(t, 1) {
		if kill > 0 {
			if err := dead.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		l.await(500 + 300*(kill%5))
		dead = leader(t, cluster, cfg.Prefix+"."+queue+".0")
		if err := dead.Kill(); err != nil {
			t.Fatal(err)
		}
		// The other two go on.
		l.await(500)
	}
	l.finish()
}
