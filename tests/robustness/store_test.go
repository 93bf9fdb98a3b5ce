package robustness

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/mariadbserver"
	"github.com/fenfa/fenfa/internal/mariadbserver/mariadbtest"
	"github.com/fenfa/fenfa/tests/harness"
)

// shards is how many databases the state is spread over.
const shards = 3

// onMariaDB starts a node whose state is in databases of a private server.
func onMariaDB(t *testing.T) *pair {
	t.Helper()
	private := mariadbtest.Private(t, mariadbserver.Config{})
	var addresses []string
	for _, name := range []string{"zero", "one", "two"}[:shards] {
		address, err := private.Database(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		addresses = append(addresses, address)
	}
	p := &pair{t: t, server: private, node: harness.NewNode(t, t.TempDir(), hooksAllowed, "--store-url="+strings.Join(addresses, ","))}
	p.node.Start()
	return p
}

// TestNothingIsLostOrDoubledWhenNodeOrDatabasesAreKilled kills the node, the server
// of its three databases, or both, at random moments under load and in random
// order, starts them again, and checks the history of all that was confirmed.
func TestNothingIsLostOrDoubledWhenNodeOrDatabasesAreKilled(t *testing.T) {
	p := onMariaDB(t)
	client := p.node.Dial()
	configure(t, client)
	startWorker(t, p.node.GRPC, "worker-1")
	startWorker(t, p.node.GRPC, "worker-2")
	load := &load{t: t, client: client, keys: 40, every: 10 * time.Millisecond, prefix: "sku", waits: serverWaits}
	stop := load.start()
	rounds := kills(t, "FENFA_MARIADB_KILLS")
	p.rounds(rounds, "databases", load)
	stop()
	t.Logf("%d rounds, %d orders confirmed", rounds, load.confirmed())
	check(t, client, load.submissions)
	if logged := p.node.Output(); strings.Contains(logged, mariadbserver.Password) {
		t.Error("the node's log has the password")
	}
}

// TestOrdersAreTakenWhileTheDatabasesAreAwayAndDoneWhenTheyAreBack kills only the
// databases: the embedded broker goes on taking orders.
func TestOrdersAreTakenWhileTheDatabasesAreAwayAndDoneWhenTheyAreBack(t *testing.T) {
	p := onMariaDB(t)
	client := p.node.Dial()
	configure(t, client)
	startWorker(t, p.node.GRPC, "worker-1")
	load := &load{t: t, client: client, keys: 4, every: 10 * time.Millisecond, prefix: "sku", waits: serverWaits}
	stop := load.start()
	harness.Await(t, "some orders are confirmed", func(context.Context) bool { return load.confirmed() > 20 })
	m := openMarket(t, client)
	e := runErrands(t, p.node, client)
	p.stopServer()
	harness.Await(t, "the node says which server is away", func(context.Context) bool {
		said := p.web(http.MethodGet, "/readyz", "") //nolint:contextcheck // It takes the test's.
		return strings.Contains(said, "a database is away") && strings.Contains(said, p.server.Addr())
	})
	before := load.confirmed()
	harness.Await(t, "orders are confirmed without the databases", func(context.Context) bool { return load.confirmed() > before+20 })
	p.startServer()
	p.node.AwaitReady()
	stop()
	m.close()
	e.close()
	select {
	case <-p.node.Done():
		t.Error("the node ended meanwhile")
	default:
	}
	check(t, client, load.submissions)
}
