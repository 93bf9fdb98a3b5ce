package rabbitmq_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/broker/brokertest"
	"github.com/fenfa/fenfa/internal/broker/rabbitmq"
	"github.com/fenfa/fenfa/internal/rabbitmqserver"
)

// config is that of a client of the shared server, with names of its own.
func config(t *testing.T) rabbitmq.Config {
	t.Helper()
	shared.Need(t)
	cfg := rabbitmq.Config{User: rabbitmqserver.User, Password: rabbitmqserver.Password}
	if shared.Cluster != nil {
		cfg.Endpoints = shared.Cluster.Endpoints()
	} else {
		var err error
		if cfg, err = rabbitmq.ParseURL(shared.Address); err != nil {
			t.Fatal(err)
		}
	}
	cfg.Prefix = "fenfa-test-" + rand.Text()
	cfg.RetryBase, cfg.RetryMax = 5*time.Millisecond, 100*time.Millisecond
	cfg.NewQueue = time.Nanosecond
	cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	return cfg
}

// connect returns a broker that is closed at the end of the test.
func connect(t *testing.T, cfg rabbitmq.Config) *rabbitmq.Broker {
	t.Helper()
	b, err := rabbitmq.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

func TestSuite(t *testing.T) {
	brokertest.Run(t, func(t *testing.T) brokertest.Harness {
		t.Helper()
		cfg := config(t)
		b := connect(t, cfg)
		return brokertest.Harness{Broker: b, Reopen: func(t *testing.T) broker.Broker {
			t.Helper()
			if err := b.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			b = connect(t, cfg)
			return b
		}}
	})
}
