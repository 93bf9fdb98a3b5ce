package rabbitmq

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
	broker "github.com/fenfa/fenfa/internal/broker/rabbitmq"
)

// patience bounds what a test waits for.
const patience = 3 * time.Minute

// serverConfig says how the tests' server is reached.
func serverConfig(tb testing.TB) broker.Config {
	tb.Helper()
	shared.Need(tb)
	address := shared.Address
	if shared.Cluster != nil {
		address = shared.Cluster.Address()
	}
	cfg, err := broker.ParseURL(address)
	if err != nil {
		tb.Fatal(err)
	}
	return cfg
}

// rabbit is what a test does to the server by itself.
type rabbit struct {
	tb   testing.TB
	ch   *amqp.Channel
	name string // of the test, for names on the server
}

func dialRabbit(tb testing.TB) *rabbit {
	tb.Helper()
	conn, err := broker.Dial(tb.Context(), serverConfig(tb), "test")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.CloseDeadline(time.Now().Add(closeGrace)) })
	ch, err := conn.Channel()
	if err != nil {
		tb.Fatal(err)
	}
	if err := ch.Confirm(false); err != nil {
		tb.Fatal(err)
	}
	return &rabbit{tb: tb, ch: ch, name: strings.ReplaceAll(tb.Name(), "/", ".") + fmt.Sprint(time.Now().UnixNano())}
}

// declare makes a queue of a kind: classic, quorum or stream.
func (r *rabbit) declare(kind string, args amqp.Table) string {
	r.tb.Helper()
	all := amqp.Table{"x-queue-type": kind}
	maps.Copy(all, args)
	name := r.name + "." + kind + fmt.Sprint(len(args))
	if _, err := r.ch.QueueDeclare(name, true, false, false, false, all); err != nil {
		r.tb.Fatal(err)
	}
	return name
}

// publish publishes messages and waits for their confirms.
func (r *rabbit) publish(queue string, messages ...amqp.Publishing) {
	r.tb.Helper()
	var last *amqp.DeferredConfirmation
	for _, m := range messages {
		m.DeliveryMode = amqp.Persistent
		c, err := r.ch.PublishWithDeferredConfirm("", queue, false, false, m)
		if err != nil {
			r.tb.Fatal(err)
		}
		last = c
	}
	// The channel confirms in order, or more than one at once.
	if ok, err := last.WaitContext(r.tb.Context()); err != nil || !ok {
		r.tb.Fatalf("confirm: %v %v", ok, err)
	}
}

// depth is how many messages a queue has to deliver.
func (r *rabbit) depth(queue string) int {
	r.tb.Helper()
	q, err := r.ch.QueueDeclarePassive(queue, true, false, false, false, nil)
	if err != nil {
		r.tb.Fatal(err)
	}
	return q.Messages
}

// running is a bridge that a test has started.
type running struct {
	in     *In
	cancel context.CancelFunc
	done   chan error
}

func start(t *testing.T, cfg InConfig) *running {
	t.Helper()
	def(&cfg.RetryBase, 10*time.Millisecond)
	def(&cfg.RetryMax, 100*time.Millisecond)
	cfg.Logger = testLogger(t)
	in, err := NewIn(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	r := &running{in: in, cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- in.Run(ctx) }()
	t.Cleanup(cancel)
	return r
}

// wait returns how the bridge ended.
func (r *running) wait() error { return <-r.done }

// move runs a bridge to its end, which must be a good one.
func move(t *testing.T, cfg InConfig) InCounts {
	t.Helper()
	r := start(t, cfg)
	if err := r.wait(); err != nil {
		t.Fatal(err)
	}
	return r.in.Counts()
}

// testLogger writes to the test's log.
func testLogger(t *testing.T) *slog.Logger {
	t.Helper()
	return slog.New(slog.NewTextHandler(logWriter{t}, nil))
}

type logWriter struct{ t *testing.T }

// Write implements io.Writer.
func (w logWriter) Write(p []byte) (int, error) {
	if w.t.Context().Err() == nil {
		w.t.Log(strings.TrimSpace(string(p)))
	}
	return len(p), nil
}

// seen is what a worker of the test got.
type seen struct {
	mu    sync.Mutex
	tasks []got
	more  chan struct{}
}

type got struct {
	id, key, kind, payload string
	headers                map[string]string
}

// watch runs a worker that remembers each task of the queue orders.
func watch(n *fenfatest.Node) *seen {
	s := &seen{more: make(chan struct{}, 1)}
	w := n.Client().Worker(fenfa.Concurrency(64))
	w.Handle("orders", func(_ context.Context, t *fenfa.Task) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.tasks = append(s.tasks, got{id: t.ID().String(), key: t.Key(), kind: t.Type(), payload: string(t.Payload()), headers: t.Headers()})
		select {
		case s.more <- struct{}{}:
		default:
		}
		return nil
	})
	n.Run(w)
	return s
}

// await returns all tasks once there are so many.
func (s *seen) await(t *testing.T, count int) []got {
	t.Helper()
	deadline := time.After(patience)
	for {
		s.mu.Lock()
		tasks := append([]got(nil), s.tasks...)
		s.mu.Unlock()
		if len(tasks) >= count {
			return tasks
		}
		select {
		case <-s.more:
		case <-deadline:
			t.Fatalf("%d of %d tasks came", len(tasks), count)
		}
	}
}
