package robustness

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/broker/rabbitmq/rabbitmqtest"
	"github.com/fenfa/fenfa/internal/rabbitmqserver"
	"github.com/fenfa/fenfa/tests/harness"
)

// pace is how often one submitter submits at most.
const pace = 50 * time.Millisecond

// configuration writes a node's configuration file for a cluster that it reaches over
// TLS, and returns its name.
func configuration(t *testing.T, c *rabbitmqserver.Cluster, authority string) string {
	t.Helper()
	var hosts []string
	for _, n := range c.Nodes {
		hosts = append(hosts, n.TLSAddr())
	}
	path := filepath.Join(t.TempDir(), "fenfa.yaml")
	text := fmt.Sprintf("broker:\n  url: amqps://%s:%s@%s/\n  prefix: shop\n  replicas: %d\n  tls:\n    ca: %s\n",
		rabbitmqserver.User, rabbitmqserver.Password, strings.Join(hosts, ","), len(hosts), authority)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestNothingIsLostOrDoubledOverTLSWhenLeadersAreKilled runs a node by its
// configuration file on a cluster of three servers, kills the server that leads a
// partition under load, each time another partition's, and at the end the node, and
// checks the history of all that was confirmed.
func TestNothingIsLostOrDoubledOverTLSWhenLeadersAreKilled(t *testing.T) {
	cluster, authority := rabbitmqtest.PrivateTLS(t, rabbitmqserver.Config{Nodes: 3})
	node := harness.NewNode(t, t.TempDir(), "--config="+configuration(t, cluster, authority))
	node.Start()
	client := node.Dial()
	configure(t, client)
	startWorker(t, node.GRPC, "worker-1")
	load := &load{t: t, client: client, keys: 10, every: pace, prefix: "sku", waits: serverWaits}
	stop := load.start()
	more := func(orders int) {
		t.Helper()
		want := load.confirmed() + orders
		for range serverWaits {
			if load.confirmed() >= want {
				return
			}
			_ = harness.Eventually(t.Context(), "orders are confirmed", func(context.Context) bool { return load.confirmed() >= want })
		}
		if got := load.confirmed(); got < want {
			t.Fatalf("%d orders are confirmed, want %d", got, want)
		}
	}
	// Each round starts a server, which takes a small machine a while.
	for partition := range 2 {
		more(50)
		leader, err := cluster.Leader(t.Context(), fmt.Sprintf("shop.%s.%d", orders, partition))
		if err != nil {
			t.Fatal(err)
		}
		if err := leader.Kill(); err != nil {
			t.Fatal(err)
		}
		more(50) // The other two go on.
		if err := leader.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	node.Kill()
	node.Start()
	more(50)
	stop()
	t.Logf("%d orders confirmed", load.confirmed())
	check(t, client, load.submissions)
}

// TestTheMetricsPageShowsWhatANodeOnRabbitMQShows compares the second table of
// docs/metrics.md with what a node on RabbitMQ shows beside the metrics of the first
// one. With -update it writes the table.
func TestTheMetricsPageShowsWhatANodeOnRabbitMQShows(t *testing.T) {
	cluster := rabbitmqtest.Private(t, rabbitmqserver.Config{})
	node := harness.NewNode(t, t.TempDir(), "--broker-url="+cluster.Address())
	node.Start()
	page := filepath.Join("..", "..", "docs", "metrics.md")
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	tables := regexp.MustCompile(`(?m)(\| metric \|.*\n(?:\|.*\n)+)`).FindAllString(string(text), -1)
	if len(tables) != 2 {
		t.Fatalf("%s has %d tables of metrics, want 2", page, len(tables))
	}
	said, err := node.Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	own := slices.DeleteFunc(parseMetrics(t, said), func(m metric) bool {
		return !strings.HasPrefix(m.name, "fenfa_broker_") || strings.Contains(tables[0], "| `"+m.name+"` |")
	})
	want := tableOf(own)
	if want == tables[1] {
		return
	}
	if !*update {
		t.Fatalf("%s is stale: run make generate; its second table should be\n%s", page, want)
	}
	at := strings.LastIndex(string(text), tables[1])
	if err := os.WriteFile(page, append(text[:at:at], (want+string(text[at+len(tables[1]):]))...), 0o600); err != nil {
		t.Fatal(err)
	}
}
