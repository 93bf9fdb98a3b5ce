package rabbitmq_test

import (
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/broker/rabbitmq/rabbitmqtest"
	"github.com/fenfa/fenfa/internal/rabbitmqserver"
)

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
	random := moments(t)
	var dead *rabbitmqserver.Node
	for kill := range kills(t, 1) {
		if kill > 0 {
			if err := dead.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		l.awaitMoment(random)
		if dead, err = cluster.Leader(t.Context(), cfg.Prefix+"."+queue+".0"); err != nil {
			t.Fatal(err)
		}
		if err := dead.Kill(); err != nil {
			t.Fatal(err)
		}
		// The other two go on.
		l.await(500)
	}
	l.finish()
}
