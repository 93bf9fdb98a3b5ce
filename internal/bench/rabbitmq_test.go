package bench

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/rabbitmqserver"
)

func TestANodeIsToldItsBroker(t *testing.T) {
	c := Config{Name: "drain"}
	if got := c.brokerEnv(); !slices.Equal(got, []string{"FENFA_BROKER_URL="}) {
		t.Errorf("without a broker: %v", got)
	}
	var err error
	c.place, err = rabbitmqserver.OpenPlace(t.Context(), rabbitmqserver.PlaceConfig{Address: "amqp://h", Dir: t.TempDir(), Keep: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(c.brokerEnv(), " "); !strings.Contains(got, "FENFA_BROKER_URL=amqp://h ") {
		t.Errorf("with one: %v", got)
	}
	if used, err := c.brokerCPU(); used != 0 || err != nil {
		t.Errorf("somebody's server used %v, %v", used, err)
	}
}

func TestABrokersBenchmarkTakesFewerTasks(t *testing.T) {
	c, err := Config{Name: "drain", Binary: "fenfa", RabbitMQ: true, Baseline: BaselineRaw}.withDefaults()
	if err != nil || c.Tasks != rabbitTasks {
		t.Errorf("%d tasks, %v", c.Tasks, err)
	}
}

func TestCPUIsGivenForAHundredThousand(t *testing.T) {
	if got := *per100k(3*time.Second, 200_000); got != 1.5 {
		t.Errorf("got %v", got)
	}
	if got := *per100k(time.Second, 0); got != 100_000 {
		t.Errorf("of nothing: %v", got)
	}
}

func TestTheNamesOfBaselineQueuesGoRound(t *testing.T) {
	b := &baseline{prefix: "p."}
	seen := map[string]bool{}
	for n := range 3 * rawQueues {
		seen[b.name(n)] = true
	}
	if len(seen) != rawQueues || !seen["p.0"] {
		t.Errorf("queues: %v", seen)
	}
}

func TestResultsOnABrokerHaveANameOfTheirOwn(t *testing.T) {
	ratio := 0.9
	r := Result{Name: "drain", BaselineRatio: &ratio, Settings: settingsOf(Config{RabbitMQ: true})}
	var out strings.Builder
	r.WriteBenchfmt(&out)
	if !strings.HasPrefix(out.String(), "BenchmarkDrain/broker=rabbitmq-") || !strings.Contains(out.String(), " 0.9 baseline-ratio") {
		t.Errorf("got %s", out.String())
	}
}
