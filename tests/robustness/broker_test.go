package robustness

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/broker/rabbitmq/rabbitmqtest"
	"github.com/fenfa/fenfa/internal/rabbitmqserver"
	"github.com/fenfa/fenfa/tests/harness"
)

// defaultServerKills is how many rounds there are unless the environment says so.
const defaultServerKills = 3

// serverWaits makes submitters wait as long as a server may take to start again.
const serverWaits = 3

// server is one that a node uses.
type server interface {
	Addr() string
	Kill() error
	Start(ctx context.Context) error
}

// pair is a node and a server that it uses: a broker, or databases.
type pair struct {
	t      *testing.T
	node   *harness.Node
	server server
}

// TestNothingIsLostOrDoubledWhenNodeOrBrokerAreKilled kills the node, its RabbitMQ
// server, or both, at random moments under load and in random order, starts them
// again, and checks the history of all that was confirmed.
func TestNothingIsLostOrDoubledWhenNodeOrBrokerAreKilled(t *testing.T) {
	cluster := rabbitmqtest.Private(t, rabbitmqserver.Config{})
	p := &pair{t: t, server: cluster.Nodes[0], node: harness.NewNode(t, t.TempDir(), "--broker-url="+cluster.Address())}
	p.node.Start()
	client := p.node.Dial()
	configure(t, client)
	startWorker(t, p.node.GRPC, "worker-1")
	startWorker(t, p.node.GRPC, "worker-2")
	load := &load{t: t, client: client, keys: 40, every: 10 * time.Millisecond, prefix: "sku", waits: serverWaits}
	stop := load.start()

	rounds := kills(t, "FENFA_RABBITMQ_KILLS")
	p.rounds(rounds, "broker", load)
	stop()
	t.Logf("%d rounds, %d orders confirmed", rounds, load.confirmed())
	check(t, client, load.submissions)
}

// rounds kills node, server or both at random moments, and waits each time until
// the node is ready again.
func (p *pair) rounds(rounds int, name string, load *load) {
	p.t.Helper()
	seed := rand.Uint64()
	p.t.Logf("seed %d", seed)
	moments := rand.New(rand.NewPCG(seed, 0))
	kinds := []struct {
		name string
		kill func(gap time.Duration)
	}{{"node", p.killNode}, {name, p.killServer}, {"node, then " + name, p.killBoth}, {name + ", then node", p.killBothServerFirst}}
	for round := range rounds {
		between := time.Duration(moments.Int64N(int64(time.Second)))
		gap := time.Duration(moments.Int64N(int64(200 * time.Millisecond)))
		<-time.After(between)
		// The first rounds take one kind each, so that a short run sees all.
		kind := (round + int(seed%4)) % len(kinds)
		if round >= len(kinds) {
			kind = moments.IntN(len(kinds))
		}
		began := time.Now()
		kinds[kind].kill(gap)
		p.node.AwaitReady()
		p.t.Logf("round %d: %s, ready after %v, %d orders confirmed", round+1, kinds[kind].name, time.Since(began).Round(time.Millisecond), load.confirmed())
		if p.t.Failed() {
			return
		}
	}
}

func (p *pair) killNode(time.Duration) {
	p.node.Kill()
	p.node.Launch()
}

func (p *pair) killServer(gap time.Duration) {
	p.stopServer()
	<-time.After(gap)
	p.startServer()
}

// killBoth leaves the node, for a moment, with a server that it cannot know to be
// dead, and starts it while the server is away.
func (p *pair) killBoth(gap time.Duration) {
	p.node.Kill()
	<-time.After(gap)
	p.stopServer()
	p.node.Launch()
	p.startServer()
	p.revive()
}

func (p *pair) killBothServerFirst(gap time.Duration) {
	p.stopServer()
	<-time.After(gap)
	p.node.Kill()
	p.startServer()
	p.node.Launch()
}

func (p *pair) stopServer() {
	p.t.Helper()
	if err := p.server.Kill(); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pair) startServer() {
	p.t.Helper()
	if err := p.server.Start(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
}

// revive starts the node once more if it gave up because it found no server, as
// whatever looks after services would.
func (p *pair) revive() {
	p.t.Helper()
	harness.Await(p.t, "the node is ready, or gave up", func(ctx context.Context) bool {
		select {
		case <-p.node.Done():
			return true
		default:
			return p.node.Ready(ctx)
		}
	})
	select {
	case <-p.node.Done():
		p.node.Launch()
	default:
	}
}

// kills is how many rounds the environment asks for.
func kills(t *testing.T, variable string) int {
	t.Helper()
	s := os.Getenv(variable)
	if s == "" {
		return defaultServerKills
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("read %s: %v", variable, err)
	}
	return n
}

// TestANodeSaysThatItsBrokerIsAwayAndGoesOnWhenItIsBack kills only the broker, and
// looks at what the node tells meanwhile.
func TestANodeSaysThatItsBrokerIsAwayAndGoesOnWhenItIsBack(t *testing.T) {
	cluster := rabbitmqtest.Private(t, rabbitmqserver.Config{})
	p := &pair{t: t, server: cluster.Nodes[0], node: harness.NewNode(t, t.TempDir(), hooksAllowed, "--broker-url="+cluster.Address())}
	p.node.Start()
	client := p.node.Dial()
	configure(t, client)
	startWorker(t, p.node.GRPC, "worker-1")
	load := &load{t: t, client: client, keys: 4, every: 10 * time.Millisecond, prefix: "sku", waits: serverWaits}
	stop := load.start()
	harness.Await(t, "some orders are confirmed", func(context.Context) bool { return load.confirmed() > 20 })

	m := openMarket(t, client)
	e := runErrands(t, p.node, client)
	p.stopServer()
	harness.Await(t, "the node is not ready", func(ctx context.Context) bool { return !p.node.Ready(ctx) })
	for _, want := range []string{"the broker is away", p.server.Addr()} {
		if said := p.web(http.MethodGet, "/readyz", ""); !strings.Contains(said, want) {
			t.Errorf("%q is not in %s", want, said)
		}
	}
	said := p.web(http.MethodPost, "/v1/tasks", `{"tasks":[{"queue":"orders","key":"a","payload":"e30="}]}`)
	for _, want := range []string{`"unavailable"`, `"retry_after"`, p.server.Addr()} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not in %s", want, said)
		}
	}

	p.startServer()
	p.node.AwaitReady()
	before := load.confirmed()
	harness.Await(t, "more orders are confirmed", func(context.Context) bool { return load.confirmed() > before+20 })
	stop()
	m.close()
	e.close()
	select {
	case <-p.node.Done():
		t.Error("the node ended meanwhile")
	default:
	}
	if logged := p.node.Output(); strings.Contains(logged, rabbitmqserver.Password) {
		t.Error("the node's log has the password")
	}
	check(t, client, load.submissions)
}

// web asks the node over HTTP and returns what it answers, whatever the status.
func (p *pair) web(method, path, body string) string {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), method, "http://"+p.node.HTTP+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	said, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(said)
}
