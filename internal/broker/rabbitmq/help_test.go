package rabbitmq_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/broker/rabbitmq"
	"github.com/fenfa/fenfa/internal/rabbitmqserver"
)

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func declare(t *testing.T, b *rabbitmq.Broker, d broker.Declaration) {
	t.Helper()
	d.Queue = queue
	d.Partitions = max(1, d.Partitions)
	if err := b.Declare(within(t), d); err != nil {
		t.Fatal(err)
	}
}

// publish publishes messages numbered from..to-1 of publisher 0.
func publish(t *testing.T, b *rabbitmq.Broker, from, to int) {
	t.Helper()
	var batch []broker.Message
	for n := from; n < to; n++ {
		batch = append(batch, message(0, n, 0))
	}
	if err := b.Publish(within(t), batch); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, b *rabbitmq.Broker, epoch uint64) broker.Reader {
	t.Helper()
	r, err := b.Open(within(t), queue, 0, epoch)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// read returns the next deliveries, which must be the messages of these numbers.
func read(t *testing.T, r broker.Reader, numbers ...int) []broker.Delivery {
	t.Helper()
	var all []broker.Delivery
	for len(all) < len(numbers) {
		ds, err := r.Next(within(t), broker.Limit{Tasks: len(numbers) - len(all)})
		if err != nil {
			t.Fatalf("read: %d of %d messages, then %v", len(all), len(numbers), err)
		}
		all = append(all, ds...)
	}
	for i, n := range numbers {
		if want := message(0, n, 0); all[i].ID != want.ID || string(all[i].Body) != string(want.Body) {
			t.Fatalf("message %d is %.20q, want %.20q", i, all[i].Body, want.Body)
		}
		if i > 0 && all[i].Position <= all[i-1].Position {
			t.Fatalf("position %d came behind %d", all[i].Position, all[i-1].Position)
		}
	}
	return all
}

func settle(t *testing.T, r broker.Reader, ds ...broker.Delivery) {
	t.Helper()
	positions := make([]broker.Position, len(ds))
	for i := range ds {
		positions[i] = ds[i].Position
	}
	if err := r.Settle(within(t), positions...); err != nil {
		t.Fatal(err)
	}
}

// numbers returns from..to-1.
func numbers(from, to int) []int {
	all := make([]int, 0, to-from)
	for n := from; n < to; n++ {
		all = append(all, n)
	}
	return all
}

// raw is a channel to the shared server, to do there what fenfa does not do.
func raw(t *testing.T) *amqp.Channel {
	t.Helper()
	cfg := config(t)
	conn, err := amqp.DialConfig("amqp://"+cfg.Endpoints[0], amqp.Config{
		SASL: []amqp.Authentication{&amqp.PlainAuth{Username: rabbitmqserver.User, Password: rabbitmqserver.Password}}, Vhost: "/",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// proxy stands between a client and the server, and can cut their connections.
type proxy struct {
	listener net.Listener
	server   string
	wait     sync.WaitGroup

	mu      sync.Mutex
	conns   map[net.Conn]struct{}
	refuses bool
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, server: config(t).Endpoints[0], conns: make(map[net.Conn]struct{})}
	p.wait.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.refuse()
		p.wait.Wait()
	})
	return p
}

// through returns a configuration that connects through the proxy.
func (p *proxy) through(t *testing.T) rabbitmq.Config {
	t.Helper()
	cfg := config(t)
	cfg.Endpoints = []string{p.listener.Addr().String()}
	return cfg
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", p.server)
		if err != nil || !p.keep(client, server) {
			_ = client.Close()
			continue
		}
		p.wait.Go(func() { p.copy(client, server) })
		p.wait.Go(func() { p.copy(server, client) })
	}
}

func (p *proxy) keep(client, server net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuses {
		_ = server.Close()
		return false
	}
	p.conns[client], p.conns[server] = struct{}{}, struct{}{}
	return true
}

func (p *proxy) copy(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.Close()
	_ = from.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, to)
	delete(p.conns, from)
}

// cut ends all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		_ = conn.Close()
	}
}

// refuse ends all connections and lets no new ones through until admit.
func (p *proxy) refuse() {
	p.mu.Lock()
	p.refuses = true
	p.mu.Unlock()
	p.cut()
}

func (p *proxy) admit() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuses = false
}

// eventually calls f until it returns nil.
func eventually(t *testing.T, f func() error) {
	t.Helper()
	ctx := within(t)
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(fmt.Errorf("it never happened: %w", err))
		case <-time.After(time.Millisecond):
		}
	}
}
