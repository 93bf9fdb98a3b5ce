package robustness

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/fenfa/fenfa/tests/harness"
)

// TestNothingIsLostOrDoubledWhenTheNodeIsKilled kills the node at random moments
// under load, every tenth time before it is ready again, and checks the history
// of all that was confirmed.
func TestNothingIsLostOrDoubledWhenTheNodeIsKilled(t *testing.T) {
	n := harness.NewNode(t, t.TempDir())
	n.Start()
	client := n.Dial()
	configure(t, client)
	startWorker(t, n.GRPC, "worker-1")
	startWorker(t, n.GRPC, "worker-2")

	load := &load{t: t, client: client, keys: 40, every: 10 * time.Millisecond, prefix: "sku"}
	stop := load.start()

	seed := rand.Uint64()
	moments := rand.New(rand.NewPCG(seed, 0))
	kills := 0
	for more := killing(t); more(kills); kills++ {
		after := time.Duration(moments.Int64N(int64(400 * time.Millisecond)))
		<-time.After(after)
		n.Kill()
		n.Launch()
		if kills%10 == 9 {
			<-time.After(after / 4)
			n.Kill()
			n.Launch()
		}
		n.AwaitReady()
		if t.Failed() {
			break
		}
	}
	stop()
	t.Logf("%d kills with seed %d, %d orders confirmed", kills, seed, load.confirmed())
	check(t, client, load.submissions)
}

// killing says how long to go on: FENFA_DURATION, else FENFA_KILLS, else 10
// kills.
func killing(t *testing.T) func(kills int) bool {
	t.Helper()
	if s := os.Getenv("FENFA_DURATION"); s != "" && s != "0" {
		d, err := time.ParseDuration(s)
		if err != nil {
			t.Fatalf("read FENFA_DURATION: %v", err)
		}
		end := time.Now().Add(d)
		return func(int) bool { return time.Now().Before(end) }
	}
	most := 10
	if s := os.Getenv("FENFA_KILLS"); s != "" {
		var err error
		if most, err = strconv.Atoi(s); err != nil {
			t.Fatalf("read FENFA_KILLS: %v", err)
		}
	}
	return func(kills int) bool { return kills < most }
}
